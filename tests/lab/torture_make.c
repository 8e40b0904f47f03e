/* torture_make: small steps that the sections of the torture tree are made of. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lab/torture.h"

uint64_t maker_random(struct maker *m) /* splitmix64 */
{
    uint64_t z = m->random += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

void maker_must(struct maker *m, int rc, const char *what, const char *name)
{
    if (rc >= 0) {
        m->made++;
        return;
    }
    int err = errno;
    bool refused = err == EPERM || err == EACCES || err == EOPNOTSUPP || err == EINVAL ||
                   err == EFBIG || err == ENOSPC || err == ERANGE;
    (void)fprintf(stderr, "torture: %s: %s of %s: %s\n", refused ? "skipped" : "failed", what, name,
                  strerror(err));
    if (!refused)
        exit(1);
    m->skipped++;
}

int maker_folder(struct maker *m, int dir, const char *name)
{
    if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST) {
        perror(name);
        exit(1);
    }
    m->made++;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        perror(name);
        exit(1);
    }
    return fd;
}

void maker_stamp(struct maker *m, int dir, const char *name)
{
    enum { SPAN = 500000000, BASE = 1100000000, NSEC = 1000000000 };
    struct timespec t[2] = {
        {.tv_nsec = UTIME_OMIT                    },
        { .tv_sec = BASE + (time_t)(maker_random(m) % SPAN),
         .tv_nsec = (long)(maker_random(m) % NSEC)}
    };
    (void)utimensat(dir, name, t, AT_SYMLINK_NOFOLLOW);
}

void maker_bytes(struct maker *m, int fd, off_t at, size_t bytes)
{
    uint64_t block[1024];
    while (bytes > 0) {
        for (size_t i = 0; i < sizeof block / sizeof *block; i++)
            block[i] = maker_random(m);
        size_t n = bytes < sizeof block ? bytes : sizeof block;
        if (pwrite(fd, block, n, at) != (ssize_t)n) {
            perror("torture: write");
            exit(1);
        }
        at += (off_t)n;
        bytes -= n;
    }
}

void maker_file(struct maker *m, int dir, const char *name, size_t bytes)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    maker_must(m, fd, "file", name);
    if (fd < 0)
        return;
    maker_bytes(m, fd, 0, bytes);
    (void)close(fd);
    maker_stamp(m, dir, name);
}
