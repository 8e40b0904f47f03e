/* naming: new files get their names once their content is on the disk. Until then they stand under
 * temporary names, so that a power cut leaves no short file under a final one. Under durable.c's
 * flush lock, but for what a lane asks beforehand. */
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

bool naming_waits(int folder_fd)
{
    struct statfs st;
    if (fstatfs(folder_fd, &st) < 0)
        return true;
    return st.f_type != TMPFS_MAGIC && st.f_type != RAMFS_MAGIC; /* nothing of them is left */
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

static int name_one(struct receiver *r, const struct at *at, const struct placed_row *row,
                    const char *name)
{
    char temp[PAIR_TEMP_MAX], text[NAME_BYTES_MAX + 1];
    if (at->fd < 0)
        return at->fd;
    temp_small(r->token, row->temp, temp);
    memcpy(text, name, row->name_len);
    text[row->name_len] = '\0';
    int rc = place_rename(r, at->fd, temp, text);
    if (rc < 0)
        (void)unlinkat(at->fd, temp, 0);
    return rc;
}

static void not_named(struct receiver *r, struct placed *p, struct placed_row *row,
                      const struct failure *f)
{
    p->files--;
    p->entries--;
    p->bytes -= row->entry.size;
    row->temp = ROW_VOID;
    receiver_failed_later(r, f);
}

void naming_give(struct receiver *r, struct placed *p)
{
    struct at at = {.fd = -1};
    struct cursor c = cursor_of(p->rows.data, p->rows.len);
    while (p->waiting > 0 && cursor_left(&c) > 0) {
        struct placed_row row;
        uint8_t *head = p->rows.data + (c.at - p->rows.data);
        memcpy(&row, cursor_bytes(&c, sizeof row), sizeof row);
        const char *folder = cursor_bytes(&c, row.folder_len);
        const char *name = cursor_bytes(&c, row.name_len);
        if (!row.temp)
            continue;
        at_enter(r, &at, folder, row.folder_len);
        int rc = name_one(r, &at, &row, name);
        struct failure f = {folder, name, row.folder_len, row.name_len, -rc, "rename"};
        if (rc < 0)
            not_named(r, p, &row, &f);
        else
            row.temp = 0;
        memcpy(head, &row, sizeof row);
    }
    if (at.fd >= 0)
        (void)fd_close(at.fd);
}

void naming_drop(struct receiver *r, struct placed *p)
{
    struct at at = {.fd = -1};
    struct cursor c = cursor_of(p->rows.data, p->rows.len);
    while (p->waiting > 0 && cursor_left(&c) > 0) {
        struct placed_row row;
        char temp[PAIR_TEMP_MAX];
        memcpy(&row, cursor_bytes(&c, sizeof row), sizeof row);
        const char *folder = cursor_bytes(&c, row.folder_len);
        (void)cursor_bytes(&c, row.name_len);
        if (!row.temp || row.temp == ROW_VOID)
            continue;
        at_enter(r, &at, folder, row.folder_len);
        temp_small(r->token, row.temp, temp);
        if (at.fd >= 0)
            (void)unlinkat(at.fd, temp, 0);
    }
    if (at.fd >= 0)
        (void)fd_close(at.fd);
}
