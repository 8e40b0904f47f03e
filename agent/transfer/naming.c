/* naming: new files get their names once their content is on the disk. Until then they stand under
 * temporary names, so that a power cut leaves no short file under a final one. Under durable.c's
 * flush lock, but for what a lane asks beforehand. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/store/leftover.h"
#include "agent/transfer/apart.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

bool naming_waits(int folder_fd)
{
    struct statfs st;
    if (fstatfs(folder_fd, &st) < 0)
        return true;
    return st.f_type != TMPFS_MAGIC && st.f_type != RAMFS_MAGIC; /* nothing of them is left */
}

bool naming_can_fill(int folder_fd)
{
    struct statfs st;
    if (fstatfs(folder_fd, &st) < 0)
        return false;
    return st.f_type == TMPFS_MAGIC || st.f_type == EXT4_SUPER_MAGIC ||
           st.f_type == XFS_SUPER_MAGIC || st.f_type == BTRFS_SUPER_MAGIC;
}

bool naming_is_ours(struct receiver *r, uint64_t number)
{
    uint64_t given = atomic_load(&r->temp_number) - r->instance;
    return ((number - r->instance) & ~ROW_WAITS) < given;
}

int naming_room(struct rlane *l, size_t folder_len, size_t name_len)
{
    const struct buf *rows = &l->placed.rows;
    if (rows->max - rows->len >= sizeof(struct placed_row) + folder_len + name_len)
        return 0;
    return durable_note(l);
}

/* One of the calls below. Any of them may come while lanes have all descriptors that the agent may
 * have, and what is whole is to get its name all the same. */
struct naming {
    struct receiver *r;
    struct placed *p;
    size_t at; /* a folder's row */
    struct bytes folder;
    uint64_t number;
    bool last; /* what there is no descriptor for has failed; else it is left as it was: -EMFILE */
    int (*fn)(struct naming *n);
};

static void run_last(void *arg)
{
    struct naming *n = arg;
    n->last = true;
    (void)n->fn(n);
}

static void run(struct naming *n)
{
    if (n->fn(n) == -EMFILE && apart_call(n->r->root, run_last, n) < 0)
        run_last(n);
}

static bool is_short(const struct naming *n, int rc)
{
    return rc == -EMFILE && !n->last;
}

/* The folder that a row's file is in, kept open from row to row. */
struct at {
    const char *path;
    uint32_t len;
    int fd; /* or -errno */
};

static void at_enter(struct receiver *r, struct at *at, const char *path, uint32_t len)
{
    bool made = false;
    if (at->path && at->len == len && memcmp(at->path, path, len) == 0)
        return;
    if (at->fd >= 0)
        (void)fd_close(at->fd);
    *at = (struct at){path, len, place_open_folder(r, path, len, false, &made)};
}

static int name_one(const struct naming *n, const struct at *at, const struct placed_row *row,
                    const char *name)
{
    char temp[PAIR_TEMP_MAX], text[NAME_BYTES_MAX + 1];
    if (at->fd < 0)
        return at->fd;
    temp_small(n->r->token, row->temp, temp);
    memcpy(text, name, row->name_len);
    text[row->name_len] = '\0';
    int rc = place_rename(n->r, at->fd, temp, text);
    if (rc < 0 && !is_short(n, rc))
        (void)unlinkat(at->fd, temp, 0);
    return rc;
}

static void not_named(struct receiver *r, struct placed *p, struct placed_row *row,
                      const struct failure *f)
{
    bool file = S_ISREG(row->entry.mode);
    p->files -= file;
    p->entries--;
    p->bytes -= file ? row->entry.size : 0;
    row->temp = ROW_VOID;
    receiver_failed_later(r, f);
}

/* ── a folder ── */

/* Its parent's path, which ends where its name begins. */
static size_t parent_len(struct bytes folder)
{
    const char *slash = memrchr(folder.p, '/', folder.n);
    return slash ? (size_t)(slash - folder.p) : 0;
}

