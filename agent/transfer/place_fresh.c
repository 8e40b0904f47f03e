/* place_fresh: a folder that the destination does not have yet: a lane fills it under a temporary
 * name, with its files under their own, and the folder gets its name when the lane leaves it (on a
 * disk: after the next sync, naming.c). One rename a folder instead of one a file. Lane threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/store/beneath.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

/* So much waits in a lane, at most so long, until others may make it durable. */
#define HOLD_BYTES (32ULL << 20)
#define HOLD_ROWS (1U << 20)
#define HOLD_MS 1000
#define HOLD_LESS 4 /* of it is enough where one folder ends and the next begins */

/* Only where the destination was empty when the session began: nothing is compared there, nothing
 * renamed, and no folder is entered before its files come. */
static bool may(const struct rlane *l, struct bytes folder)
{
    if (!l->r->fresh || !l->r->can_fill || folder.n == 0)
        return false;
    int fd = beneath_open(l->r->root, folder.p, folder.n, O_PATH, 0);
    if (fd >= 0)
        (void)fd_close(fd);
    return fd == -ENOENT;
}

static bool is_much(const struct rlane *l, unsigned part)
{
    const struct placed *p = &l->placed;
    return p->content > HOLD_BYTES / part || p->rows.len > HOLD_ROWS / part ||
           clock_mono_ms() - l->held_ms > HOLD_MS / (int64_t)part;
}

/* Its row comes before those of its files, and none of them is handed over before place_leave().
 * Of the entry only the inode counts: naming_folder() knows the folder by it. */
static int row_put(struct rlane *l, struct bytes folder, uint64_t number)
{
    struct stat st;
    int rc = fstat(l->at.fd, &st) < 0 ? -errno : is_much(l, HOLD_LESS) ? durable_note(l) : 0;
    if (rc < 0)
        return rc;
    if (placed_is_empty(&l->placed))
        l->held_ms = clock_mono_ms();
    const struct catalogue_entry e = {.mode = S_IFDIR, .ino = st.st_ino};
    l->at.fresh = number | ROW_WAITS;
    l->at.row_at = l->placed.rows.len;
    l->placed.temp = l->at.fresh;
    durable_put(&l->placed, folder, (struct bytes){NULL, 0}, &e);
    return 0;
}

int place_fresh_enter(struct rlane *l, struct bytes folder)
{
    struct receiver *r = l->r;
    bool made = false;
    place_leave(l);
    if (!may(l, folder))
        return 1;
    uint64_t number = atomic_fetch_add(&r->temp_number, 1);
    size_t len = 0;
    CLEANUP(mem_free) char *temp = naming_folder_temp(r, folder, number, &len);
    int fd = beneath_mkdirs(r->root, temp, len, false, &made);
    if (fd == -EMFILE) /* made, perhaps, and not opened */
        naming_folder_drop(r, folder, number);
    if (fd < 0 || !made) {
        (void)fd_close(fd);
        return 1;
    }
    int rc = place_entered(l, folder, fd, made);
    if (rc == 0)
        rc = row_put(l, folder, number);
    if (rc < 0) {
        place_leave(l);
        naming_folder_drop(r, folder, number);
    }
    return rc;
}

int place_fresh_room(struct rlane *l, size_t name_len)
{
    const struct buf *rows = &l->placed.rows;
    if (rows->max - rows->len >= sizeof(struct placed_row) + l->at.len + name_len)
        return 0;
    size_t len = l->at.len;
    CLEANUP(mem_free) char *path = xmemdup(l->at.path, len);
    place_leave(l);
    int rc = durable_note(l);
    return rc < 0 ? rc : place_enter(l, (struct bytes){path, len}, true);
}

bool place_fresh_over(const struct rlane *l)
{
    return l->at.fresh && is_much(l, 1);
}

void place_fresh_leave(struct rlane *l)
{
    if (!l->at.later) {
        naming_folder(l->r, &l->placed, l->at.row_at);
        l->placed.waiting--;
    }
    l->at.fresh = 0;
}
