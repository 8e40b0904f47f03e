/* pull_large: pieces of a large file: eight reads of 1 MiB under way at once, also from one piece
 * to the next, on each worker's own connection. What comes is written here where the destination is
 * this process. Worker threads. */
#include <errno.h>
#include <string.h>

#include "agent/pull/pull_priv.h"
#include "common/base/cleanup.h"

#define READ_BYTES SMB_READ_MAX
#define READS 8U /* under way on one connection */
#define CHUNK_ROOM (LANE_HEADER_BYTES + CHUNK_HEAD_BYTES)
#define RUN_PIECES 16U /* then this worker looks after what else there is */

/* Of struct large: whose path it is. */
struct remote {
    const struct folder *folder;
    const char *name;
};

int pull_large(struct worker *w, struct folder *f, const char *name, const struct meta *m)
{
    struct puller *k = w->own;
    struct remote r = {f, name};
    buf_clear(&w->xattrs);
    buf_put(&w->xattrs, k->xattrs.data, k->xattrs.len);
    return large_send_file(w, f, name, &r, m);
}

void pull_large_close(struct worker *w)
{
    struct puller *k = w->own;
    if (!k->open_id)
        return;
    k->open_id = 0;
    smb_shut(k->smb, &k->open);
}

/* The one that this worker has open, or another. */
static int open_large(struct worker *w, const struct large *g)
{
    struct puller *k = w->own;
    const struct remote *r = g->file;
    const char *path = NULL;
    size_t len = 0;
    if (k->open_id == g->id)
        return 0;
    pull_large_close(w);
    int rc = pull_path(w, r->folder, r->name, &path, &len);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    if (rc == 0)
        rc = smb_put_open(c, path, len, SMB_OPEN_FILE);
    rc = pull_ask(w, c, rc);
    if (rc == 0)
        rc = smb_get_open(c, 0, &k->open, NULL);
    if (rc == 0)
        k->open_id = g->id;
    return rc;
}

/* What one read brought, in chunks. A record's head goes where SMB's stood, or what was sent. */
static int send_chunks(struct worker *w, const struct large *g, uint64_t at, uint8_t *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        size_t part = n - done < CHUNK_BYTES ? n - done : CHUNK_BYTES;
        struct buf b = {.data = p + done - CHUNK_ROOM, .len = CHUNK_ROOM + part};
        chunk_head_put(b.data + LANE_HEADER_BYTES, g->id, at + done);
        int rc = worker_send(w, REC_CHUNK, &b);
        if (rc < 0)
            return rc;
        done += part;
    }
    return 0;
}

/* ── a run of pieces: what comes next is asked for while what came is taken ── */

struct run {
    struct large *g;
    struct smb_call *calls[READS]; /* under way, the oldest at first */
    unsigned first, n;
    uint32_t asking;  /* the piece that is asked for */
    uint64_t at, end; /* of it: what is asked for next */
    uint32_t next;    /* the piece after the one that is taken, when has_next */
    bool has_next;
    unsigned left; /* pieces that may still be claimed */
    bool near;     /* of the piece that is taken */
    int near_err;
};

static void run_enter(struct run *r, uint32_t piece)
{
    r->asking = piece;
    r->at = piece * PIECE_BYTES;
    r->end = r->at + piece_len(r->g->meta.size, piece);
}

/* One piece ahead at most: others want some too. */
static bool run_more(struct worker *w, struct run *r)
{
    if (r->at < r->end)
        return true;
    if (r->has_next || r->left == 0 || !large_claim(w->s, r->g, &r->next))
        return false;
    r->left--;
    r->has_next = true;
    run_enter(r, r->next);
    return true;
}

static int run_ask(struct worker *w, struct run *r)
{
    struct puller *k = w->own;
    int rc = 0;
    while (rc == 0 && r->n < READS && run_more(w, r)) {
        uint32_t n = r->end - r->at < READ_BYTES ? (uint32_t)(r->end - r->at) : READ_BYTES;
        struct smb_call *c = smb_call_new(k->smb);
        r->calls[(r->first + r->n++) % READS] = c;
        rc = smb_put_read(c, &k->open, r->at, n);
        if (rc == 0)
            rc = smb_send(c);
        r->at += n;
    }
    return rc;
}

