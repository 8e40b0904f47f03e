/* undo: records as {u32 length}{32 bytes SHA-256}{packed UndoRecord}, appended and synced. Worker
 * thread. */
#include "agent/identity/undo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"

#define HEAD (4 + SHA256_LEN)

static void add(struct undo *u, Godwit__UndoRecord *r)
{
    u->records = xrealloc(u->records, (u->n + 1) * sizeof *u->records);
    u->records[u->n++] = r;
}

/* 1: one record; 0: a torn end; -EBADMSG. */
static int next(struct cursor *c, struct undo *u)
{
    uint8_t sum[SHA256_LEN];
    size_t n = cursor_u32(c);
    const uint8_t *want = cursor_bytes(c, SHA256_LEN);
    const uint8_t *packed = cursor_bytes(c, n);
    if (c->bad || !want || !packed)
        return 0;
    sha256_of(packed, n, sum);
    if (memcmp(sum, want, SHA256_LEN) != 0)
        return cursor_left(c) ? -EBADMSG : 0;
    Godwit__UndoRecord *r = godwit__undo_record__unpack(NULL, n, packed);
    if (!r)
        return -EBADMSG;
    add(u, r);
    return 1;
}

/* What is torn goes, so that the next record stands behind a whole one. */
static int read_all(struct undo *u)
{
    CLEANUP(mem_free) char *data = NULL;
    size_t len = 0, whole = 0;
    int rc = file_read(u->path, UNDO_JOURNAL_MAX, &data, &len);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    struct cursor c = cursor_of(data, len);
    while (cursor_left(&c) > 0 && (rc = next(&c, u)) > 0)
        whole = (size_t)((const char *)c.at - data);
    explicit_bzero(data, len);
    if (rc == 0 && whole < len && truncate(u->path, (off_t)whole) < 0)
        return -errno;
    return rc < 0 ? rc : 0;
}

int undo_open(const char *path, struct undo **ret)
{
    CLEANUP(undo_free) struct undo *u = xcalloc(1, sizeof *u);
    u->path = xstrdup(path);
    int rc = read_all(u);
    if (rc < 0)
        return rc;
    *ret = u;
    u = NULL;
    return 0;
}

struct undo *undo_free(struct undo *u)
{
    if (!u)
        return NULL;
    for (size_t i = 0; i < u->n; i++)
        godwit__undo_record__free_unpacked(u->records[i], NULL);
    free(u->records);
    free(u->path);
    free(u);
    return NULL;
}

static int sync_folder_of(const char *path)
{
    CLEANUP(mem_free) char *folder = xstrdup(path);
    *strrchr(folder, '/') = '\0';
    CLEANUP(fd_close) int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 || fsync(dir) < 0 ? -errno : 0;
}

static int append(const char *path, const uint8_t *bytes, size_t n)
{
    struct stat st;
    CLEANUP(fd_close)
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if ((size_t)st.st_size + n > UNDO_JOURNAL_MAX)
        return -EFBIG;
    for (size_t done = 0; done < n;) {
        ssize_t w = write(fd, bytes + done, n - done);
        if (w < 0 && errno != EINTR)
            return -errno;
        done += w > 0 ? (size_t)w : 0;
    }
    if (fsync(fd) < 0)
        return -errno;
    return sync_folder_of(path);
}

static int keep(struct undo *u, const Godwit__UndoRecord *r)
{
    size_t n = godwit__undo_record__get_packed_size(r);
    struct buf b;
    uint8_t sum[SHA256_LEN];
    CLEANUP(mem_free) uint8_t *packed = xmalloc(n + 1);
    (void)godwit__undo_record__pack(r, packed);
    sha256_of(packed, n, sum);
    buf_init(&b, n + HEAD);
    buf_put_u32(&b, (uint32_t)n);
    buf_put(&b, sum, sizeof sum);
    buf_put(&b, packed, n);
    int rc = append(u->path, b.data, b.len);
    if (rc == 0)
        add(u, godwit__undo_record__unpack(NULL, n, packed));
    explicit_bzero(packed, n);
    explicit_bzero(b.data, b.len);
    buf_done(&b);
    FAULT_POINT("identity.undo.kept");
    return rc;
}

static bool has_file(const struct undo *u, const char *path)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->records[i]->file && strcmp(u->records[i]->file->path, path) == 0)
            return true;
    return false;
}

