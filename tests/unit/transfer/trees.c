/* trees: made, transferred and compared by rsync, which shares no code with us. */
#include "tests/unit/transfer/trees.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_identity.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/record.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"

char base[] = "/tmp/godwit-transfer-XXXXXX";
char *source, *destination, *state;
uint16_t port;

int trees_run(const char *const argv[])
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        union {
            const char *const *in;
            char *const *out;
        } args = {.in = argv};
        (void)execvp(argv[0], args.out);
        _exit(127);
    }
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Prints nothing and ends with 0 when both are the same in all that rsync can see. */
void assert_same_trees(void)
{
    char *from = xasprintf("%s/", source), *to = xasprintf("%s/", destination);
    char *script =
        xasprintf("all=$(rsync -aHAXnc --delete --itemize-changes '%s' '%s' 2>&1;"
                  " find '%s' -name '.godwit-*'); printf '%%s' \"$all\" >&2; test -z \"$all\"",
                  from, to, destination);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(from);
    free(to);
    free(script);
}

char *in_source(const char *name)
{
    return xasprintf("%s/%s", source, name);
}

void put(const char *dir, const char *name, const void *data, size_t len)
{
    char *path = xasprintf("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    (void)close(fd);
    free(path);
}

void put_random(const char *name, size_t len, unsigned seed)
{
    uint8_t *data = xmalloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245U + 12345U;
        data[i] = (uint8_t)(seed >> 16);
    }
    put(source, name, data, len);
    free(data);
}

void make_dir(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
    free(path);
}

static void make_holes(void)
{
    char *holes = in_source("holes");
    int fd = open(holes, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(pwrite(fd, "a", 1, 1 << 20), 1);
    assert_int_equal(pwrite(fd, "b", 1, 20 << 20), 1);
    assert_int_equal(ftruncate(fd, 40 << 20), 0);
    (void)close(fd);
    free(holes);
    put(source, "hole", "", 0);
    IN_SOURCE(truncate(path, 150000), "hole");
}

/* One of each kind, and the sizes at which the way of sending changes. */
void make_tree(void)
{
    static const size_t sizes[] = {0,
                                   1,
                                   4096,
                                   BATCH_FILE_MAX,
                                   BATCH_FILE_MAX + 1,
                                   PIECE_BYTES - 1,
                                   PIECE_BYTES,
                                   PIECE_BYTES + 1,
                                   3 * PIECE_BYTES + 7};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "size%zu", i);
        put_random(name, sizes[i], (unsigned)i);
    }
    make_dir(source, "sub");
    make_dir(source, "sub/empty");
    for (unsigned i = 0; i < 1500; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "sub/f%u", i);
        put_random(name, i % 300, i);
    }
    put_random("sub/first", 5000, 5);
    char *first = in_source("sub/first");
    IN_SOURCE(link(first, path), "other-name");
    IN_SOURCE(link(first, path), "sub/empty/third");
    free(first);
    IN_SOURCE(symlink("nowhere", path), "link");
    IN_SOURCE(mkfifo(path, 0620), "fifo");
    IN_SOURCE(mknod(path, S_IFSOCK | 0600, 0), "socket");
    if (geteuid() == 0)
        IN_SOURCE(mknod(path, S_IFCHR | 0640, makedev(1, 3)), "device");
    make_holes();
    char long_name[256];
    memset(long_name, 'n', 255);
    long_name[255] = '\0';
    put(source, long_name, "x", 1);
    put(source, "\xff\xfe", "bytes", 5);
    IN_SOURCE(setxattr(path, "user.test", "value", 5, 0), "size2");
    IN_SOURCE(setxattr(path, "user.test", "value", 5, 0), "sub");
    IN_SOURCE(chmod(path, 04755), "size1");
    IN_SOURCE(chmod(path, 0), "size3");
    IN_SOURCE(chmod(path, 01555), "sub/empty");
    const struct timespec times[2] = {
        {123456, 789      },
        {-7,     999999999}
    };
    IN_SOURCE(utimensat(AT_FDCWD, path, times, 0), "size4");
    IN_SOURCE(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), "link");
    IN_SOURCE(utimensat(AT_FDCWD, path, times, 0), "sub");
}

void skip_in_memory(void)
{
    struct statfs st;
    if (statfs(base, &st) == 0 && st.f_type != TMPFS_MAGIC)
        return;
    print_message("skipped: names wait for a sync on a disk only, and TMPDIR is in memory\n");
    skip();
}

int trees_setup(void **state_)
{
    (void)state_;
    memcpy(base + sizeof base - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(base));
    source = xasprintf("%s/source", base);
    destination = xasprintf("%s/destination", base);
    state = xasprintf("%s/state", base);
    return mkdir(source, 0755) || mkdir(state, 0700);
}

int trees_teardown(void **state_)
{
    (void)state_;
    const char *const argv[] = {"rm", "-rf", base, NULL};
    free(source);
    free(destination);
    free(state);
    return trees_run(argv);
}

/* For whoever reads why an assertion about the status failed. */
static void tell(const struct step_result *r, const char *side)
{
    if (r->status == STEP_FAILED)
        print_message("[ %s ] failed: %s\n", side, r->fault.text);
    for (size_t i = 0; i < r->ngroups; i++)
        print_message("[ %s ] %s: error %d, %llu times, first %s\n", side, r->groups[i].what,
                      r->groups[i].err, (unsigned long long)r->groups[i].count,
                      r->groups[i].nexamples ? r->groups[i].examples[0] : "-");
}

void transfer(struct both *ret, const struct transfer_options *options)
{
    struct harness h = {.source = source, .destination = destination, .state = state};
    if (options)
        h.options = *options;
    harness_run(&h, &ret->sent, &ret->received);
    tell(&ret->sent, "source");
    tell(&ret->received, "destination");
    step_result_done(&ret->sent);
    step_result_done(&ret->received);
}

void assert_done(const struct both *b)
{
    assert_int_equal(b->sent.status, STEP_DONE);
    assert_int_equal(b->received.status, STEP_DONE);
}
