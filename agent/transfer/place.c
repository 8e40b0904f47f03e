/* place: small entries into their folder: temporary name, content, metadata, rename. One lane's
 * thread. Not for files in pieces (incoming.c), nor for the way to the folder (place_folder.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/beneath.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define SETID (S_ISUID | S_ISGID)

static unsigned count_bits(unsigned v)
{
    unsigned n = 0;
    for (; v; v &= v - 1)
        n++;
    return n;
}

int place_meta(struct rlane *l, int fd, const struct meta *m, struct bytes xattrs, bool inherits)
{
    unsigned losses = 0;
    bool privileged = l->r->privileged;
    int rc = inherits ? meta_apply(fd, m, xattrs.p, xattrs.n, privileged, &losses)
                      : meta_apply_new(fd, m, xattrs.p, xattrs.n, privileged, &losses);
    l->delta.skipped_meta += count_bits(losses);
    l->lost |= losses;
    return rc;
}

/* Names what of the entry could not be kept; shown with the failures of the run. */
void place_note_losses(struct rlane *l, struct bytes folder, struct bytes name)
{
    static const struct {
        unsigned bit;
        const char *what;
    } kinds[] = {
        {META_LOSS_OWNER, "keep owner"           },
        {META_LOSS_MODE,  "keep mode"            },
        {META_LOSS_TIMES, "keep times"           },
        {META_LOSS_XATTR, "keep attributes"      },
        {META_LOSS_ACL,   "keep POSIX ACL"       },
        {META_LOSS_FLAGS, "keep flags or project"},
        {META_LOSS_NFS4,  "keep NFSv4 ACL"       },
    };
    int err = l->r->privileged ? EOPNOTSUPP : EPERM;
    for (size_t i = 0; l->lost && i < ARRAY_SIZE(kinds); i++) {
        struct failure x = {folder.p, name.p, folder.n, name.n, err, kinds[i].what};
        if (l->lost & kinds[i].bit)
            faillist_note(l->r->failures, &x);
    }
    l->lost = 0;
}

/* What stands in the way of a rename is a folder. */
static int folder_give_way(const struct receiver *r, int folder_fd, const char *name)
{
    uint64_t removed = 0;
    if (r->spec->options.delete_extras)
        return beneath_remove(folder_fd, name, &removed);
    if (unlinkat(folder_fd, name, AT_REMOVEDIR) == 0)
        return 0;
    return errno == EEXIST ? -ENOTEMPTY : -errno;
}

static int rename_over(const struct receiver *r, int from, const char *temp, int to,
                       const char *name)
{
    if (renameat(from, temp, to, name) == 0)
        return 0;
    if (errno == EPERM && r->privileged) {
        (void)attrs_unlock(to, name);
        if (renameat(from, temp, to, name) == 0)
            return 0;
    }
    if (errno != EISDIR && errno != ENOTEMPTY && errno != EEXIST)
        return -errno;
    int rc = folder_give_way(r, to, name);
    if (rc < 0)
        return rc;
    return renameat(from, temp, to, name) == 0 ? 0 : -errno;
}

int place_rename_to(const struct receiver *r, int from, const char *temp, int to, const char *name)
{
    int rc = rename_over(r, from, temp, to, name);
    FAULT_POINT("renamed");
    return rc;
}

int place_rename(const struct receiver *r, int folder_fd, const char *temp, const char *name)
{
    return place_rename_to(r, folder_fd, temp, folder_fd, name);
}

/* ── regular files ── */

struct content {
    struct cursor segments; /* where they begin in the record */
    uint32_t nsegments;
    struct bytes plain; /* the content when it is one segment without holes */
    uint64_t data;      /* without holes */
};

/* Reads over the segments of e and checks the digest. */
static int content_check(struct rlane *l, const struct batch_entry *e, struct cursor *c,
                         struct content *ret)
{
    *ret = (struct content){.segments = *c, .nsegments = e->nsegments};
    uint64_t at = 0, offset = 0, size = e->meta.size;
    struct bytes data = {NULL, 0};
    bool holes = e->nsegments > 1;
    if (holes)
        memset(l->whole, 0, size);
    for (uint32_t i = 0; i < e->nsegments; i++) {
        int rc = segment_get(c, size, &at, &offset, &data);
        if (rc < 0)
            return rc;
        ret->data += data.n;
        if (!holes && data.n != size) {
            holes = true;
            memset(l->whole, 0, size);
        }
        if (holes)
            memcpy(l->whole + offset, data.p, data.n);
    }
    if (e->nsegments == 0 && size > 0) {
        holes = true;
        memset(l->whole, 0, size);
    }
    ret->plain = data;
    XXH128_canonical_t digest;
    XXH128_canonicalFromHash(&digest, XXH3_128bits(holes ? (const void *)l->whole : data.p, size));
    if (holes)
        ret->plain = (struct bytes){NULL, 0};
    return memcmp(digest.digest, e->digest, DIGEST_BYTES) == 0 ? 0 : -EILSEQ;
}

