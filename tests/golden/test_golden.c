/* test_golden: wire files of each version are read by this build, byte for byte. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/wire/envelope.h"
#include "tests/golden/golden.h"
#include "tests/unit/test.h"

#define E (1U << WIRE_ENROLEE)
#define A (1U << WIRE_AGENT)
#define C (1U << WIRE_CONSOLE)
#define O (1U << WIRE_ORCHESTRATOR)

/* Who may say it: docs/PROTOCOL.md in the words of a second writer. */
static const struct row {
    const char *type;
    unsigned roles;
} rows[] = {
    {"hello",            A    },
    {"welcome",          O    },
    {"heartbeat",        A    },
    {"heartbeat_reply",  O    },
    {"goodbye",          A | O},
    {"refusal",          A | O},
    {"order",            O    },
    {"cancel",           O    },
    {"accepted",         A    },
    {"progress",         A    },
    {"result",           A    },
    {"result_ack",       O    },
    {"rate",             O    },
    {"rotate_key",       O    },
    {"rotate_key_reply", A    },
    {"server_keys",      O    },
    {"enrol_request",    E    },
    {"enrol_reply",      O    },
    {"console_request",  C    },
    {"console_reply",    O    },
};

static char *read_golden(const char *version, const char *name, size_t *retlen)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s/%s.bin", GOLDEN_DIR, version, name);
    char *data = NULL;
    int rc = file_read(path, GOLDEN_MAX, &data, retlen);
    if (rc < 0)
        fail_msg("%s: %s (run make_golden and look at the difference)", path, strerror(-rc));
    return data;
}

static void files_are_what_this_build_would_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_count(); i++) {
        size_t n = 0;
        CLEANUP(mem_free) char *data = read_golden("v1", golden_name(i), &n);
        struct buf b;
        buf_init(&b, GOLDEN_MAX);
        golden_pack(i, &b);
        if (n != b.len || memcmp(data, b.data, n) != 0)
            fail_msg("%s has another shape than v1/%s.bin", golden_name(i), golden_name(i));
        buf_done(&b);
    }
}

static void files_survive_reading_and_writing(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_count(); i++) {
        size_t n = 0;
        CLEANUP(mem_free) char *data = read_golden("v1", golden_name(i), &n);
        ProtobufCMessage *m =
            protobuf_c_message_unpack(golden_descriptor(i), NULL, n, (uint8_t *)data);
        if (!m)
            fail_msg("%s cannot be read", golden_name(i));
        assert_int_equal(m->n_unknown_fields, 0);
        assert_int_equal(protobuf_c_message_get_packed_size(m), n);
        CLEANUP(mem_free) uint8_t *again = xmalloc(n);
        assert_int_equal(protobuf_c_message_pack(m, again), n);
        assert_memory_equal(again, data, n);
        protobuf_c_message_free_unpacked(m, NULL);
    }
}

static unsigned roles_of(const char *type)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].type, type) == 0)
            return rows[i].roles;
    }
    fail_msg("%s has no row in this table", type);
    return 0;
}

static void each_role_says_only_its_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_count(); i++) {
        if (golden_descriptor(i) != &godwit__envelope__descriptor)
            continue;
        size_t n = 0;
        CLEANUP(mem_free) char *data = read_golden("v1", golden_name(i), &n);
        unsigned roles = roles_of(golden_name(i));
        for (unsigned role = WIRE_ENROLEE; role <= WIRE_ORCHESTRATOR; role++) {
            CLEANUP(wire_free) Godwit__Envelope *e = NULL;
            int want = roles & 1U << role ? 0 : -EPERM;
            int rc = wire_unpack(data, n, role, &e);
            if (rc != want)
                fail_msg("%s from role %u: %d, not %d", golden_name(i), role, rc, want);
            assert_true(rc < 0 ? e == NULL : e != NULL);
            if (e)
                assert_string_equal(wire_type_name(e->body_case), golden_name(i));
        }
    }
}

/* Cut anywhere, a message is refused or (cut between two fields) a smaller one; never half read. */
static void truncated_anywhere_is_harmless(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_count(); i++) {
        size_t n = 0;
        CLEANUP(mem_free) char *data = read_golden("v1", golden_name(i), &n);
        for (size_t cut = 0; cut < n; cut++) {
            CLEANUP(mem_free) uint8_t *part = xmalloc(cut ? cut : 1); /* a bound for ASan */
            memcpy(part, data, cut);
            for (unsigned role = WIRE_ENROLEE; role <= WIRE_ORCHESTRATOR; role++) {
                CLEANUP(wire_free) Godwit__Envelope *e = NULL;
                assert_true(wire_unpack(part, cut, role, &e) < 0);
            }
        }
    }
}

static void no_file_is_left_over(void **state)
{
    (void)state;
    DIR *dir = opendir(GOLDEN_DIR "/v1");
    assert_non_null(dir);
    size_t seen = 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        seen += d->d_name[0] != '.';
    (void)closedir(dir);
    assert_int_equal(seen, golden_count());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_what_this_build_would_write),
        cmocka_unit_test(files_survive_reading_and_writing),
        cmocka_unit_test(each_role_says_only_its_types),
        cmocka_unit_test(truncated_anywhere_is_harmless),
        cmocka_unit_test(no_file_is_left_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
