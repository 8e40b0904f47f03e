/* pull_large: pieces of a large file: eight reads of 1 MiB under way at once, on each worker's own
 * connection. Worker threads. */
#include <errno.h>
#include <string.h>

#include "agent/pull/pull_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define READS (PIECE_BYTES / SMB_READ_MAX)

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

/* What one read brought, in chunks. */
static int send_read(struct worker *w, const struct large *g, uint64_t at, const uint8_t *p,
                     size_t n)
{
    struct buf *b = &w->record;
    for (size_t done = 0; done < n;) {
        size_t part = n - done < CHUNK_BYTES ? n - done : CHUNK_BYTES;
        worker_head(b);
        uint8_t *head = buf_reserve(b, CHUNK_HEAD_BYTES + part);
        if (!head)
            return -EMSGSIZE;
        chunk_head_put(head, g->id, at + done);
        memcpy(head + CHUNK_HEAD_BYTES, p + done, part);
        (void)XXH3_128bits_update(w->hash, p + done, part);
        b->len += CHUNK_HEAD_BYTES + part;
        (void)pull_count_sent(w, part);
        int rc = worker_send(w, REC_CHUNK, b);
        if (rc < 0)
            return rc;
        done += part;
    }
    return 0;
}

static int end_send(struct worker *w, const struct large *g, uint32_t piece)
{
    struct piece_end p = {.id = g->id, .piece = piece};
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(w->hash));
    memcpy(p.digest, c.digest, DIGEST_BYTES);
    worker_head(&w->record);
    piece_end_put(&w->record, &p);
    return worker_send(w, REC_PIECE_END, &w->record);
}

static int reads_send(struct worker *w, uint64_t at, uint64_t end, struct smb_call *calls[])
{
    struct puller *k = w->own;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && at < end; i++) {
        uint32_t n = end - at < SMB_READ_MAX ? (uint32_t)(end - at) : SMB_READ_MAX;
        calls[i] = smb_call_new(k->smb);
        rc = smb_put_read(calls[i], &k->open, at, n);
        if (rc == 0)
            rc = smb_send(calls[i]);
        at += n;
    }
    return rc;
}

/* *reterr: of the file. */
static int reads_take(struct worker *w, const struct large *g, uint64_t at, uint64_t end,
                      struct smb_call *calls[], int *reterr)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && *reterr == 0 && at < end; i++) {
        const void *data = NULL;
        size_t len = 0, want = end - at < SMB_READ_MAX ? (size_t)(end - at) : SMB_READ_MAX;
        rc = pull_wait(w, calls[i]);
        if (rc == 0)
            *reterr = smb_get_data(calls[i], 0, &data, &len);
        if (rc == 0 && *reterr == 0 && len != want)
            *reterr = -EBUSY;
        if (rc == 0 && *reterr == 0)
            rc = send_read(w, g, at, data, len);
        at += want;
    }
    return rc;
}

int pull_piece(struct worker *w, const struct large *g, uint32_t piece, int *reterr)
{
    struct puller *k = w->own;
    struct smb_call *calls[READS] = {NULL};
    uint64_t at = piece * PIECE_BYTES, end = at + piece_len(g->meta.size, piece);
    (void)XXH3_128bits_reset(w->hash);
    int rc = open_large(w, g);
    if (rc < 0 && !smb_is_lost(k->smb)) {
        *reterr = rc == -ETXTBSY || rc == -ENOENT ? -EBUSY : rc;
        return 0;
    }
    if (rc == 0)
        rc = reads_send(w, at, end, calls);
    if (rc == 0)
        rc = reads_take(w, g, at, end, calls, reterr);
    for (unsigned i = 0; i < READS; i++)
        (void)smb_call_free(calls[i]);
    if (rc < 0 || *reterr < 0)
        return rc;
    return end_send(w, g, piece);
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