static int content_write(int fd, const struct content *k, uint64_t size)
{
    if (k->plain.p || size == 0)
        return file_write_at(fd, k->plain.p, size, 0);
    struct cursor c = k->segments;
    uint64_t at = 0, offset = 0;
    int rc = ftruncate(fd, (off_t)size) == 0 ? 0 : -errno;
    for (uint32_t i = 0; rc == 0 && i < k->nsegments; i++) {
        struct bytes data = {NULL, 0};
        rc = segment_get(&c, size, &at, &offset, &data);
        if (rc == 0)
            rc = file_write_at(fd, data.p, data.n, offset);
    }
    return rc;
}

/* Nothing to set but times: the usual case within one owner. */
static bool is_plain(const struct rlane *l, const struct batch_entry *e)
{
    const struct receiver *r = l->r;
    return !l->at.inherits && e->xattrs.n == 0 && e->meta.uid == r->euid &&
           e->meta.gid == r->egid && !(e->meta.mode & (SETID | S_ISVTX | l->umask));
}

static int set_meta(struct rlane *l, int fd, const struct batch_entry *e, bool plain)
{
    const struct meta *m = &e->meta;
    const struct timespec times[2] = {m->atime, m->mtime};
    if (plain)
        return futimens(fd, times) == 0 ? 0 : -errno;
    if (!l->r->privileged || l->at.inherits || e->xattrs.n > 0)
        return place_meta(l, fd, m, e->xattrs, l->at.inherits);
    if (fchown(fd, m->uid, m->gid) < 0 || fchmod(fd, m->mode & 07777U) < 0 ||
        futimens(fd, times) < 0)
        return place_meta(l, fd, m, e->xattrs, true); /* a file system that cannot: says which */
    return 0;
}

static int file_fill(struct rlane *l, int fd, const struct batch_entry *e, const struct content *k,
                     const char **retwhat)
{
    *retwhat = "write";
    attrs_set_early(fd, e->xattrs.p, e->xattrs.n);
    int rc = content_write(fd, k, e->meta.size);
    if (rc < 0)
        return rc;
    FAULT_POINT("content-written");
    *retwhat = "metadata";
    rc = set_meta(l, fd, e, is_plain(l, e));
    FAULT_POINT("metadata-set");
    return rc;
}

/* -errno: nothing of it is left under that name. */
static int file_make(struct rlane *l, const struct batch_entry *e, const struct content *k,
                     const char *name, const char **retwhat)
{
    CLEANUP(fd_close)
    int fd = openat(l->at.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    is_plain(l, e) ? e->meta.mode & 0777U : 0600U);
    *retwhat = "create";
    if (fd < 0)
        return -errno;
    FAULT_POINT("temp-made");
    int rc = file_fill(l, fd, e, k, retwhat);
    if (rc < 0)
        (void)unlinkat(l->at.fd, name, 0);
    return rc;
}

/* Under a temporary name, then its own; on a disk that comes after the next sync, and *rettemp is
 * the temporary one's number. */
static int file_rename(struct rlane *l, const struct batch_entry *e, const struct content *k,
                       const char *name, uint64_t *rettemp, const char **retwhat)
{
    char temp[PAIR_TEMP_MAX];
    uint64_t number = atomic_fetch_add(&l->r->temp_number, 1);
    bool later = l->at.later && !l->at.fresh;
    temp_small(l->r->token, number, temp);
    int rc = file_make(l, e, k, temp, retwhat);
    if (rc < 0)
        return rc;
    *retwhat = "rename";
    rc = later ? naming_room(l, l->at.len, e->name.n) : place_rename(l->r, l->at.fd, temp, name);
    if (rc < 0)
        (void)unlinkat(l->at.fd, temp, 0);
    else if (later)
        *rettemp = number | ROW_WAITS;
    return rc;
}

/* In a folder that has no name yet a file has its own at once, unless another has it: two names may
 * be one at the destination. */
static int file_put(struct rlane *l, const struct batch_entry *e, const struct content *k,
                    const char *name, uint64_t *rettemp, const char **retwhat)
{
    int rc = l->at.fresh ? file_make(l, e, k, name, retwhat) : -EEXIST;
    return rc == -EEXIST ? file_rename(l, e, k, name, rettemp, retwhat) : rc;
}

