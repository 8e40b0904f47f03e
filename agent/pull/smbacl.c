/* smbacl: a table of descriptors and what smbd made of them. */
#include "agent/pull/smbacl.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pull/smbacl_helper.h"
#include "agent/store/meta.h"
#include "agent/store/meta_priv.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"

#define SLOTS 65536U /* different descriptors; later ones are looked at each time */
#define PROBES 16U
#define CONF_MAX (1U << 20)
#define SD_MAX (64U << 10) /* of a descriptor */

struct known {
    uint8_t of[SHA256_LEN];
    bool folder, used;
    struct smbacl_look look;
};

struct smbacl {
    pthread_mutex_t lock;
    char *scratch;
    struct smbacl_helper *helper; /* NULL: no Samba here */
    char *depot;
    bool open; /* smbd ignores what the file system says */
    uint32_t number;
    struct known *slots;
    void **spare; /* attributes that found no room in the table */
    size_t nspare;
};

int smbacl_new(struct smbacl **ret, const char *scratch, const char *destination,
               struct fault *reterr)
{
    struct smbacl *n = xcalloc(1, sizeof *n);
    (void)pthread_mutex_init(&n->lock, NULL);
    n->scratch = xstrdup(scratch);
    int rc = destination ? file_mkdirs(scratch, 0700) : 0;
    if (rc == 0 && destination)
        rc = smbacl_helper_new(&n->helper, destination, scratch, &n->open, &n->depot);
    if (rc == -ENOENT)
        rc = 0;
    if (rc < 0) {
        (void)smbacl_free(n);
        return fault_set(reterr, FAULT_RETRY, -rc,
                         "this host's Samba does not answer, which is to keep the NT ACLs: %s",
                         strerror(-rc));
    }
    n->slots = xcalloc(SLOTS, sizeof *n->slots);
    *ret = n;
    return 0;
}

struct smbacl *smbacl_free(struct smbacl *n)
{
    if (!n)
        return NULL;
    (void)smbacl_helper_free(n->helper);
    for (size_t i = 0; n->slots && i < SLOTS; i++)
        free((void *)(uintptr_t)n->slots[i].look.xattrs);
    for (size_t i = 0; i < n->nspare; i++)
        free(n->spare[i]);
    free(n->spare);
    free(n->slots);
    (void)rmdir(n->scratch);
    free(n->scratch);
    free(n->depot);
    (void)pthread_mutex_destroy(&n->lock);
    free(n);
    return NULL;
}

bool smbacl_is_there(const struct smbacl *n)
{
    return n->helper != NULL;
}

const char *smbacl_depot(const struct smbacl *n)
{
    return n->depot;
}

bool smbacl_has_depot(const char *destination)
{
    CLEANUP(smbacl_helper_free) struct smbacl_helper *h = NULL;
    CLEANUP(mem_free) char *conf = NULL, *depot = NULL;
    size_t len = 0;
    bool open = false;
    /* Most have none: the process is started only where the word stands. */
    if (file_read(SMB_CONF, CONF_MAX, &conf, &len) < 0 ||
        !memmem(conf, len, "streams_depot", sizeof "streams_depot" - 1))
        return false;
    (void)smbacl_helper_new(&h, destination, "/", &open, &depot);
    return depot != NULL;
}

/* Attributes that come from the descriptor alone. */
static bool is_of_descriptor(const struct xattr_view *x)
{
    static const char nt[] = "security.NTACL";
    return xattr_is_acl(x->name, x->name_len) ||
           (x->name_len == sizeof nt - 1 && memcmp(x->name, nt, sizeof nt - 1) == 0);
}

static int take_attributes(int fd, struct smbacl_look *ret)
{
    struct buf all, own;
    buf_init(&all, XATTRS_MAX + 1);
    buf_init(&own, XATTRS_MAX + 1);
    int rc = xattrs_read(fd, &all);
    struct cursor c = cursor_of(all.data, all.len);
    struct xattr_view x;
    while (rc == 0 && xattrs_next(&c, &x)) {
        if (!is_of_descriptor(&x))
            continue;
        buf_put_blob(&own, x.name, x.name_len);
        buf_put_blob(&own, x.value, x.value_len);
    }
    if (rc == 0) {
        ret->xattrs = xmemdup(own.data, own.len);
        ret->xattrs_len = own.len;
    }
    buf_done(&all);
    buf_done(&own);
    return rc;
}

static int make_scratch(const struct smbacl *n, const char *path, bool folder)
{
    int rc = folder ? mkdir(path, 0700) : mknod(path, S_IFREG | 0600, 0);
    if (rc == 0 && n->open)
        rc = chmod(path, folder ? 0777 : 0666);
    return rc < 0 ? -errno : 0;
}

static int look_anew(struct smbacl *n, const void *descriptor, size_t len, bool folder,
                     struct smbacl_look *ret)
{
    struct stat st;
    uint32_t number = ++n->number;
    CLEANUP(mem_free) char *path = xasprintf("%s/%u", n->scratch, number);
    *ret = (struct smbacl_look){.mode = folder ? 0700 : 0600};
    (void)(folder ? rmdir(path) : unlink(path)); /* of a process that was killed */
    int rc = make_scratch(n, path, folder);
    if (rc == 0)
        rc = ret->err = smbacl_helper_set(n->helper, number, descriptor, len);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (rc == 0 && (fd < 0 || fstat(fd, &st) < 0))
        rc = -errno;
    if (rc == 0)
        rc = take_attributes(fd, ret);
    if (rc == 0) {
        ret->known = true;
        ret->mode = st.st_mode & 07777;
        ret->uid = st.st_uid;
        ret->gid = st.st_gid;
    }
    (void)(folder ? rmdir(path) : unlink(path));
    return rc == -EINVAL ? 0 : rc;
}

