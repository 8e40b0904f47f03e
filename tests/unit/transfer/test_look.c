/* test_look: attributes by name, from a thread with a working folder of its own and from one
 * without: the same, and nobody else's working folder moves. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/transfer/look.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/trees.h"

static char dir[] = "/tmp/gw-look-XXXXXX";
static int a, b; /* folders; each has a file "plain" and one "noted", and a link "link" to it */

static int folder_make(const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(openat(fd, "plain", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    int noted = openat(fd, "noted", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fsetxattr(noted, "user.of", name, strlen(name), 0), 0);
    (void)close(noted);
    assert_int_equal(symlinkat("noted", fd, "link"), 0);
    free(path);
    return fd;
}

static uint64_t looked(int fd, const char *name)
{
    uint64_t digest = 1;
    assert_int_equal(look_xattrs_digest(fd, name, 0, &digest), 0);
    return digest;
}

struct seen {
    bool detached;
    uint64_t of[6];
};

static void look_at_all(struct seen *s)
{
    static const char *const names[] = {"plain", "noted", "link"};
    for (size_t i = 0; i < 6; i++)
        s->of[i] = looked(i % 2 ? a : b, names[i / 2]);
}

static void *detached(void *arg)
{
    struct seen *s = arg;
    s->detached = look_detach();
    look_at_all(s);
    return NULL;
}

static void a_thread_of_its_own_sees_the_same(void **state_)
{
    (void)state_;
    struct seen here = {.detached = false}, there = {.detached = false};
    char before[200], after[200];
    pthread_t thread;
    assert_non_null(mkdtemp(dir));
    a = folder_make("a");
    b = folder_make("b");
    assert_non_null(getcwd(before, sizeof before));
    look_at_all(&here);
    assert_int_equal(pthread_create(&thread, NULL, detached, &there), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(there.detached);
    assert_memory_equal(here.of, there.of, sizeof here.of);
    assert_int_equal(here.of[0] + here.of[1], 0);
    assert_true(here.of[2] != 0 && here.of[3] != 0 && here.of[2] != here.of[3]);
    assert_int_equal(here.of[4] + here.of[5], 0); /* not of what the link points to */
    assert_non_null(getcwd(after, sizeof after));
    assert_string_equal(before, after);
    (void)close(a);
    (void)close(b);
    const char *const argv[] = {"rm", "-rf", dir, NULL};
    assert_int_equal(trees_run(argv), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_of_its_own_sees_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
