/* test_envelope: what each role may say, and which bytes never reach protobuf-c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/wire/envelope.h"
#include "common/wire/limits.h"
#include "tests/unit/test.h"

#define TYPE(t) GODWIT__ENVELOPE__BODY_##t

static const struct {
    Godwit__Envelope__BodyCase type;
    enum wire_role says; /* the one role that may, but for those below */
} types[] = {
    {TYPE(HELLO),            WIRE_AGENT       },
    {TYPE(HEARTBEAT),        WIRE_AGENT       },
    {TYPE(ACCEPTED),         WIRE_AGENT       },
    {TYPE(PROGRESS),         WIRE_AGENT       },
    {TYPE(RESULT),           WIRE_AGENT       },
    {TYPE(ROTATE_KEY_REPLY), WIRE_AGENT       },
    {TYPE(WELCOME),          WIRE_ORCHESTRATOR},
    {TYPE(HEARTBEAT_REPLY),  WIRE_ORCHESTRATOR},
    {TYPE(ORDER),            WIRE_ORCHESTRATOR},
    {TYPE(CANCEL),           WIRE_ORCHESTRATOR},
    {TYPE(RESULT_ACK),       WIRE_ORCHESTRATOR},
    {TYPE(RATE),             WIRE_ORCHESTRATOR},
    {TYPE(ROTATE_KEY),       WIRE_ORCHESTRATOR},
    {TYPE(SERVER_KEYS),      WIRE_ORCHESTRATOR},
    {TYPE(ENROL_REPLY),      WIRE_ORCHESTRATOR},
    {TYPE(CONSOLE_REPLY),    WIRE_ORCHESTRATOR},
    {TYPE(ENROL_REQUEST),    WIRE_ENROLEE     },
    {TYPE(CONSOLE_REQUEST),  WIRE_CONSOLE     },
    {TYPE(GOODBYE),          WIRE_AGENT       }, /* and the orchestrator */
    {TYPE(REFUSAL),          WIRE_AGENT       }, /* and the orchestrator */
};

/* version 1 and an empty body of this type. */
static size_t empty_body(Godwit__Envelope__BodyCase type, uint8_t ret[16])
{
    struct buf b;
    buf_init(&b, 16);
    buf_put_u8(&b, 1 << 3);
    buf_put_u8(&b, 1);
    buf_put_varint(&b, (uint64_t)type << 3 | 2);
    buf_put_u8(&b, 0);
    size_t n = b.len;
    memcpy(ret, b.data, n);
    buf_done(&b);
    return n;
}

static int unpack(const void *data, size_t len, enum wire_role from)
{
    CLEANUP(wire_free) Godwit__Envelope *e = NULL;
    return wire_unpack(data, len, from, &e);
}

static void each_type_has_the_roles_that_may_send_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        uint8_t bytes[16];
        size_t n = empty_body(types[i].type, bytes);
        bool both = types[i].type == TYPE(GOODBYE) || types[i].type == TYPE(REFUSAL);
        for (int role = WIRE_ENROLEE; role <= WIRE_ORCHESTRATOR; role++) {
            bool may = types[i].says == (enum wire_role)role || (both && role == WIRE_ORCHESTRATOR);
            assert_int_equal(unpack(bytes, n, (enum wire_role)role), may ? 0 : -EPERM);
        }
    }
}

static void the_table_names_every_type(void **state)
{
    (void)state;
    size_t bodies = 0;
    for (unsigned i = 0; i < godwit__envelope__descriptor.n_fields; i++)
        bodies += (godwit__envelope__descriptor.fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    assert_int_equal(bodies, ARRAY_SIZE(types));
    assert_string_equal(wire_type_name(TYPE(HELLO)), "hello");
    assert_string_equal(wire_type_name(GODWIT__ENVELOPE__BODY__NOT_SET), "unknown");
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint8_t bytes[24];
        size_t len;
        int want;
    } cases[] = {
        {"nothing",                     {0},                                          0, -EPROTONOSUPPORT},
        {"no body",                     {0x08, 1},                                    2, -EBADMSG        },
        {"no version",                  {0x62, 0},                                    2, -EPROTONOSUPPORT},
        {"version 0",                   {0x08, 0, 0x62, 0},                           4, -EPROTONOSUPPORT},
        {"a newer version is served",   {0x08, 2, 0x62, 0},                           4, 0               },
        {"cut tag",                     {0x08, 1, 0x62},                              3, -EBADMSG        },
        {"cut length",                  {0x08, 1, 0x62, 0x80},                        4, -EBADMSG        },
        {"length past the end",         {0x08, 1, 0x62, 9, 8},                        5, -EBADMSG        },
        {"field 0",                     {0x08, 1, 0x02, 0, 0x62, 0},                  6, -EBADMSG        },
        {"a group",                     {0x08, 1, 0x0b, 0x0c, 0x62, 0},               6, -EBADMSG        },
        {"version twice",               {0x08, 1, 0x08, 1, 0x62, 0},                  6, -EBADMSG        },
        {"two bodies",                  {0x08, 1, 0x62, 0, 0x72, 0},                  6, -EBADMSG        },
        {"the same body twice",         {0x08, 1, 0x62, 0, 0x62, 0},                  6, -EBADMSG        },
        {"body of the wrong wire type", {0x08, 1, 0x60, 0},                           4, -EBADMSG        },
        {"an unknown field is skipped", {0x08, 1, 0x62, 0, 0xf8, 0x07, 1},            7, 0               },
        {"varint over 64 bits",
         {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x62, 0},
         13,                                                                             -EBADMSG        },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int rc = unpack(cases[i].bytes, cases[i].len, WIRE_AGENT);
        if (rc != cases[i].want)
            fail_msg("%s: %d", cases[i].what, rc);
    }
}

