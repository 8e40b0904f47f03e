/* test_lane_seal: what one side sealed opens at the other, once, whole, in its place, and nothing
 * else does; both libraries make the same bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lane/lane.h"
#include "agent/lane/lane_gcm.h"
#include "agent/lane/lane_seal.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define BODY 1000
#define FRAME (LANE_HEADER_BYTES + BODY + SEAL_EXTRA_BYTES)

static const uint8_t secret[SEAL_SECRET_BYTES] = "a secret of thirty-two bytes ...";

struct ends {
    struct lane_seal *put, *get;
};

static int begin(void **state)
{
    struct ends *e = xcalloc(1, sizeof *e);
    e->put = lane_seal_new(secret, LANE_REKEY_BYTES);
    e->get = lane_seal_new(secret, LANE_REKEY_BYTES);
    *state = e;
    return e->put && e->get ? 0 : -1;
}

static int end(void **state)
{
    struct ends *e = *state;
    (void)lane_seal_free(e->put);
    (void)lane_seal_free(e->get);
    free(e);
    return 0;
}

static void record_make(uint8_t record[LANE_HEADER_BYTES + BODY], uint8_t type, uint8_t fill)
{
    memset(record, fill, LANE_HEADER_BYTES + BODY);
    memcpy(record, (uint8_t[]){BODY & 0xff, BODY >> 8, 0, 0, type, 0, 0, 0}, LANE_HEADER_BYTES);
}

static void seal(struct ends *e, uint8_t fill, uint8_t frame[FRAME])
{
    uint8_t record[LANE_HEADER_BYTES + BODY];
    record_make(record, 20, fill);
    assert_int_equal(lane_seal_put(e->put, record, BODY, frame), 0);
}

static void assert_opens(struct ends *e, uint8_t fill, uint8_t frame[FRAME])
{
    uint8_t record[LANE_HEADER_BYTES + BODY];
    record_make(record, 20, fill);
    assert_int_equal(lane_seal_get(e->get, frame, BODY), 0);
    assert_memory_equal(frame, record, sizeof record);
}

static void what_was_sealed_opens_in_order(void **state)
{
    struct ends *e = *state;
    uint8_t frame[FRAME];
    for (unsigned i = 0; i < 1000; i++) {
        seal(e, (uint8_t)i, frame);
        assert_opens(e, (uint8_t)i, frame);
    }
}

static void the_same_record_never_looks_the_same(void **state)
{
    struct ends *e = *state;
    uint8_t one[FRAME], two[FRAME];
    seal(e, 1, one);
    seal(e, 1, two);
    assert_memory_not_equal(one + SEAL_LENGTH_BYTES, two + SEAL_LENGTH_BYTES, BODY);
}

/* Every byte of a frame is vouched for: length, type, flags, body, tag. */
static void one_bit_anywhere_is_noticed(void **state)
{
    static const size_t at[] = {0,        1,         SEAL_LENGTH_BYTES, SEAL_LENGTH_BYTES + 1,
                                BODY / 2, FRAME - 1, FRAME - 16,        LANE_HEADER_BYTES};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        uint8_t frame[FRAME];
        void *fresh = NULL;
        assert_int_equal(begin(&fresh), 0);
        seal(fresh, 7, frame);
        frame[at[i]] ^= 0x10;
        assert_int_equal(lane_seal_get(((struct ends *)fresh)->get, frame, BODY), -EBADMSG);
        (void)end(&fresh);
    }
    (void)state;
}

static void nothing_of_a_forged_record_is_shown(void **state)
{
    struct ends *e = *state;
    uint8_t frame[FRAME], nothing[BODY] = {0};
    seal(e, 7, frame);
    frame[FRAME - 1] ^= 1;
    assert_int_equal(lane_seal_get(e->get, frame, BODY), -EBADMSG);
    assert_memory_equal(frame + LANE_HEADER_BYTES, nothing, BODY);
}

static void a_record_opens_once_and_in_its_place(void **state)
{
    struct ends *e = *state;
    uint8_t one[FRAME], two[FRAME], again[FRAME];
    seal(e, 1, one);
    seal(e, 2, two);
    memcpy(again, one, sizeof one);
    assert_opens(e, 1, one);
    assert_int_equal(lane_seal_get(e->get, again, BODY), -EBADMSG); /* said twice */
    (void)end(state);
    assert_int_equal(begin(state), 0);
    e = *state;
    seal(e, 1, one);
    seal(e, 2, two);
    assert_int_equal(lane_seal_get(e->get, two, BODY), -EBADMSG); /* the first was left out */
}

