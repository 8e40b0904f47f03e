/* torture_list: every entry of a tree in one line: type, mode, owner, times, links, attributes, a
 * digest of content. Two trees are equal when their lists are. Plain folder walking by handles. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/lab/torture.h"

#define BLOCK 4096
#define SPARSE_MIN (1 << 20)

struct inode { /* what has several names is numbered as it is met */
    dev_t dev;
    ino_t ino;
    unsigned number;
};
static void *inodes;
static unsigned ninodes;
static int failed;

static int by_inode(const void *a, const void *b)
{
    const struct inode *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return (x->ino > y->ino) - (x->ino < y->ino);
}

static unsigned number_of(const struct stat *st)
{
    struct inode *want = xcalloc(1, sizeof *want);
    *want = (struct inode){.dev = st->st_dev, .ino = st->st_ino, .number = ninodes + 1};
    struct inode **found = tsearch(want, &inodes, by_inode);
    if (*found == want)
        ninodes++;
    else
        free(want);
    return (*found)->number;
}

/* Blocks of zeros do not count, so that a hole is the same as zeros on a disk. */
static uint64_t digest(int fd)
{
    static const char zeros[BLOCK];
    char block[BLOCK];
    uint64_t sum = 0;
    for (off_t at = lseek(fd, 0, SEEK_DATA); at >= 0; at = lseek(fd, at, SEEK_DATA)) {
        at -= at % BLOCK;
        ssize_t n = pread(fd, block, sizeof block, at);
        if (n <= 0)
            return n < 0 ? UINT64_MAX : sum;
        if (memcmp(block, zeros, (size_t)n) != 0)
            sum = sum * 31 + XXH3_64bits_withSeed(block, (size_t)n, (XXH64_hash_t)at);
        at += BLOCK;
    }
    return sum;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_attributes(const char *proc)
{
    char names[65536], value[65536], *list[4096];
    size_t n = 0;
    ssize_t len = listxattr(proc, names, sizeof names);
    for (char *p = names; len > 0 && p < names + len && n < 4096; p += strlen(p) + 1)
        list[n++] = p;
    qsort(list, n, sizeof *list, by_text);
    for (size_t i = 0; i < n; i++) {
        ssize_t got = getxattr(proc, list[i], value, sizeof value);
        char *shown = text_printable(list[i], strlen(list[i]));
        (void)printf(" %s=%zd:%016llx", shown, got,
                     got < 0 ? 0ULL : (unsigned long long)XXH3_64bits(value, (size_t)got));
        free(shown);
    }
}

static void print_content(int dir, const char *name, const struct stat *st)
{
    char target[8192];
    if (S_ISREG(st->st_mode)) {
        int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        bool holes = st->st_size >= SPARSE_MIN && st->st_blocks * 512 < st->st_size / 2;
        (void)printf(" size=%lld%s digest=%016llx", (long long)st->st_size, holes ? " holes" : "",
                     (unsigned long long)(fd < 0 ? UINT64_MAX : digest(fd)));
        if (fd >= 0)
            (void)close(fd);
    } else if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(dir, name, target, sizeof target);
        char *shown = text_printable(target, n < 0 ? 0 : (size_t)n);
        (void)printf(" -> %s", shown);
        free(shown);
    } else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        (void)printf(" node=%u:%u", major(st->st_rdev), minor(st->st_rdev));
    }
}

static void print_entry(int dir, const char *name, const char *path, const struct stat *st)
{
    char proc[64];
    char *shown = text_printable(path, strlen(path));
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    (void)printf("%s mode=%06o owner=%u:%u mtime=%lld.%09ld", shown, st->st_mode, st->st_uid,
                 st->st_gid, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
        (void)printf(" links=%lu#%u", (unsigned long)st->st_nlink, number_of(st));
    print_content(dir, name, st);
    print_attributes(proc);
    (void)printf("\n");
    if (fd >= 0)
        (void)close(fd);
    free(shown);
}

static char **sorted_names(int fd, size_t *retn)
{
    char **names = NULL;
    size_t n = 0;
    DIR *d = fdopendir(dup(fd));
    if (!d)
        failed = 1;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (n % 1024 == 0)
            names = xrealloc(names, (n + 1024) * sizeof *names);
        names[n++] = xstrdup(e->d_name);
    }
    if (d)
        (void)closedir(d);
    if (n > 1)
        qsort(names, n, sizeof *names, by_text);
    *retn = n;
    return names;
}

static void list_entry(int dir, const char *name, const char *path)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        (void)fprintf(stderr, "torture: %s: %s\n", name, strerror(errno));
        failed = 1;
        return;
    }
    print_entry(dir, name, path, &st);
    if (!S_ISDIR(st.st_mode))
        return;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        (void)fprintf(stderr, "torture: %s: %s\n", name, strerror(errno));
        failed = 1;
        return;
    }
    size_t n = 0;
    char **names = sorted_names(fd, &n);
    for (size_t i = 0; i < n; i++) {
        char *below = xasprintf("%s/%s", path, names[i]);
        list_entry(fd, names[i], below);
        free(below);
        free(names[i]);
    }
    free(names);
    (void)close(fd);
}

int torture_list(const char *path)
{
    struct rlimit many = {.rlim_cur = 4096, .rlim_max = 4096};
    if (getrlimit(RLIMIT_NOFILE, &many) == 0) {
        many.rlim_cur = many.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &many); /* one descriptor a level */
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    list_entry(fd, ".", ".");
    (void)close(fd);
    return failed;
}
