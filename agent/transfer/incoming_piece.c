/* incoming_piece: the pieces of a larger file and its end: digests, its name, its row. Lane
 * threads; each file has its own lock. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/transfer/digest.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"

static const uint8_t zeros[64 << 10];

void incoming_drop_piece(struct rlane *l)
{
    direct_drop(&l->direct);
    if (l->piece_of)
        incoming_unref(l->r, l->piece_of);
    l->piece_of = NULL;
}

static int hash_zeros(struct rlane *l, uint64_t to)
{
    while (l->piece_at < to) {
        uint64_t n = to - l->piece_at < sizeof zeros ? to - l->piece_at : sizeof zeros;
        (void)XXH3_128bits_update(l->piece_hash, zeros, n);
        l->piece_at += n;
    }
    return 0;
}

/* Makes piece the one that this lane receives. -ESRCH: the file is not under way any more. */
static int piece_enter(struct rlane *l, uint32_t id, uint32_t piece)
{
    if (l->piece_of && l->piece_of->id == id && l->piece == piece)
        return 0;
    if (!l->piece_of || l->piece_of->id != id) {
        incoming_drop_piece(l);
        l->piece_of = incoming_ref(l->r, id);
    }
    if (!l->piece_of)
        return -ESRCH;
    if (piece >= l->piece_of->npieces)
        return -EBADMSG;
    l->piece = piece;
    l->piece_at = piece * PIECE_BYTES;
    l->piece_data = 0;
    direct_drop(&l->direct);
    (void)XXH3_128bits_reset(l->piece_hash);
    return 0;
}

int incoming_chunk(struct rlane *l, struct cursor *c)
{
    struct chunk k;
    int rc = chunk_get(c, &k);
    if (rc < 0 || delta_chunk(l, &k, &rc))
        return rc;
    rc = piece_enter(l, k.id, (uint32_t)(k.offset / PIECE_BYTES));
    if (rc == -ESRCH)
        return 0;
    if (rc < 0)
        return rc;
    struct incoming *in = l->piece_of;
    uint64_t end = l->piece * PIECE_BYTES + piece_len(in->meta.size, l->piece);
    if (k.offset < l->piece_at || k.offset > end || k.data.n > end - k.offset)
        return -EBADMSG;
    if (incoming_is_over(in))
        return 0;
    (void)hash_zeros(l, k.offset);
    (void)XXH3_128bits_update(l->piece_hash, k.data.p, k.data.n);
    l->piece_at += k.data.n;
    l->piece_data += k.data.n;
    FAULT_POINT("chunk-in");
    rc = direct_left_ended(&l->direct) ? incoming_settle(l) : 0;
    if (rc < 0)
        return rc;
    rc = direct_put(&l->direct, in->fd, in->direct_fd, k.data.p, k.data.n, k.offset);
    return rc < 0 ? incoming_fail(l, in, -rc, "write") : 0;
}

static void file_digest(const struct incoming *in, uint8_t ret[DIGEST_BYTES])
{
    if (in->npieces == 1) {
        memcpy(ret, in->digests, DIGEST_BYTES);
        return;
    }
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(in->digests, (size_t)in->npieces * DIGEST_BYTES));
    memcpy(ret, c.digest, DIGEST_BYTES);
}

/* A file that had its size before its data must be on the disk before it gets its name: else a
 * power cut can leave one with holes that the next run takes for the whole. */
static int content_settle(const struct incoming *in)
{
    struct stat st;
    if (fstat(in->fd, &st) < 0)
        return -errno;
    if (in->npieces < 2 && (uint64_t)st.st_size == in->meta.size)
        return 0;
    if (ftruncate(in->fd, (off_t)in->meta.size) < 0 || (!in->later && fdatasync(in->fd) < 0))
        return -errno;
    return 0;
}

/* Its name, or one more temporary name that none but the flush knows: the same file may come
 * again meanwhile. */
static int incoming_rename(struct rlane *l, const struct incoming *in, const char *name)
{
    char temp[PAIR_TEMP_MAX];
    if (!in->later)
        return place_rename(l->r, in->folder_fd, in->temp, name);
    uint64_t number = atomic_fetch_add(&l->r->temp_number, 1);
    int rc = naming_room(l, in->folder_len, in->name_len);
    temp_small(l->r->token, number, temp);
    if (rc == 0 && renameat(in->folder_fd, in->temp, in->folder_fd, temp) < 0)
        rc = -errno;
    if (rc == 0)
        l->placed.temp = number | ROW_WAITS;
    return rc;
}

/* All pieces are there and the source says that the file held still. */
static int incoming_complete(struct rlane *l, struct incoming *in)
{
    char *name = xmemdup(in->name, in->name_len);
    const char *what = "write";
    FAULT_POINT("pieces-whole");
    int rc = content_settle(in);
    if (rc == 0) {
        FAULT_POINT("content-settled");
        what = "metadata";
        rc = place_meta(l, in->fd, &in->meta, (struct bytes){(char *)in->xattrs, in->xattrs_len},
                        in->inherits);
    }
    if (rc == 0) {
        what = "rename";
        rc = incoming_rename(l, in, name);
    }
    if (rc == 0)
        rc = place_spool_late(l->r, incoming_folder(in), incoming_name(in), &in->meta,
                              (struct bytes){(char *)in->xattrs, in->xattrs_len});
    free(name);
    place_note_losses(l, incoming_folder(in), incoming_name(in));
    if (rc < 0) {
        in->over = false;
        l->placed.temp = 0;
        rc = incoming_fail(l, in, -rc, what);
        incoming_unlist(l->r, in);
        return rc;
    }
    uint8_t digest[DIGEST_BYTES];
    FAULT_POINT("large-renamed");
    file_digest(in, digest);
    l->placed.files++;
    l->placed.entries++;
    l->placed.bytes += in->meta.size;
    l->placed.parts -= (int64_t)in->done_bytes;
    if (l->r->spec->options.evidence)
        evidence_large(l, in, digest);
    else
        durable_row(&l->placed, incoming_folder(in), incoming_name(in), &in->meta, digest);
    incoming_forget(l->r, in);
    incoming_unlist(l->r, in);
    return 0;
}

