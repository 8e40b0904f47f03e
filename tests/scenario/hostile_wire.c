/* hostile_wire: messages that are not of the role, too large, cut, nested, random, empty or in
 * pieces, on each socket by somebody who may connect to it. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "tests/golden/golden.h"
#include "tests/scenario/hostile_priv.h"

#define NOT_ALLOWED GODWIT__REFUSAL__CODE__NOT_ALLOWED
#define MALFORMED GODWIT__REFUSAL__CODE__MALFORMED
#define RATE GODWIT__REFUSAL__CODE__RATE

enum door { AT_AGENTS, AT_ENROL, AT_CONSOLE, DOORS };

static const struct door_row {
    enum wire_role role;
    const char *golden; /* a type that may be said there */
} doors[DOORS] = {
    [AT_AGENTS] = {WIRE_AGENT,   "hello"          },
    [AT_ENROL] = {WIRE_ENROLEE, "enrol_request"  },
    [AT_CONSOLE] = {WIRE_CONSOLE, "console_request"},
};

/* Somebody who gets through the handshake there. */
static void attack_from(struct siege *s, enum door door, struct peer *ret)
{
    struct good agent;
    switch (door) {
    case AT_AGENTS:
        siege_join(s, &agent);
        *ret = agent.peer;
        break;
    case AT_ENROL:
        peer_open(ret, s->daemon.enrol_endpoint, s->daemon.server_key, NULL);
        break;
    case AT_CONSOLE:
    case DOORS:
    default:
        peer_open(ret, s->daemon.console_endpoint, s->daemon.server_key, &s->daemon.console_key);
        break;
    }
}

/* Strangers may also be told to come later; then the message is said again. */
static Godwit__Refusal__Code refusal_of(struct peer *p, const void *data, size_t len)
{
    for (int tries = 0; tries < 100; tries++) {
        assert_true(peer_say_bytes(p, data, len, ANSWER_MS));
        Godwit__Refusal__Code code = peer_hear_refusal(p, ANSWER_MS);
        if (code != RATE)
            return code;
        zclock_sleep(100);
    }
    return RATE;
}

static void types_of_other_roles_are_refused(void **state)
{
    struct siege *s = *state;
    for (enum door door = AT_AGENTS; door < DOORS; door++) {
        struct peer p;
        attack_from(s, door, &p);
        unsigned refused = 0;
        for (size_t i = 0; i < golden_count(); i++) {
            struct buf b;
            CLEANUP(wire_free) Godwit__Envelope *e = NULL;
            buf_init(&b, GOLDEN_MAX);
            golden_pack(i, &b);
            bool other = golden_descriptor(i) == &godwit__envelope__descriptor &&
                         wire_unpack(b.data, b.len, doors[door].role, &e) < 0;
            if (other && refusal_of(&p, b.data, b.len) != NOT_ALLOWED)
                fail_msg("door %d: %s was not refused as not allowed", door, golden_name(i));
            refused += other;
            buf_done(&b);
        }
        assert_true(refused >= 11);
        peer_close(&p);
    }
    siege_holds(s);
}

static void cut_at_every_byte(void **state)
{
    struct siege *s = *state;
    for (enum door door = AT_AGENTS; door < DOORS; door++) {
        struct peer p;
        struct buf b;
        attack_from(s, door, &p);
        buf_init(&b, GOLDEN_MAX);
        golden_pack_name(doors[door].golden, &b);
        for (size_t cut = 1; cut < b.len; cut++) {
            Godwit__Refusal__Code code = refusal_of(&p, b.data, cut);
            /* only the first byte, the tag of version, is short of a version too */
            if (code != MALFORMED && code != GODWIT__REFUSAL__CODE__VERSION)
                fail_msg("door %d: %s cut at %zu: answered %d", door, doors[door].golden, cut,
                         code);
        }
        buf_done(&b);
        peer_close(&p);
    }
    siege_holds(s);
}

/* libzmq itself ends the connection; the sender may come back, and has harmed nobody. */
static void oversized_ends_the_connection(void **state)
{
    struct siege *s = *state;
    size_t n = LIMIT_CONTROL_BYTES + 4096;
    CLEANUP(mem_free) uint8_t *big = xcalloc(1, n);
    for (enum door door = AT_AGENTS; door < DOORS; door++) {
        struct peer p;
        attack_from(s, door, &p);
        long before = daemon_memory(&s->daemon, "VmRSS");
        for (int i = 0; i < 20; i++)
            (void)peer_say_bytes(&p, big, n, 1000);
        enum peer_fate fate = peer_fate(&p, ANSWER_MS);
        while (fate == PEER_ADMITTED) /* the first one is of the handshake */
            fate = peer_fate(&p, ANSWER_MS);
        assert_int_equal(fate, PEER_REFUSED);
        assert_null(peer_hear(&p, SILENCE_MS));
        assert_true(daemon_memory(&s->daemon, "VmRSS") - before < 64 << 10);
        peer_close(&p);
    }
    siege_holds(s);
}

