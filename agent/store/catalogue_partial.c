/* catalogue_partial: large files that are partly there: temporary name, which pieces, their
 * digests. Rows join the transaction that the next commit ends. One thread at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/store/catalogue_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define PIECES_MAX (4U << 20) /* 32 TiB in pieces of 8 MiB */
#define DIGEST_BYTES 16

static size_t bits_len(uint64_t pieces)
{
    return (size_t)((pieces + 7) / 8);
}

static uint64_t pieces_of(const struct catalogue_partial *p)
{
    if (p->piece_bytes == 0)
        return 0;
    return p->of.size / p->piece_bytes + (p->of.size % p->piece_bytes != 0);
}

void catalogue_partial_done(struct catalogue_partial *p)
{
    free(p->bitmap);
    free(p->piece_digests);
    p->bitmap = p->piece_digests = NULL;
    p->bitmap_len = 0;
}

static int bind_key(sqlite3_stmt *st, const char *folder, size_t folder_len, const char *name,
                    size_t name_len)
{
    int rc = catalogue_bind(st, 1, folder, folder_len);
    return rc == 0 ? catalogue_bind(st, 2, name, name_len) : rc;
}

static void pack_partial(struct buf *b, const struct catalogue_partial *p)
{
    struct buf records;
    buf_init(&records, SEGMENT_BYTES_MAX);
    pack_record(&records, "file", 4, &p->of);
    buf_put_blob(b, records.data, records.len);
    buf_done(&records);
    buf_put_blob(b, p->temp, strnlen(p->temp, sizeof p->temp - 1));
    buf_put_u64(b, p->piece_bytes);
    buf_put_blob(b, p->bitmap, p->bitmap_len);
    buf_put_blob(b, p->piece_digests, p->piece_digests ? pieces_of(p) * DIGEST_BYTES : 0);
}

/* Our own bytes, but of an earlier process on a disk: shape and sizes are checked all the same. */
static int unpack_partial(const void *body, size_t len, struct catalogue_partial *ret)
{
    struct cursor c = cursor_of(body, len);
    struct catalogue_partial p = {.piece_bytes = 0};
    size_t record_len = 0, temp_len = 0, digests_len = 0;
    const void *record = cursor_blob(&c, 512, &record_len);
    const void *temp = cursor_blob(&c, sizeof p.temp - 1, &temp_len);
    p.piece_bytes = cursor_u64(&c);
    const void *bitmap = cursor_blob(&c, bits_len(PIECES_MAX), &p.bitmap_len);
    const void *digests = cursor_blob(&c, (size_t)PIECES_MAX * DIGEST_BYTES, &digests_len);
    if (c.bad || cursor_left(&c) > 0)
        return -EBADMSG;
    struct cursor rc = cursor_of(record, record_len);
    struct packed_view v;
    if (!pack_next(&rc, &v) || v.gone)
        return -EBADMSG;
    p.of = v.e;
    uint64_t pieces = pieces_of(&p);
    if (pieces == 0 || pieces > PIECES_MAX || p.bitmap_len != bits_len(pieces) ||
        (digests_len != 0 && digests_len != pieces * DIGEST_BYTES) || temp_len == 0)
        return -EBADMSG;
    memcpy(p.temp, temp, temp_len);
    p.bitmap = xmemdup(bitmap, p.bitmap_len);
    p.piece_digests = digests_len ? xmemdup(digests, digests_len) : NULL;
    *ret = p;
    return 0;
}

int catalogue_partial_get(struct catalogue *c, const char *folder, size_t folder_len,
                          const char *name, size_t name_len, struct catalogue_partial *ret)
{
    sqlite3_stmt *st = c->st[ST_PARTIAL_GET];
    int rc = bind_key(st, folder, folder_len, name, name_len);
    if (rc < 0)
        return rc;
    int got = sqlite3_step(st);
    rc = got == SQLITE_DONE ? -ENOENT : catalogue_errno(got);
    if (rc == 0 &&
        unpack_partial(sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), ret) < 0)
        rc = -ENOENT; /* damaged: sent again from the start */
    (void)sqlite3_reset(st);
    (void)sqlite3_clear_bindings(st);
    return rc;
}

int catalogue_partial_put(struct catalogue *c, const char *folder, size_t folder_len,
                          const char *name, size_t name_len, const struct catalogue_partial *p)
{
    uint64_t pieces = pieces_of(p);
    if (pieces == 0 || pieces > PIECES_MAX || p->bitmap_len != bits_len(pieces))
        return -EINVAL;
    int rc = catalogue_begin(c);
    if (rc < 0)
        return rc;
    struct buf body;
    buf_init(&body, (size_t)PIECES_MAX * (DIGEST_BYTES + 1) + 4096);
    pack_partial(&body, p);
    sqlite3_stmt *st = c->st[ST_PARTIAL_PUT];
    rc = bind_key(st, folder, folder_len, name, name_len);
    if (rc == 0)
        rc = catalogue_bind(st, 3, body.data, body.len);
    if (rc == 0)
        rc = catalogue_step(c, ST_PARTIAL_PUT);
    buf_done(&body);
    return rc;
}

int catalogue_partial_forget(struct catalogue *c, const char *folder, size_t folder_len,
                             const char *name, size_t name_len)
{
    int rc = catalogue_begin(c);
    if (rc == 0)
        rc = bind_key(c->st[ST_PARTIAL_DROP], folder, folder_len, name, name_len);
    return rc == 0 ? catalogue_step(c, ST_PARTIAL_DROP) : rc;
}