static int place_file(struct rlane *l, const struct batch_entry *e, struct cursor *c, char *name,
                      const char **retwhat)
{
    struct content k;
    uint64_t temp = 0;
    *retwhat = "digest";
    int rc = content_check(l, e, c, &k);
    if (rc < 0)
        return rc;
    FAULT_POINT("digest-checked");
    rc = file_put(l, e, &k, name, &temp, retwhat);
    if (rc == 0)
        rc = place_spool_late(l->r, (struct bytes){l->at.path, l->at.len}, e->name, &e->meta,
                              e->xattrs);
    if (rc < 0 && temp) {
        char text[PAIR_TEMP_MAX];
        temp_small(l->r->token, temp, text);
        (void)unlinkat(l->at.fd, text, 0);
    }
    if (rc < 0)
        return rc;
    l->placed.temp = temp;
    l->placed.files++;
    l->placed.bytes += e->meta.size;
    l->placed.content += e->meta.size;
    l->placed.data += k.data;
    return 0;
}

/* ── what has no content ── */

static int special_make(struct rlane *l, const struct batch_entry *e, const char *temp)
{
    if (e->kind == BATCH_NODE) {
        uint32_t mode = (e->meta.mode & S_IFMT) | 0600U;
        return mknodat(l->at.fd, temp, mode, e->meta.rdev) == 0 ? 0 : -errno;
    }
    char target[SYMLINK_TARGET_MAX + 1];
    memcpy(target, e->target.p, e->target.n);
    target[e->target.n] = '\0';
    return symlinkat(target, l->at.fd, temp) == 0 ? 0 : -errno;
}

/* It was made by name and opened by name: in between the folder's owner may have put another entry
 * there, or one more name of a device elsewhere. */
static bool is_just_made(const struct receiver *r, int fd, const struct batch_entry *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || ((st.st_mode ^ e->meta.mode) & S_IFMT))
        return false;
    if (e->kind != BATCH_NODE)
        return true;
    bool device = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
    return st.st_nlink == 1 && (!device || (st.st_rdev == e->meta.rdev && st.st_uid == r->euid));
}

