/* test_proof: a manifest on its own: which keys are believed, which lists are those that were
 * signed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/console/proof.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/godwit-proof-XXXXXX";
static struct sign_key *key[STATEMENT_SIGNATURES];
static const char *destination = "new1 /srv/data";
static const char *const names[] = {"new1", "fs1", "0123456789abcdef"};
static const char sums[] = "the list\n", metadata[] = "of metadata\n";

static void write_list(const char *name, const char *text)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(file_write(path, 0600, text, strlen(text)), 0);
}

static void remove_list(const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", dir, name);
    (void)unlink(path);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    for (int i = 0; i < STATEMENT_SIGNATURES; i++) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%d.key", dir, i);
        if (sign_key_load_or_new(path, &key[i]) < 0 || unlink(path) < 0)
            return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < STATEMENT_SIGNATURES; i++)
        key[i] = sign_key_free(key[i]);
    remove_list("SHA256SUMS");
    remove_list("METADATA");
    return rmdir(dir);
}

/* A statement with so many signatures. */
static void make(struct buf *b, int nsigned)
{
    uint8_t digest[SHA256_LEN], signature[SIGN_BYTES];
    struct statement s;
    write_list("SHA256SUMS", sums);
    write_list("METADATA", metadata);
    buf_init(b, STATEMENT_MAX);
    statement_begin(b);
    statement_line(b, "source", "fs1 /srv/data");
    statement_line(b, "destination", destination);
    sha256_of(sums, strlen(sums), digest);
    statement_digest(b, "manifest", digest);
    sha256_of(metadata, strlen(metadata), digest);
    statement_digest(b, "metadata", digest);
    for (int i = 0; i < nsigned; i++) {
        assert_int_equal(statement_parse((char *)b->data, b->len, &s), 0);
        assert_int_equal(sign_make(key[i], s.text, s.body_len, signature), 0);
        statement_put_signature(b, (enum statement_role)i, names[i], sign_key_public(key[i]),
                                signature);
    }
}

static struct proof_keys *keys_of(int swapped)
{
    char text[1024] = "# the keys of a test\n\n";
    struct proof_keys *k = NULL;
    struct fault f = {0};
    for (int i = 0; i < STATEMENT_SIGNATURES; i++) {
        char hex[2 * SIGN_PUBLIC_BYTES + 1];
        size_t at = strlen(text);
        text_hex(sign_key_public(key[i == swapped ? 0 : i]), SIGN_PUBLIC_BYTES, hex);
        (void)snprintf(text + at, sizeof text - at, "%s %s %s\n",
                       i == SIGNED_ORCHESTRATOR ? "orchestrator" : "host", names[i], hex);
    }
    assert_int_equal(proof_keys_parse(text, strlen(text), &k, &f), 0);
    return k;
}

static enum proof_result check(const struct buf *b, struct proof_keys *keys,
                               struct proof_line lines[PROOF_LINES])
{
    struct statement s;
    assert_int_equal(statement_parse((const char *)b->data, b->len, &s), 0);
    enum proof_result worst = proof_check(&s, keys, dir, lines);
    (void)proof_keys_free(keys);
    return worst;
}

static void a_whole_one_is_proved(void **state)
{
    (void)state;
    struct buf b;
    struct proof_line lines[PROOF_LINES];
    make(&b, 3);
    assert_int_equal(check(&b, keys_of(-1), lines), PROOF_GOOD);
    assert_string_equal(lines[1].name, "fs1");
    assert_int_equal(check(&b, NULL, lines), PROOF_OPEN); /* nobody said whom to believe */
    remove_list("METADATA");
    assert_int_equal(check(&b, keys_of(-1), lines), PROOF_OPEN);
    assert_int_equal(lines[4].result, PROOF_OPEN);
    buf_done(&b);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    struct buf b;
    struct proof_line lines[PROOF_LINES];
    make(&b, 2);
    assert_int_equal(check(&b, keys_of(-1), lines), PROOF_MISSING);
    assert_int_equal(lines[SIGNED_ORCHESTRATOR].result, PROOF_MISSING);
    buf_done(&b);
    make(&b, 3);
    assert_int_equal(check(&b, keys_of(1), lines), PROOF_WRONG); /* another key for fs1 */
    assert_int_equal(lines[SIGNED_SOURCE].result, PROOF_WRONG);
    assert_int_equal(lines[SIGNED_DESTINATION].result, PROOF_GOOD);
    write_list("SHA256SUMS", "the 1ist\n");
    assert_int_equal(check(&b, keys_of(-1), lines), PROOF_WRONG);
    assert_int_equal(lines[3].result, PROOF_WRONG);
    buf_done(&b);
    make(&b, 3);
    b.data[20] ^= 1; /* a digit of a digest: still a digest or not one */
    struct statement s;
    if (statement_parse((char *)b.data, b.len, &s) == 0)
        assert_int_equal(check(&b, keys_of(-1), lines), PROOF_WRONG);
    buf_done(&b);
}

static void only_the_hosts_of_the_statement_may_sign(void **state)
{
    (void)state;
    struct buf b;
    struct proof_line lines[PROOF_LINES];
    destination = "new10 /srv/data";
    make(&b, 3);
    assert_int_equal(check(&b, keys_of(-1), lines), PROOF_WRONG);
    assert_int_equal(lines[SIGNED_DESTINATION].result, PROOF_WRONG);
    assert_int_equal(lines[SIGNED_SOURCE].result, PROOF_GOOD);
    destination = "new1 /srv/data";
    buf_done(&b);
}

static void a_bad_list_of_keys_is_refused(void **state)
{
    (void)state;
#define K "0707070707070707070707070707070707070707070707070707070707070707"
    static const struct {
        const char *text;
        int want;
    } cases[] = {
        {"",                         0       },
        {"host a " K,                0       },
        {"host a " K "\n\n# x\n",    0       },
        {"user a " K "\n",           -EBADMSG},
        {"host a/b " K "\n",         -EBADMSG},
        {"host a 07\n",              -EBADMSG},
        {"host a " K " more\n",      -EBADMSG},
        {"host a " K K K K K K "\n", -EBADMSG},
        {"host a\n",                 -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct proof_keys *k = NULL;
        struct fault f = {0};
        int rc = proof_keys_parse(cases[i].text, strlen(cases[i].text), &k, &f);
        (void)proof_keys_free(k);
        if (rc != cases[i].want)
            fail_msg("'%s': %d", cases[i].text, rc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_one_is_proved),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(only_the_hosts_of_the_statement_may_sign),
        cmocka_unit_test(a_bad_list_of_keys_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
