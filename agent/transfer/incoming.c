/* incoming: larger files that come in pieces over any lane, from their beginning on. The temporary
 * file keeps its name over a crash, so that durable pieces need not come again. Not the pieces
 * (incoming_piece.c). Lane threads; each file has its own lock. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/beneath.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

/* What 16 lanes can have under way, each with the largest file. */
#define INCOMING_PIECES_MAX (16ULL * PIECES_MAX)
/* A file up to it gets its name with those of the next sync; a larger one is synced by itself and
 * found again by its temporary name, for it is not to be sent a second time. */
#define LATER_MAX (64ULL << 20)

struct bytes incoming_folder(const struct incoming *in)
{
    return (struct bytes){in->folder, in->folder_len};
}

struct bytes incoming_name(const struct incoming *in)
{
    return (struct bytes){in->name, in->name_len};
}

static void incoming_free(struct incoming *in)
{
    if (in->fd >= 0)
        (void)fd_close(in->fd);
    if (in->folder_fd >= 0)
        (void)fd_close(in->folder_fd);
    if (in->old_fd >= 0)
        (void)fd_close(in->old_fd);
    if (in->old_direct_fd >= 0)
        (void)fd_close(in->old_direct_fd);
    if (in->direct_fd >= 0)
        (void)fd_close(in->direct_fd);
    free(in->folder);
    free(in->name);
    free(in->xattrs);
    free(in->bitmap);
    free(in->digests);
    (void)pthread_mutex_destroy(&in->lock);
    free(in);
}

struct incoming *incoming_ref(struct receiver *r, uint32_t id)
{
    (void)pthread_mutex_lock(&r->lock);
    struct incoming *in = r->incoming;
    while (in && in->id != id)
        in = in->next;
    if (in)
        in->refs++;
    (void)pthread_mutex_unlock(&r->lock);
    return in;
}

void incoming_unref(struct receiver *r, struct incoming *in)
{
    (void)pthread_mutex_lock(&r->lock);
    bool last = --in->refs == 0;
    (void)pthread_mutex_unlock(&r->lock);
    if (last)
        incoming_free(in);
}

void incoming_unlist(struct receiver *r, struct incoming *in)
{
    bool listed = false;
    (void)pthread_mutex_lock(&r->lock);
    for (struct incoming **at = &r->incoming; *at; at = &(*at)->next) {
        if (*at != in)
            continue;
        *at = in->next;
        r->nincoming--;
        r->incoming_pieces -= in->npieces;
        listed = true;
        break;
    }
    (void)pthread_mutex_unlock(&r->lock);
    if (listed)
        incoming_unref(r, in);
}

void incoming_forget(struct receiver *r, const struct incoming *in)
{
    if (!in->kept_partial)
        return;
    (void)pthread_mutex_lock(&r->cat_lock);
    (void)catalogue_partial_forget(r->cat, in->folder, in->folder_len, in->name, in->name_len);
    (void)pthread_mutex_unlock(&r->cat_lock);
}

int incoming_fail(struct rlane *l, struct incoming *in, int err, const char *what)
{
    (void)pthread_mutex_lock(&in->lock);
    bool first = !in->over;
    in->over = true;
    (void)pthread_mutex_unlock(&in->lock);
    if (!first)
        return 0;
    l->placed.parts -= (int64_t)in->done_bytes;
    (void)unlinkat(in->folder_fd, in->temp, 0);
    incoming_forget(l->r, in);
    struct failure f = {in->folder, in->name, in->folder_len, in->name_len, err, what};
    return receiver_failed(l, &f);
}

bool incoming_is_over(struct incoming *in)
{
    (void)pthread_mutex_lock(&in->lock);
    bool over = in->over;
    (void)pthread_mutex_unlock(&in->lock);
    return over;
}

bool incoming_wants(struct incoming *in, uint32_t piece)
{
    (void)pthread_mutex_lock(&in->lock);
    bool wants = !in->over && !((in->bitmap[piece / 8] >> (piece % 8)) & 1);
    (void)pthread_mutex_unlock(&in->lock);
    return wants;
}

/* ── BEGIN ── */

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool partial_fits(const struct catalogue_partial *p, const struct incoming *in)
{
    return p->of.size == in->meta.size && p->of.ino == in->meta.ino &&
           same_time(p->of.mtime, in->meta.mtime) && same_time(p->of.ctime, in->meta.ctime) &&
           p->piece_bytes == PIECE_BYTES && p->bitmap_len == (in->npieces + 7) / 8 &&
           p->piece_digests && strcmp(p->temp, in->temp) == 0;
}

