/* test_vault: secrets at rest: what is sealed, by what key, and who may read that. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "orchestrator/store/vault.h"
#include "tests/unit/test.h"

static char folder[] = "/tmp/gw-vault-XXXXXX";
static char key[64];

static int set_up(void **state)
{
    (void)state;
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(key, sizeof key, "%s/vault.key", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char handed[64];
    (void)snprintf(handed, sizeof handed, "%s/godwit-vault", folder);
    (void)unlink(handed);
    (void)unlink(key);
    return rmdir(folder);
}

static void what_is_sealed_comes_back_after_a_restart(void **state)
{
    (void)state;
    static const char secret[] = "top\0secret";
    CLEANUP(mem_free) void *sealed = NULL;
    struct fault f = {.err = 0};
    struct vault *v = NULL;
    struct stat st;
    void *back = NULL;
    size_t n = 0, len = 0;
    assert_int_equal(vault_open(&v, folder, &f), 0);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(vault_seal(v, "nas", secret, sizeof secret, &sealed, &n), 0);
    assert_null(memmem(sealed, n, "secret", 6));
    (void)vault_close(v);
    assert_int_equal(vault_open(&v, folder, &f), 0);
    assert_int_equal(vault_unseal(v, "nas", sealed, n, &back, &len), 0);
    assert_int_equal(len, sizeof secret);
    assert_memory_equal(back, secret, len);
    vault_wipe(back, len);
    assert_int_equal(vault_unseal(v, "other", sealed, n, &back, &len), -EBADMSG);
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)sealed)[i] ^= 1;
        assert_int_equal(vault_unseal(v, "nas", sealed, n, &back, &len), -EBADMSG);
        ((uint8_t *)sealed)[i] ^= 1;
    }
    assert_int_equal(vault_unseal(v, "nas", sealed, 27, &back, &len), -EBADMSG);
    (void)vault_close(v);
}

static void a_key_that_others_may_read_is_refused(void **state)
{
    (void)state;
    struct fault f = {.err = 0};
    struct vault *v = NULL;
    assert_int_equal(chmod(key, 0640), 0);
    assert_int_equal(vault_open(&v, folder, &f), -EPERM);
    assert_non_null(strstr(f.text, "chmod 600"));
    assert_int_equal(chmod(key, 0600), 0);
    assert_int_equal(file_write(key, 0600, "short", 5), 0);
    assert_int_equal(vault_open(&v, folder, &f), -EBADMSG);
}

static void systemd_may_hand_the_key_over(void **state)
{
    (void)state;
    static const char hex[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    struct fault f = {.err = 0};
    struct vault *v = NULL;
    char path[64];
    (void)snprintf(path, sizeof path, "%s/godwit-vault", folder);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    assert_int_equal(file_write(path, 0400, hex, sizeof hex - 1), 0);
    assert_int_equal(vault_open(&v, "/nowhere", &f), 0);
    (void)vault_close(v);
    assert_int_equal(file_write(path, 0400, "zz", 2), 0);
    assert_int_equal(vault_open(&v, "/nowhere", &f), -EBADMSG);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_comes_back_after_a_restart),
        cmocka_unit_test(a_key_that_others_may_read_is_refused),
        cmocka_unit_test(systemd_may_hand_the_key_over),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