static void a_record_cut_short_does_not_open(void **state)
{
    struct ends *e = *state;
    uint8_t frame[FRAME];
    seal(e, 3, frame);
    frame[0] = (uint8_t)(BODY - 8);
    frame[1] = (uint8_t)((BODY - 8) >> 8);
    assert_int_equal(lane_seal_get(e->get, frame, BODY - 8), -EBADMSG);
}

static void the_other_direction_has_another_key(void **state)
{
    struct ends *e = *state;
    uint8_t other[SEAL_SECRET_BYTES], frame[FRAME];
    memset(other, 9, sizeof other);
    struct lane_seal *s = lane_seal_new(other, LANE_REKEY_BYTES);
    seal(e, 1, frame);
    assert_int_equal(lane_seal_get(s, frame, BODY), -EBADMSG);
    (void)lane_seal_free(s);
}

/* Both change their keys at the same record, without a word; who does not is not understood. */
static void keys_follow_one_another(void **state)
{
    struct ends e = {lane_seal_new(secret, 3 * BODY), lane_seal_new(secret, 3 * BODY)};
    struct lane_seal *stays = lane_seal_new(secret, LANE_REKEY_BYTES);
    unsigned understood = 0;
    for (unsigned i = 0; i < 20; i++) {
        uint8_t frame[FRAME], copy[FRAME];
        seal(&e, (uint8_t)i, frame);
        memcpy(copy, frame, sizeof frame);
        assert_opens(&e, (uint8_t)i, frame);
        understood += lane_seal_get(stays, copy, BODY) == 0;
    }
    assert_int_equal(understood, 3);
    (void)lane_seal_free(e.put);
    (void)lane_seal_free(e.get);
    (void)lane_seal_free(stays);
    (void)state;
}

/* ── the libraries ── */

/* Test case 16 of the GCM specification (McGrew and Viega), AES-256 with associated data. */
static const uint8_t kat_key[32] = {
    0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
    0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08};
static const uint8_t kat_iv[12] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce,
                                   0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
static const uint8_t kat_aad[20] = {0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
                                    0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2};
static const uint8_t kat_plain[60] = {
    0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26,
    0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31,
    0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49,
    0xa6, 0xb5, 0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39};
static const uint8_t kat_tag[16] = {0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68,
                                    0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b};

static void assert_known_answer(const struct gcm_library *g)
{
    uint8_t out[60], tag[GCM_TAG_BYTES];
    struct gcm_key *k = g->key_new(kat_key);
    assert_non_null(k);
    struct gcm_record r = {kat_iv, kat_aad, sizeof kat_aad, kat_plain, out, sizeof out};
    assert_int_equal(g->seal(k, &r, tag), 0);
    assert_memory_equal(tag, kat_tag, sizeof tag);
    r.in = out; /* in place */
    assert_int_equal(g->open(k, &r, tag), 0);
    assert_memory_equal(out, kat_plain, sizeof out);
    (void)g->key_free(k);
}

static void both_libraries_give_the_known_answer(void **state)
{
    (void)state;
    assert_known_answer(gcm_openssl());
    if (gcm_ipsec_mb())
        assert_known_answer(gcm_ipsec_mb());
    else
        print_message("intel-ipsec-mb: not here\n");
}

static void both_libraries_understand_each_other(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 255, 4096, 262144, LANE_RECORD_MAX};
    const struct gcm_library *libs[2] = {gcm_openssl(), gcm_best()};
    uint8_t *in = xmalloc(LANE_RECORD_MAX), *out = xmalloc(LANE_RECORD_MAX), tag[GCM_TAG_BYTES];
    for (size_t i = 0; i < LANE_RECORD_MAX; i++)
        in[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        const struct gcm_library *a = libs[i % 2], *b = libs[1 - i % 2];
        struct gcm_key *ka = a->key_new(kat_key), *kb = b->key_new(kat_key);
        struct gcm_record r = {kat_iv, kat_aad, 4, in, out, sizes[i / 2]};
        assert_int_equal(a->seal(ka, &r, tag), 0);
        r.in = out;
        assert_int_equal(b->open(kb, &r, tag), 0);
        assert_memory_equal(in, out, r.len);
        (void)a->key_free(ka);
        (void)b->key_free(kb);
    }
    free(in);
    free(out);
    (void)state;
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest cases[] = {
        CASE(what_was_sealed_opens_in_order),
        CASE(the_same_record_never_looks_the_same),
        CASE(one_bit_anywhere_is_noticed),
        CASE(nothing_of_a_forged_record_is_shown),
        CASE(a_record_opens_once_and_in_its_place),
        CASE(a_record_cut_short_does_not_open),
        CASE(the_other_direction_has_another_key),
        CASE(keys_follow_one_another),
        cmocka_unit_test(both_libraries_give_the_known_answer),
        cmocka_unit_test(both_libraries_understand_each_other),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
