/* passes: what a pass costs when little changed, by the change feed and by full scan, with rsync's
 * scan of the same trees beside it. Both sides over loopback in this process. Called by
 * tests/bench/passes; not installed. godwit-passes make DIR FOLDERS FILES        a tree of small
 * files godwit-passes run SOURCE DESTINATION STATE CHANGES ROUNDS */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/feed/feed.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/transfer/harness.h"

struct tree {
    unsigned folders, files; /* files: in each folder */
};

static int write_file(const char *path, unsigned value, int flags)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%u\n", value);
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
    if (fd < 0 || write(fd, text, (size_t)n) != n)
        return -errno;
    return close(fd);
}

static int make(const char *dir, struct tree t)
{
    for (unsigned i = 0; i < t.folders; i++) {
        char *folder = xasprintf("%s/d%u", dir, i);
        int rc = mkdir(folder, 0755);
        for (unsigned k = 0; rc == 0 && k < t.files; k++) {
            char *path = xasprintf("%s/f%u", folder, k);
            rc = write_file(path, i * t.files + k, O_CREAT | O_EXCL);
            free(path);
        }
        free(folder);
        if (rc != 0) {
            perror(dir);
            return 1;
        }
    }
    return 0;
}

static struct tree tree_of(const char *dir)
{
    struct tree t = {0, 0};
    for (bool there = true; there; t.folders += there) {
        char *path = xasprintf("%s/d%u", dir, t.folders);
        there = access(path, F_OK) == 0;
        free(path);
    }
    for (bool there = true; there; t.files += there) {
        char *path = xasprintf("%s/d0/f%u", dir, t.files);
        there = access(path, F_OK) == 0;
        free(path);
    }
    return t;
}

static void change(const char *dir, struct tree t, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char *path = xasprintf("%s/d%u/f%u", dir, (unsigned)random() % t.folders,
                               (unsigned)random() % t.files);
        (void)write_file(path, i, O_APPEND);
        free(path);
    }
}

static int64_t pass(struct harness *h, bool full, uint64_t *retlooked, uint64_t *retfiles)
{
    struct step_result sent, received;
    int64_t began = clock_mono_ms();
    h->options = (struct transfer_options){.delete_extras = true, .full_scan = full};
    harness_run(h, &sent, &received);
    int64_t ms = clock_mono_ms() - began;
    if (sent.status != STEP_DONE || received.status != STEP_DONE)
        (void)fprintf(stderr, "a pass did not end well\n");
    *retlooked = sent.counters.total_files;
    *retfiles = received.counters.files;
    step_result_done(&sent);
    step_result_done(&received);
    return ms;
}

static int64_t rsync(const struct harness *h)
{
    char *from = xasprintf("%s/", h->source);
    int64_t began = clock_mono_ms();
    pid_t pid = fork();
    if (pid == 0) {
        (void)execlp("rsync", "rsync", "-aHAX", "--whole-file", "--delete", from, h->destination,
                     (char *)NULL);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
    free(from);
    return clock_mono_ms() - began;
}

static int run(struct harness *h, unsigned changes, unsigned rounds)
{
    struct tree t = tree_of(h->source);
    uint64_t looked = 0, files = 0;
    if (feed_new(&h->feed, h->state) < 0)
        return 1;
    int64_t first = pass(h, false, &looked, &files);
    (void)printf("first pass: %lld ms, %llu files\n", (long long)first, (unsigned long long)files);
    for (unsigned i = 0; i < rounds; i++) {
        change(h->source, t, changes);
        int64_t feed = pass(h, false, &looked, &files);
        (void)printf("%u changes: by list %lld ms (looked at %llu files, sent %llu)", changes,
                     (long long)feed, (unsigned long long)looked, (unsigned long long)files);
        change(h->source, t, changes);
        int64_t full = pass(h, true, &looked, &files);
        change(h->source, t, changes);
        int64_t other = rsync(h);
        uint64_t ignored = 0;
        (void)pass(h, false, &ignored, &ignored); /* what rsync brought is known again */
        (void)printf(
            ", full scan %lld ms (looked at %llu), rsync on one host %lld ms; rsync/list %.1f\n",
            (long long)full, (unsigned long long)looked, (long long)other,
            feed > 0 ? (double)other / (double)feed : 0.0);
        (void)fflush(stdout);
    }
    h->feed = feed_free(h->feed);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "make") == 0)
        return make(argv[2], (struct tree){(unsigned)strtoul(argv[3], NULL, 10),
                                           (unsigned)strtoul(argv[4], NULL, 10)});
    if (argc != 7 || strcmp(argv[1], "run") != 0)
        return 2;
    struct harness h = {.source = argv[2], .destination = argv[3], .state = argv[4]};
    (void)file_mkdirs(h.state, 0700);
    return run(&h, (unsigned)strtoul(argv[5], NULL, 10), (unsigned)strtoul(argv[6], NULL, 10));
}