static char *text_of(size_t n)
{
    char *text = xcalloc(n + 1, 1);
    memset(text, 'x', n);
    return text;
}

static int pack_and_unpack(Godwit__Envelope *e, enum wire_role from)
{
    zframe_t *frame = wire_pack(e);
    int rc = unpack(zframe_data(frame), zframe_size(frame), from);
    zframe_destroy(&frame);
    return rc;
}

static void a_hello_is_bounded(void **state)
{
    (void)state;
    Godwit__Hello h = GODWIT__HELLO__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = TYPE(HELLO);
    e.hello = &h;
    static char op[] = "0123456789abcdef";
    char *ops[LIMIT_RUNNING + 1];
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
        ops[i] = op;
    h.running = ops;
    h.n_running = LIMIT_RUNNING;
    assert_int_equal(pack_and_unpack(&e, WIRE_AGENT), 0);
    h.n_running++;
    assert_int_equal(pack_and_unpack(&e, WIRE_AGENT), -EBADMSG);
    h.n_running = 0;
    CLEANUP(mem_free) char *fits = text_of(LIMIT_STRING), *over = text_of(LIMIT_STRING + 1);
    h.version = fits;
    assert_int_equal(pack_and_unpack(&e, WIRE_AGENT), 0);
    h.version = over;
    assert_int_equal(pack_and_unpack(&e, WIRE_AGENT), -EBADMSG);
    h.version = op;
    uint8_t pin[33] = {0};
    h.lane_pin.data = pin;
    h.lane_pin.len = 33;
    assert_int_equal(pack_and_unpack(&e, WIRE_AGENT), -EBADMSG);
}

static void a_console_request_is_bounded(void **state)
{
    (void)state;
    Godwit__ConsoleArg arg = GODWIT__CONSOLE_ARG__INIT;
    Godwit__ConsoleArg *args[LIMIT_CONSOLE_ARGS + 1];
    Godwit__ConsoleRequest r = GODWIT__CONSOLE_REQUEST__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = TYPE(CONSOLE_REQUEST);
    e.console_request = &r;
    for (size_t i = 0; i < ARRAY_SIZE(args); i++)
        args[i] = &arg;
    r.args = args;
    r.n_args = LIMIT_CONSOLE_ARGS;
    assert_int_equal(pack_and_unpack(&e, WIRE_CONSOLE), 0);
    r.n_args++;
    assert_int_equal(pack_and_unpack(&e, WIRE_CONSOLE), -EBADMSG);
    r.n_args = 1;
    CLEANUP(mem_free)
    char *fits = text_of(LIMIT_CONSOLE_ARG), *over = text_of(LIMIT_CONSOLE_ARG + 1);
    arg.value = fits;
    assert_int_equal(pack_and_unpack(&e, WIRE_CONSOLE), 0);
    arg.value = over;
    assert_int_equal(pack_and_unpack(&e, WIRE_CONSOLE), -EBADMSG);
}

static void an_enrolee_gets_little_room(void **state)
{
    (void)state;
    CLEANUP(mem_free) uint8_t *bytes = xcalloc(1, LIMIT_CONTROL_BYTES + 1);
    assert_int_equal(unpack(bytes, LIMIT_ENROL_BYTES + 1, WIRE_ENROLEE), -EMSGSIZE);
    assert_int_equal(unpack(bytes, LIMIT_CONTROL_BYTES + 1, WIRE_AGENT), -EMSGSIZE);
    assert_int_equal(unpack(bytes, LIMIT_ENROL_BYTES + 1, WIRE_AGENT), -EBADMSG);
}

/* 34 KB of nesting crash protobuf-c where a schema lets messages hold themselves; ours does not. */
static void deep_nesting_is_not_followed(void **state)
{
    (void)state;
    static const struct {
        unsigned field; /* of each level */
        int want;
    } cases[] = {
        {4,  0       }, /* failures, then examples: text, however it was meant */
        {3,  -EBADMSG}, /* counters, whose field 3 is a number */
        {15, 0       }, /* nothing that we know: skipped */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b, outer;
        buf_init(&b, 1 << 20);
        for (int depth = 0; depth < 10000; depth++) {
            buf_init(&outer, 1 << 20);
            buf_put_varint(&outer, cases[i].field << 3 | 2);
            buf_put_blob(&outer, b.data, b.len);
            buf_done(&b);
            b = outer;
        }
        buf_init(&outer, 1 << 20);
        buf_put_u16(&outer, 0x0108); /* version 1 */
        buf_put_varint(&outer, TYPE(RESULT) << 3 | 2);
        buf_put_blob(&outer, b.data, b.len);
        assert_in_range(outer.len, 30000, LIMIT_PATH);
        assert_int_equal(unpack(outer.data, outer.len, WIRE_AGENT), cases[i].want);
        buf_done(&outer);
        buf_done(&b);
    }
}

