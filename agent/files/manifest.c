/* manifest: writes both lists through one small writer that hashes what it writes. */
#include "agent/files/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define WRITE_BYTES (256U << 10)
#define LINE_MAX_BYTES (512U << 10) /* a path and a target, each byte escaped */

struct list {
    char *path, *temp;
    int fd;
    struct buf out;
    struct sha256 *sha;
};

struct manifest {
    struct list sums, metadata;
    uint64_t files, bytes, entries;
    int rc; /* the first error */
};

char *manifest_parent(const char *state_dir)
{
    return xasprintf("%s/manifest", state_dir);
}

char *manifest_folder(const char *state_dir, const char *pair, uint32_t run)
{
    char *folder = xasprintf("%s/manifest/%s/%" PRIu32, state_dir, pair, run);
    (void)file_mkdirs(folder, 0700); /* what cannot be made is found out at the first file */
    return folder;
}

/* ── one list ── */

static int list_open(struct list *l, const char *folder, const char *name)
{
    l->path = xasprintf("%s/%s", folder, name);
    l->temp = xasprintf("%s/%s.new", folder, name);
    buf_init(&l->out, WRITE_BYTES + LINE_MAX_BYTES);
    l->sha = sha256_new();
    sha256_begin(l->sha);
    l->fd = open(l->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return l->fd < 0 ? -errno : 0;
}

static void list_done(struct list *l)
{
    if (l->fd >= 0) {
        (void)fd_close(l->fd);
        (void)unlink(l->temp);
    }
    buf_done(&l->out);
    (void)sha256_free(l->sha);
    free(l->path);
    free(l->temp);
}

static int list_flush(struct list *l)
{
    const uint8_t *p = l->out.data;
    size_t n = l->out.len;
    if (l->out.overflow)
        return -EMSGSIZE;
    sha256_add(l->sha, p, n);
    while (n > 0) {
        ssize_t k = write(l->fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EIO;
        p += k;
        n -= (size_t)k;
    }
    buf_clear(&l->out);
    return 0;
}

static int list_end(struct list *l, uint8_t ret[SHA256_LEN])
{
    int rc = list_flush(l);
    if (rc == 0 && fsync(l->fd) < 0)
        rc = -errno;
    if (rc < 0)
        return rc;
    (void)fd_close(l->fd);
    l->fd = -1;
    sha256_end(l->sha, ret);
    return rename(l->temp, l->path) == 0 ? 0 : -errno;
}

static void put_text(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

static bool put_escaped(struct buf *b, const char *p, size_t n, bool tab)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        const char *as = c == '\\'          ? "\\\\"
                         : c == '\n'        ? "\\n"
                         : c == '\r'        ? "\\r"
                         : c == '\t' && tab ? "\\t"
                                            : NULL;
        any = any || as;
        if (as)
            put_text(b, as);
        else
            buf_put_u8(b, (uint8_t)c);
    }
    return any;
}

static bool put_path(struct buf *b, const struct manifest_entry *e, bool tab)
{
    bool any = put_escaped(b, e->folder, e->folder_len, tab);
    if (e->folder_len)
        buf_put_u8(b, '/');
    return put_escaped(b, e->name, e->name_len, tab) || any;
}

/* ── lines ── */

/* A line whose name was escaped begins with a backslash; "-" alone would be standard input. */
static void put_sum(struct buf *b, const struct manifest_entry *e)
{
    char hex[2 * SHA256_LEN + 1];
    size_t at = b->len;
    text_hex(e->row->sha256, SHA256_LEN, hex);
    buf_put_u8(b, '\\');
    put_text(b, hex);
    put_text(b, e->folder_len == 0 && e->name_len == 1 && *e->name == '-' ? "  ./" : "  ");
    bool escaped = put_path(b, e, false);
    buf_put_u8(b, '\n');
    if (escaped || b->overflow)
        return;
    memmove(b->data + at, b->data + at + 1, b->len - at - 1);
    b->len--;
}

static char type_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return 'f';
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFCHR:
        return 'c';
    case S_IFBLK:
        return 'b';
    case S_IFIFO:
        return 'p';
    default:
        return 's';
    }
}

static void put_metadata(struct buf *b, const struct manifest_entry *e)
{
    char line[160], attributes[17] = "-";
    const struct catalogue_entry *k = e->row;
    if (k->xattrs_digest)
        (void)snprintf(attributes, sizeof attributes, "%016" PRIx64, k->xattrs_digest);
    (void)snprintf(line, sizeof line, "%c\t%04o\t%u\t%u\t%" PRIu64 "\t%lld.%09ld\t%s\t",
                   type_of(k->mode), k->mode & 07777U, k->uid, k->gid, k->size,
                   (long long)k->mtime.tv_sec, k->mtime.tv_nsec, attributes);
    put_text(b, line);
    (void)put_path(b, e, true);
    if (e->target) {
        put_text(b, " -> ");
        (void)put_escaped(b, e->target, strlen(e->target), true);
    }
    buf_put_u8(b, '\n');
}

static int list_keep_small(struct list *l)
{
    return l->out.len >= WRITE_BYTES ? list_flush(l) : 0;
}

void manifest_add(struct manifest *m, const struct manifest_entry *e)
{
    if (m->rc < 0)
        return;
    if (e->row->has_sha256) {
        put_sum(&m->sums.out, e);
        m->files++;
        m->bytes += e->row->size;
    }
    m->entries++;
    put_metadata(&m->metadata.out, e);
    m->rc = list_keep_small(&m->sums);
    if (m->rc == 0)
        m->rc = list_keep_small(&m->metadata);
}

int manifest_new(struct manifest **ret, const char *folder)
{
    struct manifest *m = xcalloc(1, sizeof *m);
    m->sums.fd = m->metadata.fd = -1;
    int rc = list_open(&m->sums, folder, "SHA256SUMS");
    if (rc == 0)
        rc = list_open(&m->metadata, folder, "METADATA");
    if (rc < 0)
        m = manifest_free(m);
    else
        *ret = m;
    return rc;
}

struct manifest *manifest_free(struct manifest *m)
{
    if (m) {
        list_done(&m->sums);
        list_done(&m->metadata);
        free(m);
    }
    return NULL;
}

int manifest_end(struct manifest *m, struct manifest_sums *ret)
{
    struct manifest_sums s = {.files = m->files, .bytes = m->bytes, .entries = m->entries};
    int rc = m->rc;
    if (rc == 0)
        rc = list_end(&m->sums, s.sums);
    if (rc == 0)
        rc = list_end(&m->metadata, s.metadata);
    if (rc == 0)
        *ret = s;
    return rc;
}
