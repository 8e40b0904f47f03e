/* byhand: what the sender would do, record by record. */
#include "tests/unit/transfer/byhand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_identity.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/record.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

void *byhand_receive(void *arg)
{
    struct harness h = {.source = source, .destination = destination, .state = state, .port = port};
    harness_receive(&h, arg);
    return NULL;
}

void byhand_put_file(struct buf *b, const char *name, const char *text, time_t mtime, uint8_t flip)
{
    struct batch_entry e = {
        .kind = BATCH_FILE, .name = {name, strlen(name)},
             .nsegments = 1
    };
    e.meta = (struct meta){
        .mode = S_IFREG | 0644, .nlink = 1, .size = strlen(text), .mtime = {mtime, 0}
    };
    digest_bytes(text, strlen(text), e.digest);
    e.digest[3] ^= flip;
    batch_entry_put(b, &e);
    buf_put_u64(b, 0);
    buf_put_blob(b, text, strlen(text));
}

struct lane *byhand_lane(void)
{
    struct lane_identity *id = NULL, *peer = NULL;
    struct lane *l = NULL;
    struct lane_welcome w;
    struct lane_hello hello = {
        .id = "0123456789abcdef", .pair = "0123456789abcdef.1", .entry = {5, 0}
    };
    char *mine = xasprintf("%s/source.key", state), *other = xasprintf("%s/destination.key", state);
    assert_int_equal(lane_identity_load_or_new(mine, &id), 0);
    assert_int_equal(lane_identity_load_or_new(other, &peer), 0);
    memset(hello.secret, 0x42, sizeof hello.secret);
    char endpoint[32];
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", (unsigned)port);
    int rc = -1;
    for (int i = 0; i < 1000 && rc < 0; i++) {
        rc = lane_connect(&l, id, endpoint, lane_identity_pin(peer), -1);
        if (rc == 0 && ((rc = lane_hello_send(l, &hello)) < 0 ||
                        (rc = lane_welcome_receive(l, 5000, &w, NULL)) < 0))
            l = lane_free(l);
        if (rc < 0)
            (void)usleep(20000);
    }
    assert_int_equal(rc, 0);
    (void)lane_identity_free(id);
    (void)lane_identity_free(peer);
    free(mine);
    free(other);
    return l;
}

void byhand_wait(struct lane *l, uint8_t type, struct lane_record *ret)
{
    do
        assert_int_equal(lane_receive(l, 5000, ret), 1);
    while (ret->type != type);
}

void byhand_begin_large(struct lane *l, uint8_t flags, struct begun *ret)
{
    struct lane_record r;
    struct buf b;
    struct begin g = {
        .id = 1, .flags = flags, .name = {"big", 3}
    };
    g.meta = (struct meta){.mode = S_IFREG | 0644, .nlink = 1, .size = 2 * PIECE_BYTES};
    buf_init(&b, LANE_RECORD_MAX);
    begin_put(&b, &g);
    assert_int_equal(lane_send_copy(l, REC_BEGIN, 0, b.data, b.len), 0);
    byhand_wait(l, REC_BEGUN, &r);
    struct cursor c = cursor_of(r.data, r.len);
    assert_int_equal(begun_get(&c, ret), 0);
    buf_done(&b);
}

void byhand_send_chunk(struct lane *l, uint64_t at, uint8_t byte)
{
    static uint8_t record[CHUNK_HEAD_BYTES + CHUNK_BYTES];
    memset(record, byte, sizeof record);
    chunk_head_put(record, 1, at);
    assert_int_equal(lane_send_copy(l, REC_CHUNK, 0, record, sizeof record), 0);
}

void byhand_send_hole(struct lane *l, uint32_t piece)
{
    struct buf b;
    struct piece_end p = {.id = 1, .piece = piece};
    memcpy(p.digest, digest_zero_piece, sizeof p.digest);
    buf_init(&b, 100);
    piece_end_put(&b, &p);
    assert_int_equal(lane_send_copy(l, REC_PIECE_END, 0, b.data, b.len), 0);
    buf_done(&b);
}

void byhand_send_piece(struct lane *l, uint32_t piece)
{
    struct lane_record r;
    struct status st = {0};
    for (uint64_t at = 0; at < PIECE_BYTES; at += CHUNK_BYTES)
        byhand_send_chunk(l, piece * PIECE_BYTES + at, 0);
    byhand_send_hole(l, piece); /* its end is the same */
    while (st.durable_bytes < (piece + 1) * PIECE_BYTES) {
        byhand_wait(l, REC_STATUS, &r);
        struct cursor c = cursor_of(r.data, r.len);
        assert_int_equal(status_get(&c, &st), 0);
    }
}

void byhand_send_end(struct lane *l)
{
    static const uint8_t end[] = {1, 0, 0, 0, 1}; /* the file, and that it held still */
    struct lane_record r;
    assert_int_equal(lane_send_copy(l, REC_END, 0, end, sizeof end), 0);
    assert_int_equal(lane_send_copy(l, REC_FINISH, 0, NULL, 0), 0);
    byhand_wait(l, REC_FINISHED, &r);
    assert_int_equal(lane_send_copy(l, REC_BYE, 0, NULL, 0), 0);
}
