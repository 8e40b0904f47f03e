/* test_statement: what is written is read again; everything else is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/proof/statement.h"
#include "tests/unit/test.h"

static char path[64];
static struct sign_key *key;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/var/tmp/godwit-statement-%d.key", (int)getpid());
    return sign_key_load_or_new(path, &key);
}

static int teardown(void **state)
{
    (void)state;
    key = sign_key_free(key);
    return unlink(path);
}

static void sign_as(struct buf *b, enum statement_role role, const char *name)
{
    struct statement s;
    uint8_t signature[SIGN_BYTES];
    assert_int_equal(statement_parse((const char *)b->data, b->len, &s), 0);
    assert_int_equal(sign_make(key, s.text, s.body_len, signature), 0);
    statement_put_signature(b, role, name, sign_key_public(key), signature);
}

static void make(struct buf *b)
{
    uint8_t digest[SHA256_LEN];
    memset(digest, 7, sizeof digest);
    buf_init(b, STATEMENT_MAX);
    statement_begin(b);
    statement_line(b, "job", "wave1");
    statement_line(b, "source", "fs1 /srv/a b\\x0a");
    statement_number(b, "files", 12);
    statement_digest(b, "manifest", digest);
    statement_digest(b, "metadata", digest);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct buf b;
    struct statement s;
    make(&b);
    size_t body = b.len;
    sign_as(&b, SIGNED_DESTINATION, "new1");
    sign_as(&b, SIGNED_SOURCE, "fs1");
    sign_as(&b, SIGNED_ORCHESTRATOR, "0123456789abcdef");
    assert_int_equal(statement_parse((const char *)b.data, b.len, &s), 0);
    assert_int_equal(s.body_len, body);
    assert_int_equal(s.nby, 3);
    assert_int_equal(s.manifest[31], 7);
    CLEANUP(mem_free) char *source = statement_value(&s, "source");
    assert_string_equal(source, "fs1 /srv/a b\\x0a");
    assert_null(statement_value(&s, "none"));
    assert_string_equal(statement_signed(&s, SIGNED_SOURCE)->name, "fs1");
    buf_done(&b);
}

static void any_byte_that_was_changed_is_noticed(void **state)
{
    (void)state;
    struct buf b;
    struct statement s;
    make(&b);
    size_t body = b.len;
    sign_as(&b, SIGNED_DESTINATION, "new1");
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 1;
        int rc = statement_parse((const char *)b.data, b.len, &s);
        bool name_only = i >= body + strlen("signed destination ") &&
                         i < body + strlen("signed destination new1");
        if (!name_only) /* whose signature it is says the list of keys */
            assert_true(rc == -EBADMSG || !statement_signed(&s, SIGNED_DESTINATION));
        b.data[i] ^= 1;
    }
    assert_int_equal(statement_parse((const char *)b.data, b.len, &s), 0);
    assert_non_null(statement_signed(&s, SIGNED_DESTINATION));
    buf_done(&b);
}

static void other_shapes_are_refused(void **state)
{
    (void)state;
#define D "0707070707070707070707070707070707070707070707070707070707070707"
#define OK "godwit manifest 1\nmanifest " D "\nmetadata " D "\n"
    static const struct {
        const char *name, *text;
        int want;
    } cases[] = {
        {"least",               OK,                                                                  0       },
        {"empty",               "",                                                                  -EBADMSG},
        {"another version",     "godwit manifest 2\nmanifest " D "\nmetadata " D "\n",               -EBADMSG},
        {"no metadata",         "godwit manifest 1\nmanifest " D "\n",                               -EBADMSG},
        {"manifest twice",      OK "manifest " D "\n",                                               -EBADMSG},
        {"short digest",        "godwit manifest 1\nmanifest 07\nmetadata " D "\n",                  -EBADMSG},
        {"no end of line",      OK "job wave1",                                                      -EBADMSG},
        {"no value",            OK "job\n",                                                          -EBADMSG},
        {"control byte",        OK "job a\tb\n",                                                     -EBADMSG},
        {"empty line",          OK "\n",                                                             -EBADMSG},
        {"a signature of none", OK "signed nobody a " D " " D D "\n",                                -EBADMSG},
        {"a short signature",   OK "signed source a " D " " D "\n",                                  -EBADMSG},
        {"a name with a slash", OK "signed source a/b " D " " D D "\n",                              -EBADMSG},
        {"one role twice",      OK "signed source a " D " " D D "\nsigned source a " D " " D D "\n",
         -EBADMSG                                                                                            },
        {"a line behind",       OK "signed source a " D " " D D "\nfiles 3\n",                       -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct statement s;
        int rc = statement_parse(cases[i].text, strlen(cases[i].text), &s);
        if (rc != cases[i].want)
            fail_msg("%s: %d", cases[i].name, rc);
    }
    CLEANUP(mem_free) char *large = xcalloc(1, STATEMENT_MAX + 1);
    struct statement s;
    assert_int_equal(statement_parse(large, STATEMENT_MAX + 1, &s), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(any_byte_that_was_changed_is_noticed),
        cmocka_unit_test(other_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