int undo_keep_file(struct undo *u, const char *path)
{
    CLEANUP(mem_free) char *data = NULL;
    CLEANUP(mem_free) char *name = xstrdup(path);
    struct stat st = {.st_mode = 0600};
    size_t len = 0;
    if (has_file(u, path))
        return 0;
    int rc = file_read(path, UNDO_FILE_MAX, &data, &len);
    if (rc == 0 && stat(path, &st) < 0)
        rc = -errno;
    if (rc < 0 && rc != -ENOENT)
        return rc;
    Godwit__UndoRecord r = GODWIT__UNDO_RECORD__INIT;
    Godwit__UndoFile f = GODWIT__UNDO_FILE__INIT;
    f.path = name;
    f.absent = rc == -ENOENT;
    f.content = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)data};
    f.mode = st.st_mode & 07777;
    f.uid = st.st_uid;
    f.gid = st.st_gid;
    r.file = &f;
    rc = keep(u, &r);
    if (data)
        explicit_bzero(data, len);
    return rc;
}

int undo_keep_host_name(struct undo *u, const char *name)
{
    CLEANUP(mem_free) char *copy = xstrdup(name);
    Godwit__UndoRecord r = GODWIT__UNDO_RECORD__INIT;
    for (size_t i = 0; i < u->n; i++)
        if (u->records[i]->host_name[0])
            return 0;
    r.host_name = copy;
    return keep(u, &r);
}

const Godwit__UndoNetwork *undo_network(const struct undo *u)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->records[i]->network)
            return u->records[i]->network;
    return NULL;
}

const Godwit__UndoUnits *undo_units(const struct undo *u)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->records[i]->units)
            return u->records[i]->units;
    return NULL;
}

int undo_keep_network(struct undo *u, Godwit__UndoNetwork *n)
{
    Godwit__UndoRecord r = GODWIT__UNDO_RECORD__INIT;
    r.network = n;
    return undo_network(u) ? 0 : keep(u, &r);
}

int undo_keep_units(struct undo *u, Godwit__UndoUnits *units)
{
    Godwit__UndoRecord r = GODWIT__UNDO_RECORD__INIT;
    r.units = units;
    return undo_units(u) ? 0 : keep(u, &r);
}

const Godwit__UndoAccount *undo_account(const struct undo *u)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->records[i]->account)
            return u->records[i]->account;
    return NULL;
}

int undo_keep_account(struct undo *u, Godwit__UndoAccount *a)
{
    Godwit__UndoRecord r = GODWIT__UNDO_RECORD__INIT;
    r.account = a;
    return undo_account(u) ? 0 : keep(u, &r);
}

int undo_keep_dns(struct undo *u, Godwit__UndoDns *d)
{
    Godwit__UndoRecord r = GODWIT__UNDO_RECORD__INIT;
    r.dns = d;
    for (size_t i = 0; i < u->n; i++) {
        const Godwit__UndoDns *had = u->records[i]->dns;
        if (had && strcasecmp(had->name, d->name) == 0 && strcmp(had->type, d->type) == 0)
            return 0;
    }
    return keep(u, &r);
}

int undo_put_file(const Godwit__UndoFile *f)
{
    if (f->absent)
        return unlink(f->path) == 0 || errno == ENOENT ? 0 : -errno;
    const uint8_t *data = f->content.data ? f->content.data : (const uint8_t *)"";
    int rc = file_write(f->path, f->mode, data, f->content.len);
    if (rc == 0 && chown(f->path, f->uid, f->gid) < 0)
        rc = -errno;
    return rc;
}

static int overwrite(const char *path)
{
    static const uint8_t zeros[65536];
    struct stat st;
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -EINVAL;
    for (off_t at = 0; at < st.st_size;) {
        off_t left = st.st_size - at;
        ssize_t n = pwrite(fd, zeros, left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros, at);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
    }
    if (fsync(fd) < 0)
        return -errno;
    FAULT_POINT("identity.undo.shred");
    return unlink(path) < 0 ? -errno : 0;
}

/* Under another name first: one that a crash left half overwritten could not be read as what it
 * was, and nobody would get past it. */
int undo_shred(const char *path)
{
    struct stat st;
    CLEANUP(mem_free) char *gone = xasprintf("%s.gone", path);
    int rc = overwrite(gone); /* of a shredding that was cut short */
    if (rc == 0 && lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (rc < 0)
        return rc;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (rename(path, gone) < 0)
        return errno == ENOENT ? 0 : -errno;
    rc = sync_folder_of(gone);
    return rc < 0 ? rc : overwrite(gone);
}

int undo_begin_anew(struct undo *u)
{
    int rc = undo_shred(u->path);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < u->n; i++)
        godwit__undo_record__free_unpacked(u->records[i], NULL);
    u->n = 0;
    return 0;
}
