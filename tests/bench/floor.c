/* floor: what a copy over TCP costs at the least on this machine: the system calls that each file
 * needs with a temporary name, its times and a rename, and nothing else: no encryption, no digest,
 * no record of what was done, no answers. To be held beside rsync and Godwit. Not installed.
 *   godwit-floor SOURCE DESTINATION [THREADS]
 * Files up to RECORD_BYTES / 2 only; links and larger files are left out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/bench/floor_sides.h"

#define RECORD_BYTES (512U << 10)
#define SEND_AT (256U << 10) /* as Godwit's batches */

struct entry { /* of a record; the name and the content follow */
    uint32_t name_len, size;
    struct timespec mtime;
    mode_t mode; /* 0: a folder: what follows is in it */
};

static const char *from, *to;
static char **folders;
static size_t nfolders;
static atomic_size_t next_folder;
static atomic_ulong temp_number;

static void all_out(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        floor_must(k, "send");
        p += k;
        n -= (size_t)k;
    }
}

static bool all_in(int fd, uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t k = read(fd, p, n);
        floor_must(k, "receive");
        if (k == 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* ── source ── */

struct record {
    int sock;
    uint32_t len;
    uint8_t *data; /* its length first */
};

static void record_send(struct record *r)
{
    memcpy(r->data, &r->len, sizeof r->len);
    all_out(r->sock, r->data, r->len);
    r->len = sizeof r->len;
}

static void put(struct record *r, const struct entry *e, const char *name)
{
    memcpy(r->data + r->len, e, sizeof *e);
    memcpy(r->data + r->len + sizeof *e, name, e->name_len);
    r->len += (uint32_t)sizeof *e + e->name_len;
}

static void put_folder(struct record *r, const char *path)
{
    struct entry e = {.name_len = (uint32_t)strlen(path)};
    put(r, &e, path);
}

/* The calls of a file that is read once and looked at before and after. */
static void put_file(struct record *r, int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME);
    floor_must(fd, name);
    floor_must(fstat(fd, &st), name);
    (void)flistxattr(fd, NULL, 0);
    if (S_ISREG(st.st_mode) && st.st_size <= RECORD_BYTES / 2) {
        struct entry e = {(uint32_t)strlen(name), (uint32_t)st.st_size, st.st_mtim, st.st_mode};
        put(r, &e, name);
        floor_must(pread(fd, r->data + r->len, e.size, 0), name);
        r->len += e.size;
        floor_must(fstat(fd, &st), name);
    }
    (void)close(fd);
}

static void send_folder(struct record *r, const char *path)
{
    char *whole = xasprintf("%s/%s", from, path);
    DIR *dir = opendir(whole);
    floor_must(dir ? 0 : -1, whole);
    put_folder(r, path);
    for (struct dirent *d; (d = readdir(dir));) {
        if (d->d_type != DT_REG)
            continue;
        if (r->len > SEND_AT) {
            record_send(r);
            put_folder(r, path);
        }
        put_file(r, dirfd(dir), d->d_name);
    }
    (void)closedir(dir);
    free(whole);
}

static void *source_run(void *arg)
{
    struct record r = {.sock = *(int *)arg, .len = sizeof r.len, .data = xmalloc(RECORD_BYTES)};
    for (size_t i; (i = atomic_fetch_add(&next_folder, 1)) < nfolders;) {
        send_folder(&r, folders[i]);
        if (r.len > SEND_AT)
            record_send(&r);
    }
    record_send(&r);
    floor_must(shutdown(r.sock, SHUT_WR), "shutdown");
    free(r.data);
    return NULL;
}

static int found(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    if (type != FTW_D)
        return 0;
    folders = xrealloc(folders, (nfolders + 1) * sizeof *folders);
    path += strlen(from);
    folders[nfolders++] = xstrdup(*path == '/' ? path + 1 : path);
    return 0;
}

/* ── destination ── */

static int folder_make(const char *name, uint32_t len)
{
    char *path = xasprintf("%s/%.*s", to, (int)len, name);
    for (char *p = path + strlen(to) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        (void)mkdir(path, 0755);
    }
    (void)mkdir(path, 0755);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    floor_must(fd, path);
    free(path);
    return fd;
}

static void file_make(int dir, const struct entry *e, const char *name, const uint8_t *data)
{
    char temp[64], text[256];
    struct timespec times[2] = {e->mtime, e->mtime};
    (void)snprintf(temp, sizeof temp, ".godwit-0123456789abcdef0123-%lu",
                   atomic_fetch_add(&temp_number, 1));
    (void)snprintf(text, sizeof text, "%.*s", (int)e->name_len, name);
    int fd =
        openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, e->mode & 07777U);
    floor_must(fd, temp);
    floor_must(pwrite(fd, data, e->size, 0), temp);
    floor_must(futimens(fd, times), temp);
    (void)close(fd);
    floor_must(renameat(dir, temp, dir, text), temp);
}

static void *destination_run(void *arg)
{
    int sock = *(int *)arg, dir = -1;
    uint8_t *data = xmalloc(RECORD_BYTES);
    for (uint32_t len; all_in(sock, data, sizeof len);) {
        memcpy(&len, data, sizeof len);
        floor_must(len <= RECORD_BYTES && all_in(sock, data, len - sizeof len) ? 0 : -1, "record");
        for (uint32_t at = 0; at < len - sizeof len;) {
            struct entry e;
            memcpy(&e, data + at, sizeof e);
            const char *name = (char *)data + at + sizeof e;
            at += (uint32_t)sizeof e + e.name_len + e.size;
            if (e.mode) {
                file_make(dir, &e, name, (const uint8_t *)name + e.name_len);
                continue;
            }
            if (dir >= 0)
                (void)close(dir);
            dir = folder_make(name, e.name_len);
        }
    }
    free(data);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned n = floor_threads(argc, argv, "godwit-floor");
    if (n == 0)
        return 2;
    from = argv[1];
    to = argv[2];
    (void)umask(0);
    int64_t began = clock_mono_us();
    floor_must(nftw(from, found, 64, FTW_PHYS), from);
    return floor_run(n, source_run, destination_run, began);
}