/* The temporary file that a run of ours left; nobody else may have had a hand in it. */
static int temp_reopen(const struct receiver *r, const struct incoming *in)
{
    struct stat st;
    int fd = openat(in->folder_fd, in->temp, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 &&
        (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != r->euid ||
         (st.st_mode & 07777) != 0600 || (uint64_t)st.st_size != in->meta.size))
        fd = fd_close(fd);
    return fd;
}

/* What stands in a piece that is not whole would be read where the source has holes, for they are
 * not written: an older file's blocks, say, which it was to be made of then and is not now. Where
 * nothing can be cleared files share no blocks, and the same source has the same holes. */
static bool pieces_clear(const struct incoming *in, const uint8_t *bitmap)
{
    for (uint32_t i = 0, n; i < in->npieces; i += n + (n == 0)) {
        for (n = 0; i + n < in->npieces && !((bitmap[(i + n) / 8] >> ((i + n) % 8)) & 1);)
            n++;
        if (n > 0 &&
            fallocate(in->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(i * PIECE_BYTES),
                      (off_t)(n * PIECE_BYTES)) < 0 &&
            errno != EOPNOTSUPP)
            return false;
    }
    return true;
}

/* A row that no temporary file stands for must be gone for good before a new one takes its name:
 * else a crash would leave the row to vouch for pieces that were never written. */
static int partial_discard(struct receiver *r, struct incoming *in)
{
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = catalogue_partial_forget(r->cat, in->folder, in->folder_len, in->name, in->name_len);
    if (rc == 0)
        rc = catalogue_commit(r->cat);
    (void)pthread_mutex_unlock(&r->cat_lock);
    in->kept_partial = false;
    return rc;
}

/* Goes on with what a killed or cut run left, when it is of the very same file. 1: it does. */
static int partial_resume(struct receiver *r, struct incoming *in, bool fresh)
{
    struct catalogue_partial p = {0};
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = catalogue_partial_get(r->cat, in->folder, in->folder_len, in->name, in->name_len, &p);
    (void)pthread_mutex_unlock(&r->cat_lock);
    if (rc < 0)
        return 0;
    in->kept_partial = true;
    if (!fresh && partial_fits(&p, in))
        in->fd = temp_reopen(r, in);
    if (in->fd >= 0 && !pieces_clear(in, p.bitmap))
        in->fd = fd_close(in->fd);
    if (in->fd >= 0) {
        memcpy(in->bitmap, p.bitmap, p.bitmap_len);
        memcpy(in->digests, p.piece_digests, (size_t)in->npieces * DIGEST_BYTES);
        for (uint32_t i = 0; i < in->npieces; i++)
            if ((in->bitmap[i / 8] >> (i % 8)) & 1) {
                in->ndone++;
                in->done_bytes += piece_len(in->meta.size, i);
            }
    }
    catalogue_partial_done(&p);
    return in->fd >= 0 ? 1 : partial_discard(r, in);
}

static int temp_create(struct incoming *in)
{
    int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    in->fd = openat(in->folder_fd, in->temp, flags, 0600);
    if (in->fd < 0 && errno == EPERM) {
        (void)attrs_unlock(in->folder_fd, NULL); /* or another lane did so just now */
        in->fd = openat(in->folder_fd, in->temp, flags, 0600);
    }
    if (in->fd < 0 && errno == EEXIST) {
        uint64_t removed = 0;
        (void)beneath_remove(in->folder_fd, in->temp, &removed);
        in->fd = openat(in->folder_fd, in->temp, flags, 0600);
    }
    if (in->fd < 0)
        return -errno;
    attrs_set_early(in->fd, in->xattrs, in->xattrs_len);
    if (in->npieces < 2) /* grows with its data: see content_settle() */
        return 0;
    return ftruncate(in->fd, (off_t)in->meta.size) == 0 ? 0 : -errno;
}

static struct incoming *incoming_new(const struct begin *g)
{
    struct incoming *in = xcalloc(1, sizeof *in);
    (void)pthread_mutex_init(&in->lock, NULL);
    in->id = g->id;
    in->refs = 1;
    in->fd = in->folder_fd = in->old_fd = in->old_direct_fd = in->direct_fd = -1;
    in->meta = g->meta;
    in->npieces = piece_count(g->meta.size);
    in->folder = xmemdup(g->folder.p, g->folder.n);
    in->folder_len = g->folder.n;
    in->name = xmemdup(g->name.p, g->name.n);
    in->name_len = g->name.n;
    in->xattrs = g->xattrs.n ? xmemdup(g->xattrs.p, g->xattrs.n) : NULL;
    in->xattrs_len = g->xattrs.n;
    in->bitmap = xcalloc((in->npieces + 7) / 8 + 1, 1);
    in->digests = xcalloc((size_t)in->npieces + 1, DIGEST_BYTES);
    return in;
}

