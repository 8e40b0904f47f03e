/* test_push: which names go to a server of Windows, and from which folder a pass may delete there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/push/push_priv.h"
#include "agent/transfer/spec.h"
#include "common/base/mem.h"
#include "tests/unit/files/step_stub.h"
#include "tests/unit/test.h"

static void names_that_a_server_takes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool good;
    } cases[] = {
        {"file",        true },
        {"Gr\xc3\xbc\xc3\x9f"
         "e",  true },
        {".hidden",     true },
        {"a:b",         false},
        {"a?",          false},
        {"back\\slash", false},
        {"dot.",        false},
        {"blank ",      false},
        {"bell\a",      false},
        {"\xff",        false},
        {"",            false},
    };
    char longest[700];
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(push_name_good(cases[i].name, strlen(cases[i].name)), cases[i].good);
    for (size_t i = 0; i < sizeof longest; i += 2)
        memcpy(longest + i, "\xc3\xbc", 2);
    assert_true(push_name_good(longest, 510));
    assert_false(push_name_good(longest, 512));
}

static char base[64];

static char *in(const char *name)
{
    return xasprintf("%s/%s", base, name);
}

/* A pass from that folder, which ends well if it may begin. 0 or -errno. */
static int pass_from(const char *path, const struct transfer_options *o)
{
    char *state = in("state");
    struct push_order order = {.path = path, .pair = "0123456789abcdef.1", .options = o};
    struct push p = {.step = step_stub_new(state, "", 0), .order = &order};
    struct fault why = {.err = 0};
    p.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = push_origin_begin(&p, &why);
    if (rc < 0)
        assert_non_null(strstr(why.text, "--override source-root"));
    if (rc == 0)
        assert_int_equal(push_origin_note(&p), 0);
    (void)close(p.root);
    (void)step_stub_free(p.step);
    free(state);
    return rc;
}

static void a_folder_that_is_another_one_deletes_nothing(void **state)
{
    (void)state;
    const struct transfer_options deletes = {.delete_extras = true}, keeps = {.delta = true},
                                  meant = {.delete_extras = true, .any_root = true};
    (void)snprintf(base, sizeof base, "/tmp/godwit-push-XXXXXX");
    assert_non_null(mkdtemp(base));
    char *one = in("one"), *file = in("one/file"), *two = in("two"), *there = in("two/file");
    assert_int_equal(mkdir(one, 0755), 0);
    assert_int_equal(mkdir(two, 0755), 0);
    assert_int_equal(pass_from("/proc", &keeps), 0); /* a first pass may be of any */
    assert_int_equal(pass_from(one, &deletes), -ENODEV);
    assert_int_equal(pass_from(one, &keeps), 0); /* and binds nobody else */
    assert_int_equal(pass_from(one, &deletes), -ENODEV);
    assert_int_equal(pass_from(one, &meant), 0);
    assert_int_equal(pass_from(one, &deletes), 0); /* empty, but the same */
    assert_int_equal(pass_from(two, &deletes), -ENODEV);
    assert_int_equal(pass_from(two, &keeps), 0);
    assert_int_equal(pass_from(two, &deletes), -ENODEV);
    (void)close(open(there, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(pass_from(two, &deletes), 0); /* put in its place */
    (void)close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(pass_from("/proc", &deletes), -ENODEV);
    static const char *const left[] = {
        "one/file",       "one",   "two/file", "two", "state/transfer/0123456789abcdef.1.root",
        "state/transfer", "state", ""};
    for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
        char *path = in(left[i]);
        assert_int_equal(remove(path), 0);
        free(path);
    }
    free(one);
    free(file);
    free(two);
    free(there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_a_server_takes),
        cmocka_unit_test(a_folder_that_is_another_one_deletes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
