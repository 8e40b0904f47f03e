/* test_sha256: the published vectors, and secrets compared whole. */
#include <string.h>

#include "common/base/sha256.h"
#include "common/base/text.h"
#include "tests/unit/test.h"

static void published_digests_come_out(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"",                                                         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc",                                                      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"                                                            },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t digest[SHA256_LEN];
        char hex[65];
        sha256_of(cases[i].text, strlen(cases[i].text), digest);
        text_hex(digest, sizeof digest, hex);
        assert_string_equal(hex, cases[i].want);
    }
}

static void secrets_compare_whole(void **state)
{
    (void)state;
    assert_true(bytes_equal_secret("abcd", "abcd", 4));
    assert_false(bytes_equal_secret("abcd", "abce", 4));
    assert_false(bytes_equal_secret("abcd", "bbcd", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_digests_come_out),
        cmocka_unit_test(secrets_compare_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
