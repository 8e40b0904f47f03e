/* test_ask: the kernel's answer about files that a user may and may not open; what is no question
 * is refused, and nothing stays behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/access/ask.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/access-ask-XXXXXX";

static unsigned entries(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n - 2;
}

static void put(const char *name, mode_t mode)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/tree/%s", dir, name);
    assert_int_equal(file_write(path, mode, "x", 1), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int ask(const char *request, char **ret, struct fault *why)
{
    CLEANUP(mem_free) char *scratch = xasprintf("%s/scratch", dir);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = access_ask(scratch, 0, request, strlen(request), &text, &len, why);
    assert_int_equal(entries(scratch), 0);
    *ret = rc == 0 ? xmemdup(text, len) : NULL;
    return rc;
}

static void the_kernel_answers_as_the_user(void **state)
{
    (void)state;
    struct fault why = {.err = 0};
    if (geteuid() != 0 || access("/usr/bin/python3", X_OK) < 0)
        skip();
    put("mine", 0600);
    put("all's", 0644);
    CLEANUP(mem_free)
    char *request =
        xasprintf("{\"root\":\"%s/tree\",\"users\":[\"daemon\",\"nobody-here\",\"root\"],"
                  "\"paths\":[{\"p\":\"all\\\\x27s\",\"d\":false},{\"p\":\"mine\",\"d\":false},"
                  "{\"p\":\"\",\"d\":true},{\"p\":\"gone\",\"d\":false}]}",
                  dir);
    CLEANUP(mem_free) char *answer = NULL;
    assert_int_equal(ask(request, &answer, &why), 0);
    if (!strstr(
            answer,
            "\"local\": [[[\"\", \"EACCES\", \"EACCES\"], [\"EACCES\", \"EACCES\", \"EACCES\"], "
            "[\"\", \"EACCES\", ") ||
        !strstr(answer, "[\"ENOENT\", \"ENOENT\", \"ENOENT\"]]") ||
        !strstr(answer, "?there is no such user here") || !strstr(answer, "?root is not asked"))
        fail_msg("%s", answer);
}

static void a_sample_comes_by_its_seed(void **state)
{
    (void)state;
    struct fault why = {.err = 0};
    if (geteuid() != 0 || access("/usr/bin/python3", X_OK) < 0)
        skip();
    for (unsigned i = 0; i < 30; i++) {
        CLEANUP(mem_free) char *name = xasprintf("f%u", i);
        put(name, 0644);
    }
    CLEANUP(mem_free)
    char *request = xasprintf(
        "{\"root\":\"%s/tree\",\"users\":[],\"count\":5,\"most_users\":3,\"seed\":4}", dir);
    CLEANUP(mem_free) char *a = NULL;
    CLEANUP(mem_free) char *b = NULL;
    assert_int_equal(ask(request, &a, &why), 0);
    assert_int_equal(ask(request, &b, &why), 0);
    assert_string_equal(a, b);
}

static void what_is_no_question_is_refused(void **state)
{
    (void)state;
    struct fault why = {.err = 0};
    char *answer = NULL;
    if (access("/usr/bin/python3", X_OK) < 0)
        skip();
    assert_int_equal(ask("{\"users\":", &answer, &why), -EIO);
    assert_non_null(strstr(why.text, "cannot be asked here"));
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
        return -1;
    CLEANUP(mem_free) char *tree = xasprintf("%s/tree", dir);
    CLEANUP(mem_free) char *scratch = xasprintf("%s/scratch", dir);
    return mkdir(tree, 0755) < 0 || mkdir(scratch, 0700) < 0 || chmod(tree, 0755) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *tree = xasprintf("%s/tree", dir);
    DIR *d = opendir(tree);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        (void)closedir(d);
    CLEANUP(mem_free) char *scratch = xasprintf("%s/scratch", dir);
    (void)rmdir(tree);
    (void)rmdir(scratch);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_answers_as_the_user),
        cmocka_unit_test(a_sample_comes_by_its_seed),
        cmocka_unit_test(what_is_no_question_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