static struct known *find(struct smbacl *n, const uint8_t of[SHA256_LEN], bool folder)
{
    uint32_t at;
    memcpy(&at, of, sizeof at);
    for (unsigned i = 0; i < PROBES; i++) {
        struct known *k = &n->slots[(at + i) % SLOTS];
        if (!k->used || (memcmp(k->of, of, SHA256_LEN) == 0 && k->folder == folder))
            return k;
    }
    return NULL;
}

static void keep_spare(struct smbacl *n, const void *p)
{
    n->spare = xrealloc(n->spare, (n->nspare + 1) * sizeof *n->spare);
    n->spare[n->nspare++] = (void *)(uintptr_t)p;
}

/* What was found anew is kept, if there is room in the table. */
static void keep(struct smbacl *n, struct known *k, const uint8_t of[SHA256_LEN], bool folder,
                 const struct smbacl_look *look)
{
    if (!k) {
        keep_spare(n, look->xattrs);
        return;
    }
    *k = (struct known){.folder = folder, .used = true, .look = *look};
    memcpy(k->of, of, SHA256_LEN);
}

int smbacl_look(struct smbacl *n, const void *descriptor, size_t len, bool folder,
                struct smbacl_look *ret)
{
    uint8_t of[SHA256_LEN];
    sha256_of(descriptor, len, of);
    int rc = 0;
    (void)pthread_mutex_lock(&n->lock);
    struct known *k = find(n, of, folder);
    if (k && k->used) {
        *ret = k->look;
    } else if (!n->helper) {
        *ret = (struct smbacl_look){.mode = folder ? 0700 : 0600};
    } else {
        rc = look_anew(n, descriptor, len, folder, ret);
        if (rc == 0)
            keep(n, k, of, folder, ret);
    }
    (void)pthread_mutex_unlock(&n->lock);
    return rc;
}

/* ── what smbd reads of an entry ── */

/* Owner, mode and the attributes that a descriptor is made of, in one piece: the table's key. */
static void put_key(const struct meta *m, const void *xattrs, size_t len, struct buf *attributes,
                    struct buf *key)
{
    struct cursor c = cursor_of(xattrs, len);
    struct xattr_view x;
    while (xattrs_next(&c, &x)) {
        if (!is_of_descriptor(&x))
            continue;
        buf_put_blob(attributes, x.name, x.name_len);
        buf_put_blob(attributes, x.value, x.value_len);
    }
    buf_put_u32(key, m->mode);
    buf_put_u32(key, m->uid);
    buf_put_u32(key, m->gid);
    buf_put(key, attributes->data, attributes->len);
}

static int tell_anew(struct smbacl *n, const struct meta *m, const struct buf *attributes,
                     struct smbacl_look *ret)
{
    uint8_t sd[SD_MAX];
    size_t len = 0;
    unsigned losses = 0;
    bool folder = S_ISDIR(m->mode);
    uint32_t number = ++n->number;
    CLEANUP(mem_free) char *path = xasprintf("%s/%u", n->scratch, number);
    *ret = (struct smbacl_look){.mode = m->mode & 07777};
    (void)(folder ? rmdir(path) : unlink(path));
    int rc = make_scratch(n, path, folder);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (rc == 0 && fd < 0)
        rc = -errno;
    if (rc == 0)
        rc = meta_apply(fd, m, attributes->data, attributes->len, true, &losses);
    if (rc == 0)
        rc = ret->err = smbacl_helper_get(n->helper, number, sd, sizeof sd, &len);
    (void)(folder ? rmdir(path) : unlink(path));
    if (rc == 0) {
        ret->known = true;
        ret->xattrs = xmemdup(sd, len);
        ret->xattrs_len = len;
    }
    return rc == -EINVAL ? 0 : rc;
}

int smbacl_tell(struct smbacl *n, const struct meta *m, const void *xattrs, size_t len,
                struct smbacl_look *ret)
{
    uint8_t of[SHA256_LEN];
    struct buf attributes, key;
    buf_init(&attributes, XATTRS_MAX + 1);
    buf_init(&key, XATTRS_MAX + 64);
    put_key(m, xattrs, len, &attributes, &key);
    sha256_of(key.data, key.len, of);
    int rc = 0;
    (void)pthread_mutex_lock(&n->lock);
    struct known *k = find(n, of, S_ISDIR(m->mode));
    if (k && k->used) {
        *ret = k->look;
    } else if (!n->helper) {
        *ret = (struct smbacl_look){.mode = m->mode & 07777};
    } else {
        rc = tell_anew(n, m, &attributes, ret);
        if (rc == 0)
            keep(n, k, of, S_ISDIR(m->mode), ret);
    }
    (void)pthread_mutex_unlock(&n->lock);
    buf_done(&attributes);
    buf_done(&key);
    return rc;
}
