/* fuzz_record: what a peer with a lane may say: FROM_SOURCE or FROM_DESTINATION. The first byte is
 * the record's type and whether it is compressed. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/transfer/compress.h"
#include "agent/transfer/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef FROM_SOURCE
static void listing(struct cursor *c)
{
    struct listing_head h;
    struct listing_entry e;
    if (listing_head_get(c, &h) < 0)
        return;
    for (uint32_t i = 0; i < h.count; i++)
        if (listing_entry_get(c, &e) < 0)
            return;
}

static void batch(struct cursor *c)
{
    struct batch_head h;
    struct batch_entry e;
    struct bytes data;
    if (batch_head_get(c, &h) < 0)
        return;
    while (cursor_left(c) > 0 && batch_entry_get(c, &e) == 0) {
        uint64_t at = 0, offset = 0;
        for (uint32_t i = 0; i < e.nsegments; i++)
            if (segment_get(c, e.meta.size, &at, &offset, &data) < 0)
                return;
    }
}

static void offer(struct cursor *c)
{
    struct offer o;
    struct hole h;
    uint32_t at = 0;
    if (offer_get(c, &o) < 0)
        return;
    for (uint32_t i = 0; i < o.nholes; i++) {
        if (hole_get(c, &at, &h) < 0)
            return;
        if (at > PIECE_BYTES)
            abort();
    }
}

static void moves(struct cursor *c)
{
    struct bytes folder;
    struct move m;
    uint32_t count = 0;
    if (moves_head_get(c, &folder, &count) < 0)
        return;
    if (count > LISTING_ENTRIES)
        abort();
    for (uint32_t i = 0; i < count; i++)
        if (move_get(c, &m) < 0)
            return;
}

static void parse(uint8_t type, struct cursor *c)
{
    struct begin g;
    struct chunk k;
    struct piece_end p;
    if (type == REC_LISTING)
        listing(c);
    else if (type == REC_BATCH)
        batch(c);
    else if (type == REC_BEGIN)
        (void)begin_get(c, &g);
    else if (type == REC_CHUNK)
        (void)chunk_get(c, &k);
    else if (type == REC_OFFER)
        offer(c);
    else if (type == REC_MOVES)
        moves(c);
    else
        (void)piece_end_get(c, &p);
}
#else
static void parse(uint8_t type, struct cursor *c)
{
    struct begun g;
    struct sums sums;
    struct status s;
    struct failed f;
    struct fault stop;
    struct origin origin;
    if (type == REC_BEGUN)
        (void)begun_get(c, &g);
    else if (type == REC_SUMS)
        (void)sums_get(c, &sums);
    else if (type == REC_STATUS)
        (void)status_get(c, &s);
    else if (type == REC_FAILED)
        (void)failed_get(c, &f);
    else if (type == REC_WANT)
        (void)origin_get(c, &origin);
    else
        (void)stop_get(c, &stop);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct cursor c = cursor_of(data + 1, size - 1);
    uint8_t *raw = NULL;
    if (data[0] & 0x80) {
        size_t len = 0;
        raw = malloc(LANE_RECORD_MAX);
        if (!raw || compress_open(data + 1, size - 1, raw, LANE_RECORD_MAX, &len) < 0) {
            free(raw);
            return 0;
        }
        c = cursor_of(raw, len);
    }
    parse(data[0] & 0x7f, &c);
    free(raw);
    return 0;
}
