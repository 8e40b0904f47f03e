/* test_signature: keys in files, and what they sign. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/proof/signature.h"
#include "tests/unit/test.h"

static char path[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/var/tmp/godwit-sign-%d.key", (int)getpid());
    (void)unlink(path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

static void a_key_is_made_once_and_only_for_its_owner(void **state)
{
    (void)state;
    struct stat st;
    CLEANUP(sign_key_free) struct sign_key *a = NULL;
    CLEANUP(sign_key_free) struct sign_key *b = NULL;
    (void)umask(0);
    assert_int_equal(sign_key_load_or_new(path, &a), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(sign_key_load_or_new(path, &b), 0);
    assert_memory_equal(sign_key_public(a), sign_key_public(b), SIGN_PUBLIC_BYTES);
}

static void a_file_that_is_no_such_key_is_refused(void **state)
{
    (void)state;
    struct sign_key *k = NULL;
    assert_int_equal(sign_key_load_or_new(path, &k), 0);
    k = sign_key_free(k);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(sign_key_load_or_new(path, &k), -EPERM);
    assert_int_equal(file_write(path, 0600, "no key\n", 7), 0);
    assert_int_equal(sign_key_load_or_new(path, &k), -EBADMSG);
    assert_null(k);
}

static void only_the_very_bytes_and_the_very_key_fit(void **state)
{
    (void)state;
    static const char text[] = "what was signed";
    uint8_t signature[SIGN_BYTES], other_key[SIGN_PUBLIC_BYTES];
    CLEANUP(sign_key_free) struct sign_key *k = NULL;
    assert_int_equal(sign_key_load_or_new(path, &k), 0);
    const uint8_t *public_key = sign_key_public(k);
    assert_int_equal(sign_make(k, text, sizeof text, signature), 0);
    assert_int_equal(sign_check(public_key, text, sizeof text, signature), 0);
    assert_int_equal(sign_check(public_key, text, sizeof text - 1, signature), -EBADMSG);
    memcpy(other_key, public_key, sizeof other_key);
    other_key[0] ^= 1;
    assert_int_equal(sign_check(other_key, text, sizeof text, signature), -EBADMSG);
    for (size_t i = 0; i < sizeof signature; i += 7) {
        signature[i] ^= 4;
        assert_int_equal(sign_check(public_key, text, sizeof text, signature), -EBADMSG);
        signature[i] ^= 4;
    }
    assert_int_equal(sign_check(public_key, text, sizeof text, signature), 0);
}

/* RFC 8032, 7.1, test 2. */
static void it_is_the_ed25519_of_everybody_else(void **state)
{
    (void)state;
    uint8_t public_key[SIGN_PUBLIC_BYTES], signature[SIGN_BYTES];
    assert_int_equal(text_unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                                public_key, sizeof public_key),
                     0);
    assert_int_equal(text_unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                                signature, sizeof signature),
                     0);
    assert_int_equal(sign_check(public_key, "\x72", 1, signature), 0);
    assert_int_equal(sign_check(public_key, "\x73", 1, signature), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_is_made_once_and_only_for_its_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_such_key_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_very_bytes_and_the_very_key_fit, setup, teardown),
        cmocka_unit_test(it_is_the_ed25519_of_everybody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
