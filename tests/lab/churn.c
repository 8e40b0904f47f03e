/* churn: one operation after the other on folders and files picked by walking down at random. Keeps
 * no list: what is there is what was left. One thread. */
#include "tests/lab/churn.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PATH_BYTES 2048
#define SIZE_MOST (300U << 10)

static uint64_t next(struct churn *c)
{
    c->seed += 0x9e3779b97f4a7c15ULL; /* splitmix64 */
    uint64_t z = c->seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static unsigned below(struct churn *c, unsigned n)
{
    return (unsigned)(next(c) % n);
}

/* ── picking ── */

/* A random entry of dir, of folders or of anything else; false: none. */
static bool pick_in(struct churn *c, const char *dir, bool folder, char ret[PATH_BYTES])
{
    DIR *d = opendir(dir);
    unsigned seen = 0;
    if (!d)
        return false;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.' || (e->d_type == DT_DIR) != folder || below(c, ++seen) != 0)
            continue;
        if (snprintf(ret, PATH_BYTES, "%s/%s", dir, e->d_name) >= PATH_BYTES)
            seen = 0;
    }
    (void)closedir(d);
    return seen > 0;
}

static void pick_folder(struct churn *c, char ret[PATH_BYTES])
{
    char next_one[PATH_BYTES];
    (void)snprintf(ret, PATH_BYTES, "%s", c->root);
    while (below(c, 4) != 0 && pick_in(c, ret, true, next_one))
        memcpy(ret, next_one, PATH_BYTES);
}

static bool pick_file(struct churn *c, char ret[PATH_BYTES])
{
    char folder[PATH_BYTES];
    for (int i = 0; i < 8; i++) {
        pick_folder(c, folder);
        if (pick_in(c, folder, false, ret))
            return true;
    }
    return false;
}

static void new_name(struct churn *c, char ret[PATH_BYTES])
{
    char folder[PATH_BYTES];
    pick_folder(c, folder);
    (void)!snprintf(ret, PATH_BYTES, "%.1900s/n%u", folder, below(c, 400));
}

/* ── content ── */

static void fill(struct churn *c, int fd, size_t n, off_t at)
{
    static uint8_t data[SIZE_MOST];
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = next(c);
        memcpy(data + i, &v, n - i < 8 ? n - i : 8);
    }
    (void)!pwrite(fd, data, n, at);
}

static size_t size_of(struct churn *c)
{
    unsigned k = below(c, 100);
    return k < 20 ? 0 : k < 90 ? below(c, 8000) : below(c, SIZE_MOST);
}

static void make(struct churn *c, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    size_t n = size_of(c);
    if (below(c, 10) == 0) /* a hole before it */
        (void)!ftruncate(fd, (off_t)n + 100000);
    fill(c, fd, n, 0);
    (void)close(fd);
}

static void op_create(struct churn *c)
{
    char path[PATH_BYTES];
    new_name(c, path);
    make(c, path);
}

static int open_file(struct churn *c, char path[PATH_BYTES], struct stat *st)
{
    if (!pick_file(c, path))
        return -1;
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static void op_write(struct churn *c)
{
    char path[PATH_BYTES];
    struct stat st;
    int fd = open_file(c, path, &st);
    if (fd < 0)
        return;
    fill(c, fd, 1 + below(c, 3000), below(c, 2) ? st.st_size : 0);
    if (below(c, 3) == 0) { /* and nobody sees it by its time */
        const struct timespec times[2] = {st.st_atim, st.st_mtim};
        (void)futimens(fd, times);
    }
    (void)close(fd);
}

static void op_truncate(struct churn *c)
{
    char path[PATH_BYTES];
    struct stat st;
    int fd = open_file(c, path, &st);
    if (fd < 0)
        return;
    (void)!ftruncate(fd, (off_t)size_of(c));
    (void)close(fd);
}

/* ── names ── */

static void op_replace(struct churn *c)
{
    char path[PATH_BYTES], temp[PATH_BYTES + 16];
    if (!pick_file(c, path))
        return;
    (void)snprintf(temp, sizeof temp, "%s.tmp", path);
    make(c, temp);
    (void)rename(temp, path);
}

static void op_move_file(struct churn *c)
{
    char path[PATH_BYTES], to[PATH_BYTES];
    if (!pick_file(c, path))
        return;
    if (below(c, 3) == 0 && pick_file(c, to)) {
        (void)rename(path, to);
        return;
    }
    new_name(c, to);
    (void)rename(path, to);
}

static void op_unlink(struct churn *c)
{
    char path[PATH_BYTES];
    if (pick_file(c, path))
        (void)unlink(path);
}

static void op_link(struct churn *c)
{
    char path[PATH_BYTES], to[PATH_BYTES];
    new_name(c, to);
    if (below(c, 1000) < c->links * 10 && pick_file(c, path))
        (void)link(path, to);
}

static void op_special(struct churn *c)
{
    char path[PATH_BYTES];
    new_name(c, path);
    if (below(c, 2))
        (void)!symlink("somewhere/else", path);
    else
        (void)mkfifo(path, 0600);
}

/* ── folders ── */

static void op_mkdir(struct churn *c)
{
    char path[PATH_BYTES], inside[PATH_BYTES + 16];
    new_name(c, path);
    if (mkdir(path, 0755) < 0)
        return;
    for (unsigned i = below(c, 6); i > 0; i--) {
        (void)snprintf(inside, sizeof inside, "%s/n%u", path, below(c, 400));
        make(c, inside);
    }
}

static void op_move_folder(struct churn *c)
{
    char path[PATH_BYTES], to[PATH_BYTES];
    pick_folder(c, path);
    if (strcmp(path, c->root) == 0)
        return;
    new_name(c, to);
    unsigned how = below(c, 8);
    if (how == 0 && c->attic)
        (void)snprintf(to, sizeof to, "%.1900s/n%u", c->attic, below(c, 20));
    if (how == 1) {
        pick_folder(c, to);
        (void)renameat2(AT_FDCWD, path, AT_FDCWD, to, RENAME_EXCHANGE);
        return;
    }
    (void)rename(path, to);
}

static void op_bring_back(struct churn *c)
{
    char path[PATH_BYTES], to[PATH_BYTES];
    if (!c->attic || !pick_in(c, c->attic, below(c, 4) != 0, path))
        return;
    new_name(c, to);
    (void)rename(path, to);
}

static void remove_all(const char *path, int depth)
{
    DIR *d = depth < 64 ? opendir(path) : NULL;
    if (!d)
        return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        char inside[PATH_BYTES];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            snprintf(inside, sizeof inside, "%s/%s", path, e->d_name) >= PATH_BYTES)
            continue;
        if (e->d_type == DT_DIR)
            remove_all(inside, depth + 1);
        else
            (void)unlink(inside);
    }
    (void)closedir(d);
    (void)rmdir(path);
}

