/* delta_receive: pieces that the source offers by their digest. They are made of the older file of
 * that name, or of the one that it shares blocks with, and the blocks that differ, in memory, and
 * written to the temporary file once their digest is right, whatever happens to the older file
 * meanwhile. Lane threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/transfer/delta.h"
#include "agent/transfer/delta_piece.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define ROOMS (DELTA_AHEAD + 1) /* one is being written while all that may be offered are there */
#define SPARE_MOST 8U           /* of those last ones, of all lanes */

/* Of one lane, from the first offer on. */
struct held_pieces {
    XXH3_state_t *hash;
    struct delta_piece at[ROOMS];
    uint64_t turns; /* of those that are leaving; the least is the oldest */
    bool spare;     /* its last room is counted */
    uint8_t sums[PIECE_BLOCKS * SUM_BYTES];
};

static bool basis_take(struct rlane *l, struct incoming *in, const struct begin *g)
{
    int fd = l->r->can_share && g->basis.n > 0 ? basis_open(l, g, &in->old_size) : -1;
    if (fd < 0)
        return false;
    in->old_fd = fd;
    in->direct_fd = direct_open(in->folder_fd, in->temp, in->fd);
    (void)text_random(&in->seed, sizeof in->seed);
    return true;
}

void delta_open(struct rlane *l, struct incoming *in, const struct begin *g)
{
    struct stat st;
    if (basis_take(l, in, g) || (g->flags & BEGIN_FRESH) || !l->can_delta ||
        !l->r->spec->options.delta || in->npieces < 2)
        return;
    char name[NAME_BYTES_MAX + 1];
    memcpy(name, in->name, in->name_len);
    name[in->name_len] = '\0';
    int fd = openat(in->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < DELTA_OLD_MIN))
        fd = fd_close(fd);
    if (fd < 0)
        return;
    in->old_fd = fd;
    in->old_size = (uint64_t)st.st_size;
    in->old_direct_fd = direct_open(in->folder_fd, name, fd);
    in->direct_fd = direct_open(in->folder_fd, in->temp, in->fd);
    (void)text_random(&in->seed, sizeof in->seed);
}

static void held_drop(struct rlane *l, struct delta_piece *h)
{
    if (h->in)
        incoming_unref(l->r, h->in);
    h->in = NULL;
}

void delta_done(struct rlane *l)
{
    if (!l->held)
        return;
    for (unsigned i = 0; i < ROOMS; i++) {
        delta_piece_done(&l->held->at[i]);
        held_drop(l, &l->held->at[i]);
    }
    if (l->held->spare)
        (void)atomic_fetch_sub(&l->r->spare_rooms, 1);
    (void)XXH3_freeState(l->held->hash);
    free(l->held);
    l->held = NULL;
}

/* ── what is leaving ── */

static struct delta_piece *oldest(const struct rlane *l)
{
    struct delta_piece *ret = NULL;
    for (unsigned i = 0; l->held && i < ROOMS; i++) {
        struct delta_piece *h = &l->held->at[i];
        if (h->leaving && (!ret || h->turn < ret->turn))
            ret = h;
    }
    return ret;
}

/* rc: of its writing. */
static int held_end(struct rlane *l, struct delta_piece *h, int rc)
{
    if (rc < 0) {
        rc = incoming_fail(l, h->in, -rc, "write");
    } else {
        FAULT_POINT("piece-made");
        rc = incoming_piece_done(l, h->in, h->piece, h->digest, h->came);
    }
    held_drop(l, h);
    return rc;
}

bool delta_leaves(const struct rlane *l)
{
    return oldest(l);
}

int delta_settle(struct rlane *l, bool wait)
{
    struct delta_piece *h = oldest(l);
    int rc = 0;
    for (; rc == 0 && h && (wait || delta_piece_has_landed(h)); h = oldest(l))
        rc = held_end(l, h, delta_piece_land(h));
    return rc;
}

/* ── rooms ── */

/* May this lane have its last room, too? */
static bool spare_take(struct rlane *l)
{
    if (!l->held->spare && atomic_fetch_add(&l->r->spare_rooms, 1) < SPARE_MOST)
        l->held->spare = true;
    else if (!l->held->spare)
        (void)atomic_fetch_sub(&l->r->spare_rooms, 1);
    return l->held->spare;
}

static struct delta_piece *room_free(struct rlane *l)
{
    for (unsigned i = 0; i < ROOMS; i++)
        if (!l->held->at[i].in && (i < DELTA_AHEAD || spare_take(l)))
            return &l->held->at[i];
    return NULL;
}

/* *ret: NULL: more than a source has under way. */
static int held_new(struct rlane *l, struct delta_piece **ret)
{
    unsigned offered = 0;
    int rc = 0;
    if (!l->held) {
        l->held = xcalloc(1, sizeof *l->held);
        l->held->hash = XXH3_createState();
    }
    for (unsigned i = 0; i < ROOMS; i++)
        offered += l->held->at[i].in && !l->held->at[i].leaving;
    struct delta_piece *h = offered < DELTA_AHEAD ? room_free(l) : NULL, *old = NULL;
    while (rc == 0 && !h && offered < DELTA_AHEAD && (old = oldest(l))) {
        rc = held_end(l, old, delta_piece_land(old));
        h = room_free(l);
    }
    if (h && !h->data)
        h->data = delta_piece_room();
    *ret = h;
    return rc;
}