/* Two bytes on the wire cost protobuf-c an allocation each. */
static void the_number_of_fields_is_bounded(void **state)
{
    (void)state;
    static const struct {
        size_t fields;
        int want;
    } cases[] = {
        {1000,   0       },
        {8190,   0       }, /* and version, and body */
        {8191,   -EBADMSG},
        {300000, -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b;
        uint8_t empty[16];
        buf_init(&b, LIMIT_CONTROL_BYTES);
        buf_put(&b, empty, empty_body(TYPE(HEARTBEAT), empty));
        for (size_t n = 0; n < cases[i].fields; n++) {
            buf_put_u16(&b, 0x07f8); /* field 127, which nobody knows, as a number */
            buf_put_u8(&b, 0);
        }
        assert_false(b.overflow);
        assert_int_equal(unpack(b.data, b.len, WIRE_AGENT), cases[i].want);
        buf_done(&b);
    }
}

static void foreign_text_arrives_clean(void **state)
{
    (void)state;
    static const struct {
        const char *said, *heard;
    } cases[] = {
        {"plain",             "plain"                },
        {"tab\tnew\nline",    "tab\tnew\nline"       },
        {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"    },
        {"\x1b[2Jgone",       "?[2Jgone"             },
        {"bad\xff\xfe!",      "bad?"
                         "?!"},
        {"cut\xe2\x82",       "cut??"                },
        {"over\xc0\xaflong",  "over??long"           },
        {"\xed\xa0\x80",      "???"                  },
        {"\xf0\x9f\x98\x80",  "\xf0\x9f\x98\x80"     },
        {"\xf4\x90\x80\x80",  "????"                 },
        {"del\x7f",           "del?"                 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        Godwit__Goodbye g = GODWIT__GOODBYE__INIT;
        Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
        CLEANUP(mem_free) char *said = xstrdup(cases[i].said);
        CLEANUP(wire_free) Godwit__Envelope *heard = NULL;
        g.reason = said;
        e.body_case = TYPE(GOODBYE);
        e.goodbye = &g;
        zframe_t *frame = wire_pack(&e);
        assert_int_equal(wire_unpack(zframe_data(frame), zframe_size(frame), WIRE_AGENT, &heard),
                         0);
        zframe_destroy(&frame);
        assert_string_equal(heard->goodbye->reason, cases[i].heard);
    }
}

static void a_console_must_be_clean_by_itself(void **state)
{
    (void)state;
    static char bad[] = "job\xff";
    Godwit__ConsoleRequest r = GODWIT__CONSOLE_REQUEST__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    r.command = bad;
    e.body_case = TYPE(CONSOLE_REQUEST);
    e.console_request = &r;
    assert_int_equal(pack_and_unpack(&e, WIRE_CONSOLE), -EBADMSG);
}

static void a_nul_does_not_hide_the_rest(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x08, 1, 0x72, 6, 0x0a, 4, 'a', 0, 'b', 'c'};
    CLEANUP(wire_free) Godwit__Envelope *e = NULL;
    assert_int_equal(wire_unpack(bytes, sizeof bytes, WIRE_AGENT, &e), 0);
    assert_string_equal(e->goodbye->reason, "a?bc");
}

static void every_cut_of_a_message_is_refused(void **state)
{
    (void)state;
    static char text[] = "0123456789abcdef";
    Godwit__HostFacts facts = GODWIT__HOST_FACTS__INIT;
    Godwit__Hello h = GODWIT__HELLO__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    facts.os = text;
    h.facts = &facts;
    h.instance = text;
    e.body_case = TYPE(HELLO);
    e.hello = &h;
    zframe_t *frame = wire_pack(&e);
    for (size_t n = 0; n < zframe_size(frame); n++) {
        CLEANUP(mem_free) uint8_t *exact = xmemdup(zframe_data(frame), n); /* for the sanitizer */
        assert_int_not_equal(unpack(exact, n, WIRE_AGENT), 0);
    }
    zframe_destroy(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_has_the_roles_that_may_send_it),
        cmocka_unit_test(the_table_names_every_type),
        cmocka_unit_test(bytes_that_are_no_message_are_refused),
        cmocka_unit_test(a_hello_is_bounded),
        cmocka_unit_test(a_console_request_is_bounded),
        cmocka_unit_test(an_enrolee_gets_little_room),
        cmocka_unit_test(deep_nesting_is_not_followed),
        cmocka_unit_test(the_number_of_fields_is_bounded),
        cmocka_unit_test(foreign_text_arrives_clean),
        cmocka_unit_test(a_console_must_be_clean_by_itself),
        cmocka_unit_test(a_nul_does_not_hide_the_rest),
        cmocka_unit_test(every_cut_of_a_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