static void op_remove_folder(struct churn *c)
{
    char path[PATH_BYTES], deeper[PATH_BYTES];
    pick_folder(c, path);
    if (strcmp(path, c->root) == 0 || pick_in(c, path, true, deeper))
        return; /* a leaf: else little would be left */
    remove_all(path, 0);
}

/* ── metadata ── */

static bool pick_any(struct churn *c, char ret[PATH_BYTES])
{
    if (below(c, 3) == 0) {
        pick_folder(c, ret);
        return true;
    }
    return pick_file(c, ret);
}

static void op_mode(struct churn *c)
{
    static const mode_t modes[] = {0755, 0700, 0644, 0600, 02750, 01777, 0444, 04755};
    char path[PATH_BYTES];
    struct stat st;
    if (!pick_any(c, path) || lstat(path, &st) < 0)
        return;
    if (below(c, 2)) {
        (void)!lchown(path, below(c, 5), below(c, 5));
        return;
    }
    if (!S_ISLNK(st.st_mode))
        (void)chmod(path, modes[below(c, sizeof modes / sizeof *modes)]);
}

static void op_times(struct churn *c)
{
    char path[PATH_BYTES];
    const struct timespec times[2] = {
        {(time_t)below(c, 1u << 30), 5},
        {(time_t)below(c, 1u << 30), 7}
    };
    if (pick_any(c, path))
        (void)utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static void op_xattr(struct churn *c)
{
    char path[PATH_BYTES], name[32], value[64];
    struct stat st;
    if (!pick_any(c, path) || lstat(path, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return;
    (void)snprintf(name, sizeof name, "user.a%u", below(c, 3));
    (void)snprintf(value, sizeof value, "%u", below(c, 1000));
    if (below(c, 3) == 0)
        (void)lremovexattr(path, name);
    else
        (void)lsetxattr(path, name, value, strlen(value), 0);
}

/* user::rw, user:N:r, group::r, mask::r, other::r */
static void op_acl(struct churn *c)
{
    char path[PATH_BYTES];
    struct stat st;
    struct {
        uint32_t version;
        struct {
            uint16_t tag, perm;
            uint32_t id;
        } e[5];
    } acl = {
        htole32(2),
        {{htole16(1), htole16(6), UINT32_MAX},
             {htole16(2), htole16(4), htole32(1000 + below(c, 9))},
             {htole16(4), htole16(4), UINT32_MAX},
             {htole16(16), htole16(4), UINT32_MAX},
             {htole16(32), htole16(4), UINT32_MAX}}
    };
    if (!pick_any(c, path) || lstat(path, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return;
    const char *name =
        S_ISDIR(st.st_mode) && below(c, 2) ? "system.posix_acl_default" : "system.posix_acl_access";
    if (below(c, 3) == 0)
        (void)removexattr(path, name);
    else
        (void)setxattr(path, name, &acl, sizeof acl, 0);
}

static const struct {
    unsigned weight;
    void (*run)(struct churn *c);
} operations[] = {
    {18, op_create       },
    {20, op_write        },
    {6,  op_truncate     },
    {8,  op_replace      },
    {10, op_move_file    },
    {10, op_unlink       },
    {3,  op_link         },
    {3,  op_special      },
    {8,  op_mkdir        },
    {6,  op_move_folder  },
    {3,  op_bring_back   },
    {5,  op_remove_folder},
    {6,  op_mode         },
    {4,  op_times        },
    {5,  op_xattr        },
    {4,  op_acl          },
};

void churn_run(struct churn *c, unsigned long count)
{
    unsigned all = 0;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        all += operations[i].weight;
    for (; count > 0; count--) {
        unsigned at = below(c, all);
        size_t i = 0;
        while (at >= operations[i].weight)
            at -= operations[i++].weight;
        operations[i].run(c);
    }
}