static int send_read(struct worker *w, struct run *r, uint64_t at, uint8_t *p, size_t n)
{
    (void)XXH3_128bits_update(w->hash, p, n);
    (void)pull_count_sent(w, n);
    return r->near ? near_write(w, r->g, p, n, at, &r->near_err) : send_chunks(w, r->g, at, p, n);
}

/* The oldest read. *reterr: of the file. */
static int run_take(struct worker *w, struct run *r, uint64_t at, size_t want, int *reterr)
{
    CLEANUP(smb_call_free) struct smb_call *c = r->calls[r->first];
    uint8_t *data = NULL;
    size_t len = 0;
    r->first = (r->first + 1) % READS;
    r->n--;
    int rc = pull_wait(w, c);
    if (rc < 0)
        return rc;
    *reterr = smb_take_data(c, 0, CHUNK_ROOM, &data, &len);
    if (*reterr == 0 && len != want)
        *reterr = -EBUSY;
    return *reterr < 0 ? 0 : send_read(w, r, at, data, len);
}

static int end_send(struct worker *w, const struct run *r, uint32_t piece)
{
    struct piece_end p = {.id = r->g->id, .piece = piece};
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(w->hash));
    memcpy(p.digest, c.digest, DIGEST_BYTES);
    return r->near ? near_piece_end(w, r->g, &p, r->near_err)
                   : large_piece_end(w, r->g, piece, p.digest);
}

static int run_piece(struct worker *w, struct run *r, uint32_t piece, int *reterr)
{
    uint64_t at = piece * PIECE_BYTES, end = at + piece_len(r->g->meta.size, piece);
    int rc = 0;
    r->near = near_begin(w, r->g);
    r->near_err = 0;
    (void)XXH3_128bits_reset(w->hash);
    while (rc == 0 && *reterr == 0 && at < end) {
        size_t n = end - at < READ_BYTES ? (size_t)(end - at) : READ_BYTES;
        rc = run_ask(w, r);
        if (rc == 0)
            rc = run_take(w, r, at, n, reterr);
        at += n;
    }
    return rc < 0 || *reterr < 0 ? rc : end_send(w, r, piece);
}

/* The piece is in hand, as is each that the run claims: all but the last are let go of here. */
static int run_pieces(struct worker *w, struct run *r, uint32_t piece, int *reterr)
{
    run_enter(r, piece);
    for (;;) {
        int rc = run_piece(w, r, piece, reterr);
        if (rc == 0 && *reterr == 0)
            rc = worker_pump(w, 0);
        if (!r->has_next)
            return rc < 0 ? rc : 0;
        large_release(w->s, r->g, rc < 0 ? -ECANCELED : *reterr);
        if (rc < 0 || *reterr < 0)
            return rc;
        piece = r->next;
        r->has_next = false;
    }
}

int pull_piece(struct worker *w, struct large *g, uint32_t piece, int *reterr)
{
    struct puller *k = w->own;
    struct run r = {.g = g, .left = RUN_PIECES - 1};
    int rc = open_large(w, g);
    if (rc < 0 && !smb_is_lost(k->smb)) {
        *reterr = rc == -ETXTBSY || rc == -ENOENT ? -EBUSY : rc;
        return 0;
    }
    if (rc == 0)
        rc = run_pieces(w, &r, piece, reterr);
    for (; r.n > 0; r.n--) {
        (void)smb_call_free(r.calls[r.first]);
        r.first = (r.first + 1) % READS;
    }
    return rc;
}

bool pull_held_still(struct worker *w, const struct large *g)
{
    struct puller *k = w->own;
    const struct remote *r = g->file;
    const char *path = NULL;
    size_t len = 0;
    struct smb_info now;
    pull_large_close(w);
    int rc = pull_path(w, r->folder, r->name, &path, &len);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    if (rc == 0)
        rc = smb_put_open(c, path, len, SMB_OPEN_FILE | SMB_OPEN_ATTRIBUTES);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = pull_ask(w, c, rc);
    if (rc == 0)
        rc = smb_get_open(c, 0, NULL, &now);
    if (rc < 0)
        return false;
    struct meta m;
    pull_meta(&now, false, &m);
    m.ino = g->meta.ino;
    return meta_same_content(&m, &g->meta, true);
}