static int place_special(struct rlane *l, const struct batch_entry *e, char *name,
                         const char **retwhat)
{
    char temp[PAIR_TEMP_MAX];
    temp_small(l->r->token, atomic_fetch_add(&l->r->temp_number, 1), temp);
    *retwhat = e->kind == BATCH_NODE ? "make node" : "symlink";
    int rc = special_make(l, e, temp);
    if (rc < 0)
        return rc;
    *retwhat = "metadata";
    CLEANUP(fd_close) int fd = openat(l->at.fd, temp, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    rc = fd < 0 ? -errno : is_just_made(l->r, fd, e) ? 0 : -EBUSY;
    if (rc == 0)
        rc = place_meta(l, fd, &e->meta, e->xattrs, l->at.inherits);
    if (rc == 0)
        rc = place_rename(l->r, l->at.fd, temp, name);
    if (rc < 0)
        (void)unlinkat(l->at.fd, temp, 0);
    return rc;
}

/* An ordinary user's own file of mode 000; no link is followed to another. */
static bool file_unlock(int dir, const char *name)
{
    char proc[32];
    struct stat st;
    CLEANUP(fd_close) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    return chmod(proc, 0600) == 0;
}

static int place_only_meta(struct rlane *l, const struct batch_entry *e, char *name,
                           const char **retwhat)
{
    int flags = S_ISREG(e->meta.mode) ? O_RDONLY | O_NONBLOCK : O_PATH;
    *retwhat = "metadata";
    CLEANUP(fd_close) int fd = openat(l->at.fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && !l->r->privileged && S_ISREG(e->meta.mode) &&
        file_unlock(l->at.fd, name))
        fd = openat(l->at.fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    /* Compared a moment ago, and never with more names than the source has, nor with several and
     * another owner: somebody put a link to another file here. */
    bool foreign = l->r->privileged && st.st_nlink > 1 &&
                   (st.st_uid != e->meta.uid || st.st_gid != e->meta.gid);
    bool other = S_ISREG(e->meta.mode) && (uint64_t)st.st_size != e->meta.size;
    if (st.st_nlink > e->meta.nlink || foreign || other)
        return -EBUSY;
    int rc = place_meta(l, fd, &e->meta, e->xattrs, true);
    if (rc == 0)
        rc = place_spool_late(l->r, (struct bytes){l->at.path, l->at.len}, e->name, &e->meta,
                              e->xattrs);
    if (rc == 0)
        l->delta.changed_meta++;
    return rc;
}

static int place_one(struct rlane *l, const struct batch_entry *e, struct cursor *c,
                     const char **retwhat)
{
    char name[NAME_BYTES_MAX + 1];
    memcpy(name, e->name.p, e->name.n);
    name[e->name.n] = '\0';
    switch ((enum batch_kind)e->kind) {
    case BATCH_FILE:
        return place_file(l, e, c, name, retwhat);
    case BATCH_META:
        return place_only_meta(l, e, name, retwhat);
    case BATCH_SYMLINK:
    case BATCH_NODE:
        return place_special(l, e, name, retwhat);
    case BATCH_HARDLINK:
    case BATCH_FOLDER: /* is never an entry */
        break;
    }
    *retwhat = "link";
    return place_spool_link(l, e->name, &e->meta, e->target);
}

/* What refused may be an immutable or append-only entry or folder of ours; it gets its flags back
 * at the end. True: to be tried again, also when there was nothing to free any more: another lane
 * may have done so in between. */
static bool place_unlock(const struct rlane *l, const struct batch_entry *e)
{
    char name[NAME_BYTES_MAX + 1];
    memcpy(name, e->name.p, e->name.n);
    name[e->name.n] = '\0';
    if (l->r->privileged)
        (void)attrs_unlock(l->at.fd, name);
    return l->r->privileged;
}

static int entry_done(struct rlane *l, const struct batch_entry *e, int rc, const char *what)
{
    place_note_losses(l, (struct bytes){l->at.path, l->at.len}, e->name);
    if (rc == -EBADMSG)
        return rc;
    if (rc < 0) {
        struct failure f = {
            l->at.path, e->name.p, l->at.len, e->name.n, rc == -EILSEQ ? EBADMSG : -rc, what};
        return receiver_failed(l, &f);
    }
    if (e->kind == BATCH_HARDLINK)
        return 0;
    l->placed.entries += e->kind != BATCH_META;
    static const uint8_t unknown[DIGEST_BYTES];
    struct bytes folder = {l->at.path, l->at.len};
    if (l->r->spec->options.evidence) {
        evidence_entry(l, folder, e);
        return 0;
    }
    /* Anything may get a second name, and the catalogue is to know the first: find.c. */
    if (!S_ISREG(e->meta.mode) || memcmp(e->digest, unknown, DIGEST_BYTES) != 0)
        durable_row(&l->placed, folder, e->name, &e->meta, e->digest);
    return 0;
}

/* The folder itself cannot be opened: each of its entries is a failure, the rest goes on. */
static int folder_failed(struct rlane *l, struct bytes folder, int rc)
{
    struct failure f = {folder.p, NULL, folder.n, 0, -rc, "folder"};
    return receiver_failed(l, &f);
}

/* Where the entries that follow go. 1: nowhere, the folder is a failure. */
static int batch_folder(struct rlane *l, struct cursor *c)
{
    struct batch_head h;
    int rc = batch_head_get(c, &h);
    if (rc < 0)
        return rc;
    rc = 1;
    if ((h.flags & BATCH_FRESH) && cursor_left(c) > 0 && *c->at == BATCH_FILE)
        rc = place_fresh_enter(l, h.folder);
    if (rc == 1)
        rc = place_enter(l, h.folder, true);
    if (rc < 0) {
        rc = folder_failed(l, h.folder, rc);
        return rc < 0 ? rc : 1;
    }
    if (!(h.flags & BATCH_HAS_META))
        return 0;
    moves_folder_row(l, h.folder, &h.meta);
    return place_spool_folder(l->r, h.folder, &h.meta, h.xattrs, false);
}

/* Parses e to its end, also where its folder cannot be entered. */
static int batch_one(struct rlane *l, struct cursor *c, bool lost)
{
    struct batch_entry e;
    const char *what = "write";
    int rc = batch_entry_get(c, &e);
    if (rc == 0 && l->at.fresh)
        rc = place_fresh_room(l, e.name.n);
    if (rc < 0)
        return rc;
    if (!lost) {
        struct cursor from = *c;
        rc = place_one(l, &e, c, &what);
        if (rc == -EPERM && place_unlock(l, &e)) {
            *c = from;
            rc = place_one(l, &e, c, &what);
        }
        return entry_done(l, &e, rc, what);
    }
    uint64_t at = 0, offset = 0;
    struct bytes data;
    for (uint32_t i = 0; rc == 0 && i < e.nsegments; i++)
        rc = segment_get(c, e.meta.size, &at, &offset, &data);
    return rc;
}

int place_batch(struct rlane *l, struct cursor *c)
{
    if (l->r->spec->options.dry_run)
        return -EPROTO;
    int rc = batch_folder(l, c);
    bool lost = rc == 1;
    while (rc >= 0 && cursor_left(c) > 0) {
        if (*c->at == BATCH_FOLDER) {
            (void)cursor_u8(c);
            rc = batch_folder(l, c);
            lost = rc == 1;
        } else {
            rc = batch_one(l, c, lost);
        }
    }
    return rc < 0 ? rc : 0;
}