static int incoming_open(struct rlane *l, struct incoming *in, bool fresh)
{
    int rc = place_enter(l, incoming_folder(in), true);
    if (rc < 0)
        return rc;
    in->folder_fd = fcntl(l->at.fd, F_DUPFD_CLOEXEC, 0);
    if (in->folder_fd < 0)
        return -errno;
    in->inherits = l->at.inherits;
    in->later = l->at.later && in->meta.size <= LATER_MAX;
    rc = in->npieces > 1 ? partial_resume(l->r, in, fresh) : 0;
    if (rc != 0)
        return rc < 0 ? rc : 0;
    return temp_create(in);
}

static int begun_reply(struct rlane *l, const struct incoming *in)
{
    size_t len = (in->npieces + 7) / 8;
    bool some = in->ndone > 0 && len < LANE_RECORD_MAX / 2;
    struct begun b = {
        .id = in->id,
        .bitmap = {(const char *)in->bitmap, some ? len : 0},
        .old_size = in->old_size,
        .seed = in->seed
    };
    buf_clear(&l->out);
    begun_put(&l->out, &b);
    return receive_lane_reply(l, REC_BEGUN);
}

/* Under lock: does a file that is under way use this temporary name? */
static bool is_taken(const struct receiver *r, const struct incoming *in)
{
    for (const struct incoming *o = r->incoming; o; o = o->next)
        if (o->folder_len == in->folder_len && strcmp(o->temp, in->temp) == 0 &&
            memcmp(o->folder, in->folder, in->folder_len) == 0)
            return true;
    return false;
}

/* Under way from now on. -EPROTO: more than a source has at once. *rettaken: the same file comes
 * already, and what comes of it here is left alone. */
static int incoming_enlist(struct receiver *r, struct incoming *in, bool *rettaken)
{
    (void)pthread_mutex_lock(&r->lock);
    bool room =
        r->nincoming < INCOMING_MAX && r->incoming_pieces + in->npieces <= INCOMING_PIECES_MAX;
    *rettaken = is_taken(r, in);
    if (room) {
        r->nincoming++;
        r->incoming_pieces += in->npieces;
        in->refs++;
        in->next = r->incoming;
        r->incoming = in;
        in->over = true; /* not to be written to before it is open */
    }
    (void)pthread_mutex_unlock(&r->lock);
    return room ? 0 : -EPROTO;
}

int incoming_begin(struct rlane *l, struct cursor *c)
{
    struct receiver *r = l->r;
    struct begin g;
    int rc = begin_get(c, &g);
    if (rc < 0 || r->spec->options.dry_run)
        return rc < 0 ? rc : -EPROTO;
    bool taken = false;
    struct incoming *in = incoming_new(&g);
    temp_large(r->token, in->name, in->name_len, in->temp);
    rc = incoming_enlist(r, in, &taken);
    if (rc == 0 && !taken) {
        rc = incoming_open(l, in, g.flags & BEGIN_FRESH);
        l->placed.parts += (int64_t)in->done_bytes;
        if (rc == 0)
            delta_open(l, in, &g);
        /* A file of one piece grows as it is written: past the cache that is slow. */
        if (rc == 0 && in->direct_fd < 0 && in->npieces > 1)
            in->direct_fd = direct_open(in->folder_fd, in->temp, in->fd);
        if (rc == 0)
            near_offer(l, in);
        (void)pthread_mutex_lock(&in->lock);
        in->over = false;
        (void)pthread_mutex_unlock(&in->lock);
    } else if (rc < 0) {
        incoming_unref(r, in);
        return rc;
    }
    int rc2 = rc < 0 ? incoming_fail(l, in, -rc, "create") : 0;
    if (rc2 == 0)
        rc2 = begun_reply(l, in);
    incoming_unref(r, in);
    return rc2;
}

void incoming_drop_all(struct receiver *r, bool remove)
{
    while (r->incoming) {
        struct incoming *in = r->incoming;
        /* A file of one piece has nothing to go on from. */
        if (in->folder_fd >= 0 && !in->over && (remove || in->npieces < 2))
            (void)unlinkat(in->folder_fd, in->temp, 0);
        if (remove)
            incoming_forget(r, in);
        incoming_unlist(r, in);
    }
}