/* The largest that a role may send is answered, not dropped: exactly at the limit, of no meaning.
 */
static void at_the_limit_is_answered(void **state)
{
    struct siege *s = *state;
    static const size_t limits[DOORS] = {LIMIT_CONTROL_BYTES, LIMIT_ENROL_BYTES,
                                         LIMIT_CONTROL_BYTES};
    CLEANUP(mem_free) uint8_t *big = xcalloc(1, LIMIT_CONTROL_BYTES);
    for (enum door door = AT_AGENTS; door < DOORS; door++) {
        struct peer p;
        attack_from(s, door, &p);
        assert_int_equal(refusal_of(&p, big, limits[door]), MALFORMED);
        peer_close(&p);
    }
    siege_holds(s);
}

/* 34 KB of these crash protobuf-c 1.4.1 where a schema is recursive. */
static void nested_is_refused(void **state)
{
    struct siege *s = *state;
    struct buf b;
    buf_init(&b, 128 << 10);
    for (int i = 0; i < 12000; i++) { /* inside out would copy; lengths are counted back instead */
        uint8_t *at = buf_reserve(&b, 3);
        assert_non_null(at);
        size_t left = (size_t)(12000 - 1 - i) * 3;
        at[0] = 10 << 3 | 2;
        at[1] = (uint8_t)(left & 0x7f) | 0x80;
        at[2] = (uint8_t)(left >> 7 & 0x7f);
        b.len += 3;
    }
    for (enum door door = AT_AGENTS; door < DOORS; door++) {
        struct peer p;
        attack_from(s, door, &p);
        size_t n = door == AT_ENROL ? LIMIT_ENROL_BYTES / 2 : b.len;
        assert_int_equal(refusal_of(&p, b.data, n), MALFORMED);
        peer_close(&p);
    }
    buf_done(&b);
    siege_holds(s);
}

static void random_bytes_are_refused(void **state)
{
    struct siege *s = *state;
    uint8_t noise[4096];
    for (enum door door = AT_AGENTS; door < DOORS; door++) {
        struct peer p;
        attack_from(s, door, &p);
        for (size_t i = 0; i < 500; i++) {
            text_random(noise, sizeof noise);
            size_t n = 1 + i * 8;
            noise[0] |= 0x80; /* never by chance a small message that is good */
            assert_int_not_equal(refusal_of(&p, noise, n), 0);
        }
        peer_close(&p);
    }
    siege_holds(s);
}

static void empty_is_refused(void **state)
{
    struct siege *s = *state;
    for (enum door door = AT_AGENTS; door < DOORS; door++) {
        struct peer p;
        attack_from(s, door, &p);
        assert_int_not_equal(refusal_of(&p, "", 0), 0);
        peer_close(&p);
    }
    siege_holds(s);
}

/* One message is one frame. More are not answered, and none of them is read as a message. */
static void pieces_are_dropped(void **state)
{
    struct siege *s = *state;
    for (enum door door = AT_AGENTS; door < DOORS; door++) {
        struct peer p;
        struct buf b;
        attack_from(s, door, &p);
        buf_init(&b, GOLDEN_MAX);
        golden_pack_name(doors[door].golden, &b);
        for (unsigned frames = 2; frames <= 1000; frames = frames * 4) {
            for (unsigned i = 0; i < frames; i++) {
                int more = i + 1 < frames ? ZMQ_SNDMORE : 0;
                assert_true(zmq_send(zsock_resolve(p.sock), b.data, i == 0 ? 0 : b.len, more) >= 0);
            }
        }
        assert_null(peer_hear(&p, SILENCE_MS));
        assert_int_equal(refusal_of(&p, "x", 1), MALFORMED); /* it still hears */
        buf_done(&b);
        peer_close(&p);
    }
    siege_holds(s);
}

/* Versions that are not served, and fields at and over their limits. */
static void versions_below_the_least_are_refused(void **state)
{
    struct siege *s = *state;
    static const uint8_t no_version[] = {12 << 3 | 2, 0}; /* a heartbeat */
    struct peer p;
    attack_from(s, AT_AGENTS, &p);
    assert_int_equal(refusal_of(&p, no_version, sizeof no_version), GODWIT__REFUSAL__CODE__VERSION);
    peer_close(&p);
    siege_holds(s);
}

const struct CMUnitTest hostile_wire_cases[] = {
    cmocka_unit_test(types_of_other_roles_are_refused),
    cmocka_unit_test(cut_at_every_byte),
    cmocka_unit_test(oversized_ends_the_connection),
    cmocka_unit_test(at_the_limit_is_answered),
    cmocka_unit_test(nested_is_refused),
    cmocka_unit_test(random_bytes_are_refused),
    cmocka_unit_test(empty_is_refused),
    cmocka_unit_test(pieces_are_dropped),
    cmocka_unit_test(versions_below_the_least_are_refused),
};
const size_t hostile_wire_count = ARRAY_SIZE(hostile_wire_cases);