char *naming_folder_temp(struct receiver *r, struct bytes folder, uint64_t number, size_t *retlen)
{
    char temp[PAIR_TEMP_MAX];
    size_t len = parent_len(folder);
    temp_small(r->token, number, temp);
    char *path = xasprintf("%.*s%s%s", (int)len, folder.p, len ? "/" : "", temp);
    *retlen = strlen(path);
    return path;
}

/* Whoever owns the folder above may have put another one there. */
static int is_ours(int dir, const char *name, int flags, uint64_t ino)
{
    struct stat st;
    if (fstatat(dir, name, &st, flags | AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) && st.st_ino == ino ? 0 : -ESTALE;
}

static int folder_rename(struct receiver *r, struct bytes folder, const struct placed_row *row)
{
    char temp[PAIR_TEMP_MAX], name[NAME_BYTES_MAX + 1];
    bool made = false;
    size_t len = parent_len(folder), skip = len ? len + 1 : 0;
    CLEANUP(fd_close) int parent = place_open_folder(r, folder.p, len, false, &made);
    if (parent < 0)
        return parent;
    temp_small(r->token, row->temp, temp);
    memcpy(name, folder.p + skip, folder.n - skip);
    name[folder.n - skip] = '\0';
    if (renameat2(parent, temp, parent, name, RENAME_NOREPLACE) < 0)
        return -errno;
    return is_ours(parent, name, 0, row->entry.ino);
}

static int folder_drop(struct naming *n)
{
    char temp[PAIR_TEMP_MAX];
    bool made = false;
    uint64_t removed = 0;
    CLEANUP(fd_close)
    int parent = place_open_folder(n->r, n->folder.p, parent_len(n->folder), false, &made);
    temp_small(n->r->token, n->number, temp);
    return parent < 0 ? parent : leftover_remove(parent, temp, &removed);
}

void naming_folder_drop(struct receiver *r, struct bytes folder, uint64_t number)
{
    run(&(struct naming){.r = r, .folder = folder, .number = number, .fn = folder_drop});
}

/* What is in the folder that has no name yet goes to the one that has it. What is there already
 * came another way: a later row of the same folder. */
static int merge_one(struct receiver *r, int from, int to, const char *name)
{
    struct stat st;
    int rc = to < 0 ? to : place_rename_to(r, from, name, to, name);
    return rc == -ENOENT && fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : rc;
}

/* The rows that follow, if they are of that folder. */
static int merge_rows(const struct naming *n, struct cursor c, int from, int to)
{
    struct placed *p = n->p;
    struct placed_row row;
    int ret = 0;
    for (uint8_t *head; cursor_left(&c) > 0; memcpy(head, &row, sizeof row)) {
        char text[NAME_BYTES_MAX + 1];
        head = p->rows.data + (c.at - p->rows.data);
        memcpy(&row, cursor_bytes(&c, sizeof row), sizeof row);
        const char *path = cursor_bytes(&c, row.folder_len);
        const char *name = cursor_bytes(&c, row.name_len);
        bool other = row.folder_len != n->folder.n || memcmp(path, n->folder.p, n->folder.n) != 0;
        if (other || row.temp || row.name_len == 0 ||
            S_ISDIR(row.entry.mode)) /* those come alone */
            continue;
        memcpy(text, name, row.name_len);
        text[row.name_len] = '\0';
        int rc = merge_one(n->r, from, to, text);
        struct failure f = {path, name, row.folder_len, row.name_len, -rc, "rename"};
        if (is_short(n, rc))
            ret = rc;
        else if (rc < 0)
            not_named(n->r, p, &row, &f);
    }
    return ret;
}

/* Another lane came to it by its path, or this file system cannot rename so: one by one. */
static int folder_merge(struct naming *n, struct cursor c, const struct placed_row *of)
{
    struct receiver *r = n->r;
    bool made = false;
    size_t len = 0;
    CLEANUP(mem_free) char *temp = naming_folder_temp(r, n->folder, of->temp, &len);
    CLEANUP(fd_close) int from = place_open_folder(r, temp, len, false, &made);
    CLEANUP(fd_close)
    int to = from < 0 ? from : is_ours(from, "", AT_EMPTY_PATH, of->entry.ino);
    if (to == 0)
        to = place_open_folder(r, n->folder.p, n->folder.n, true, &made);
    int rc = is_short(n, to) ? to : merge_rows(n, c, from, to);
    return rc < 0 ? rc : folder_drop(n);
}

static int folder_give(struct naming *n)
{
    struct cursor c = cursor_of(n->p->rows.data + n->at, n->p->rows.len - n->at);
    struct placed_row row;
    memcpy(&row, cursor_bytes(&c, sizeof row), sizeof row);
    n->folder = (struct bytes){cursor_bytes(&c, row.folder_len), row.folder_len};
    n->number = row.temp;
    int rc = folder_rename(n->r, n->folder, &row);
    FAULT_POINT("folder-named");
    if (rc < 0 && !is_short(n, rc))
        rc = folder_merge(n, c, &row);
    if (is_short(n, rc))
        return rc;
    row.temp = ROW_VOID;
    memcpy(n->p->rows.data + n->at, &row, sizeof row);
    return 0;
}

void naming_folder(struct receiver *r, struct placed *p, size_t at)
{
    run(&(struct naming){.r = r, .p = p, .at = at, .fn = folder_give});
}

/* ── all ── */

static int file_give(struct naming *n, const struct at *at, struct placed_row *row,
                     const char *name)
{
    int rc = name_one(n, at, row, name);
    struct failure f = {at->path, name, row->folder_len, row->name_len, -rc, "rename"};
    if (is_short(n, rc))
        return rc;
    if (rc < 0)
        not_named(n->r, n->p, row, &f);
    else
        row->temp = 0;
    return 0;
}

static int give_all(struct naming *n)
{
    struct placed *p = n->p;
    struct at at = {.fd = -1};
    struct cursor c = cursor_of(p->rows.data, p->rows.len);
    int ret = 0;
    while (cursor_left(&c) > 0) {
        struct placed_row row;
        uint8_t *head = p->rows.data + (c.at - p->rows.data);
        memcpy(&row, cursor_bytes(&c, sizeof row), sizeof row);
        const char *folder = cursor_bytes(&c, row.folder_len);
        const char *name = cursor_bytes(&c, row.name_len);
        if (!row.temp || row.temp == ROW_VOID)
            continue;
        n->at = (size_t)(head - p->rows.data);
        int rc = 0;
        if (row.name_len == 0) {
            rc = folder_give(n);
        } else {
            at_enter(n->r, &at, folder, row.folder_len);
            rc = file_give(n, &at, &row, name);
            memcpy(head, &row, sizeof row);
        }
        ret = rc < 0 ? rc : ret;
    }
    if (at.fd >= 0)
        (void)fd_close(at.fd);
    return ret;
}

void naming_give(struct receiver *r, struct placed *p)
{
    if (p->waiting > 0)
        run(&(struct naming){.r = r, .p = p, .fn = give_all});
}

static int drop_all(struct naming *n)
{
    struct at at = {.fd = -1};
    struct cursor c = cursor_of(n->p->rows.data, n->p->rows.len);
    int ret = 0;
    while (cursor_left(&c) > 0) {
        struct placed_row row;
        char temp[PAIR_TEMP_MAX];
        memcpy(&row, cursor_bytes(&c, sizeof row), sizeof row);
        const char *folder = cursor_bytes(&c, row.folder_len);
        (void)cursor_bytes(&c, row.name_len);
        if (!row.temp || row.temp == ROW_VOID)
            continue;
        int rc = 0;
        if (row.name_len == 0) {
            n->folder = (struct bytes){folder, row.folder_len};
            n->number = row.temp;
            rc = folder_drop(n);
        } else {
            at_enter(n->r, &at, folder, row.folder_len);
            temp_small(n->r->token, row.temp, temp);
            rc = at.fd < 0 ? at.fd : 0;
            if (at.fd >= 0)
                (void)unlinkat(at.fd, temp, 0);
        }
        ret = rc == -EMFILE ? rc : ret;
    }
    if (at.fd >= 0)
        (void)fd_close(at.fd);
    return ret;
}

void naming_drop(struct receiver *r, struct placed *p)
{
    if (p->waiting > 0)
        run(&(struct naming){.r = r, .p = p, .fn = drop_all});
}