/* Under in->lock: is it this caller who completes? */
static bool completes(struct incoming *in)
{
    if (in->over || !in->end_ok || in->ndone < in->npieces)
        return false;
    in->over = true;
    return true;
}

int incoming_piece_done(struct rlane *l, struct incoming *in, uint32_t piece,
                        const uint8_t digest[DIGEST_BYTES], uint64_t data)
{
    bool complete = false;
    (void)pthread_mutex_lock(&l->r->lock); /* a piece and its count become durable together */
    (void)pthread_mutex_lock(&in->lock);
    bool fresh = !in->over && !((in->bitmap[piece / 8] >> (piece % 8)) & 1);
    if (fresh) {
        in->bitmap[piece / 8] |= (uint8_t)(1U << (piece % 8));
        memcpy(in->digests + (size_t)piece * DIGEST_BYTES, digest, DIGEST_BYTES);
        in->ndone++;
        in->done_bytes += piece_len(in->meta.size, piece);
        l->r->pending.data += data;
        complete = completes(in);
    }
    (void)pthread_mutex_unlock(&in->lock);
    (void)pthread_mutex_unlock(&l->r->lock);
    if (fresh) {
        l->placed.parts += (int64_t)piece_len(in->meta.size, piece);
        l->placed.content += piece_len(in->meta.size, piece);
        l->placed.past += in->direct_fd >= 0 ? piece_len(in->meta.size, piece) : 0;
    }
    return complete ? incoming_complete(l, in) : 0;
}

/* The digest of the piece that ends now; a hole of a whole piece is known beforehand. */
static void piece_digest(struct rlane *l, const struct incoming *in, uint8_t ret[DIGEST_BYTES])
{
    uint64_t start = l->piece * PIECE_BYTES, len = piece_len(in->meta.size, l->piece);
    if (l->piece_at == start && len == PIECE_BYTES) {
        memcpy(ret, digest_zero_piece, DIGEST_BYTES);
        return;
    }
    (void)hash_zeros(l, start + len);
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(l->piece_hash));
    memcpy(ret, c.digest, DIGEST_BYTES);
}

int incoming_settle(struct rlane *l)
{
    struct piece_left left = l->left;
    if (!left.of)
        return 0;
    l->left.of = NULL;
    int rc = direct_left(&l->direct);
    if (rc < 0)
        rc = incoming_fail(l, left.of, -rc, "write");
    else
        rc = incoming_piece_done(l, left.of, left.piece, left.digest, left.data);
    incoming_unref(l->r, left.of);
    return rc;
}

/* The piece is whole. The disk has time for the end of it while the next one comes. */
static int piece_leave(struct rlane *l, const uint8_t digest[DIGEST_BYTES])
{
    struct incoming *in = l->piece_of;
    if (incoming_is_over(in))
        return 0;
    int rc = direct_leave(&l->direct, in->fd, in->direct_fd);
    if (rc < 0)
        return incoming_fail(l, in, -rc, "write");
    l->left = (struct piece_left){.of = in, .piece = l->piece, .data = l->piece_data};
    memcpy(l->left.digest, digest, DIGEST_BYTES);
    l->piece_of = NULL;
    return direct_left_ended(&l->direct) ? incoming_settle(l) : 0;
}

int incoming_piece_end(struct rlane *l, struct cursor *c)
{
    struct piece_end p;
    uint8_t digest[DIGEST_BYTES];
    int rc = piece_end_get(c, &p);
    if (rc < 0 || delta_piece_end(l, &p, &rc))
        return rc;
    rc = piece_enter(l, p.id, p.piece);
    if (rc < 0)
        return rc == -ESRCH ? 0 : rc;
    FAULT_POINT("piece-in");
    rc = incoming_settle(l);
    if (rc < 0)
        return rc;
    struct incoming *in = l->piece_of;
    piece_digest(l, in, digest);
    if (memcmp(digest, p.digest, DIGEST_BYTES) != 0)
        rc = incoming_fail(l, in, EBADMSG, "digest");
    else
        rc = piece_leave(l, digest);
    incoming_drop_piece(l);
    return rc;
}

int incoming_end(struct rlane *l, struct cursor *c)
{
    uint32_t id = cursor_u32(c);
    bool ok = cursor_u8(c);
    if (c->bad)
        return -EBADMSG;
    struct incoming *in = incoming_ref(l->r, id);
    if (!in)
        return 0;
    (void)pthread_mutex_lock(&in->lock);
    in->end_ok = ok;
    bool complete = completes(in), drop = !complete && (in->over || !ok),
         give_up = drop && !in->over;
    in->over = in->over || drop;
    (void)pthread_mutex_unlock(&in->lock);
    int rc = 0;
    if (complete)
        rc = incoming_complete(l, in);
    if (give_up) {
        l->placed.parts -= (int64_t)in->done_bytes;
        (void)unlinkat(in->folder_fd, in->temp, 0);
        incoming_forget(l->r, in);
    }
    if (drop)
        incoming_unlist(l->r, in);
    incoming_unref(l->r, in);
    return rc;
}