static struct delta_piece *held_find(const struct rlane *l, uint32_t id, uint32_t piece)
{
    for (unsigned i = 0; l->held && i < ROOMS; i++) {
        struct delta_piece *h = &l->held->at[i];
        if (h->in && !h->leaving && h->in->id == id && h->piece == piece)
            return h;
    }
    return NULL;
}

static int answer(struct rlane *l, const struct sums *s)
{
    buf_clear(&l->out);
    sums_put(&l->out, s);
    return receive_lane_reply(l, REC_SUMS);
}

static int holes_take(struct delta_piece *h, const struct offer *o, struct cursor *c)
{
    uint32_t at = 0;
    h->nholes = o->nholes; /* at most OFFER_HOLES_MAX */
    for (uint32_t i = 0; i < o->nholes; i++)
        if (hole_get(c, &at, &h->holes[i]) < 0)
            return -EBADMSG;
    return at <= h->len ? 0 : -EBADMSG;
}

/* Its digest is right. */
static int held_place(struct rlane *l, struct delta_piece *h, const uint8_t digest[DIGEST_BYTES])
{
    memcpy(h->digest, digest, DIGEST_BYTES);
    h->turn = ++l->held->turns;
    int rc = incoming_is_over(h->in) ? 0 : delta_piece_write(h);
    return rc == 0 && h->leaving ? 0 : held_end(l, h, rc);
}

/* 1: the piece is not wanted any more, or not at all. */
static int offer_check(struct rlane *l, const struct offer *o, struct incoming **ret)
{
    struct incoming *in = incoming_ref(l->r, o->id);
    *ret = in;
    if (!in)
        return 1;
    if (o->piece >= in->npieces)
        return -EBADMSG;
    if (!incoming_wants(in, o->piece))
        return 1;
    return in->old_fd < 0 ? -EBADMSG : 0;
}

static int offer_take(struct rlane *l, struct delta_piece *h, const struct offer *o)
{
    uint8_t digest[DIGEST_BYTES];
    struct sums s = {.id = o->id, .piece = o->piece, .kind = SUMS_SAME};
    delta_piece_fill(h, l->held->hash, digest);
    bool same = memcmp(digest, o->digest, DIGEST_BYTES) == 0;
    if (!same) {
        delta_sums(h->data, h->len, h->in->seed, l->held->sums);
        s.kind = SUMS_BLOCKS;
        s.blocks = (struct bytes){(const char *)l->held->sums, delta_blocks(h->len) * SUM_BYTES};
    }
    FAULT_POINT("piece-compared");
    int rc = answer(l, &s);
    if (rc == 0 && same)
        return held_place(l, h, digest);
    if (same)
        held_drop(l, h);
    return rc;
}

int delta_offer(struct rlane *l, struct cursor *c)
{
    struct offer o;
    struct incoming *in = NULL;
    int rc = offer_get(c, &o);
    if (rc == 0)
        rc = offer_check(l, &o, &in);
    struct delta_piece *h = NULL;
    if (rc == 0)
        rc = held_new(l, &h);
    if (rc == 0 && h) {
        h->in = in; /* and its reference */
        h->piece = o.piece;
        h->len = piece_len(in->meta.size, o.piece);
        h->came = 0;
        rc = holes_take(h, &o, c);
        return rc < 0 ? rc : offer_take(l, h, &o);
    }
    if (in)
        incoming_unref(l->r, in);
    if (rc == 1)
        return answer(l, &(struct sums){.id = o.id, .piece = o.piece, .kind = SUMS_SAME});
    return rc < 0 ? rc : -EBADMSG;
}

bool delta_chunk(struct rlane *l, const struct chunk *k, int *ret)
{
    struct delta_piece *h = held_find(l, k->id, (uint32_t)(k->offset / PIECE_BYTES));
    if (!h)
        return false;
    uint64_t at = k->offset % PIECE_BYTES;
    *ret = at > h->len || k->data.n > h->len - at ? -EBADMSG : 0;
    if (*ret == 0)
        delta_piece_change(h, at, k->data.p, k->data.n);
    h->came += k->data.n;
    FAULT_POINT("chunk-in");
    return true;
}

bool delta_piece_end(struct rlane *l, const struct piece_end *p, int *ret)
{
    uint8_t digest[DIGEST_BYTES];
    struct delta_piece *h = held_find(l, p->id, p->piece);
    if (!h)
        return false;
    digest_bytes(h->data, h->len, digest);
    if (memcmp(digest, p->digest, DIGEST_BYTES) == 0) {
        *ret = held_place(l, h, digest);
        return true;
    }
    *ret = incoming_fail(l, h->in, EBADMSG, "digest");
    held_drop(l, h);
    return true;
}
