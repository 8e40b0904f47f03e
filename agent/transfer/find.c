/* find: where the catalogue has the names of hard-linked files: one look through all of it answers
 * for many. The thread of the lane that asked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define ANSWER_BYTES (256U << 10)

struct finding {
    struct rlane *l;
    uint64_t *inodes; /* open addressing; 0 is free */
    size_t mask;
    char *folder; /* said last */
    size_t len;
    bool said;
};

static bool is_wanted(const struct finding *f, uint64_t ino)
{
    size_t i = XXH3_64bits(&ino, sizeof ino) & f->mask;
    while (f->inodes[i] && f->inodes[i] != ino)
        i = (i + 1) & f->mask;
    return f->inodes[i] == ino && ino != 0;
}

static void want(struct finding *f, uint64_t ino)
{
    size_t i = XXH3_64bits(&ino, sizeof ino) & f->mask;
    while (f->inodes[i] && f->inodes[i] != ino)
        i = (i + 1) & f->mask;
    f->inodes[i] = ino;
}

static int answer(struct rlane *l, enum found_kind next)
{
    int rc = receive_lane_reply(l, REC_FOUND);
    buf_clear(&l->out);
    buf_put_u8(&l->out, (uint8_t)next);
    return rc;
}

static int look(void *arg, const char *folder, size_t folder_len, const char *name, size_t name_len,
                const struct catalogue_entry *e)
{
    struct finding *f = arg;
    (void)name;
    (void)name_len;
    if (!is_wanted(f, e->ino))
        return 0;
    if (f->said && f->len == folder_len && memcmp(f->folder, folder, folder_len) == 0)
        return 0;
    free(f->folder);
    f->folder = xmemdup(folder, folder_len);
    f->len = folder_len;
    f->said = true;
    buf_put_blob(&f->l->out, folder, folder_len);
    return f->l->out.len >= ANSWER_BYTES ? answer(f->l, FOUND_MORE) : 0;
}

int find_run(struct rlane *l, struct cursor *c)
{
    struct receiver *r = l->r;
    uint32_t n = cursor_u32(c);
    if (c->bad || n > FIND_MAX || cursor_left(c) != (size_t)n * 8)
        return -EBADMSG;
    struct finding f = {.l = l, .mask = 4 * (size_t)FIND_MAX - 1};
    f.inodes = xcalloc(f.mask + 1, sizeof *f.inodes);
    for (uint32_t i = 0; i < n; i++)
        want(&f, cursor_u64(c));
    buf_clear(&l->out);
    buf_put_u8(&l->out, FOUND_MORE);
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = catalogue_each(r->cat, look, &f);
    if (rc == 0 && catalogue_is_damaged(r->cat))
        rc = -EBADMSG;
    (void)pthread_mutex_unlock(&r->cat_lock);
    free(f.inodes);
    free(f.folder);
    if (rc < 0)
        return rc == -EPIPE ? rc : find_say_lost(l);
    l->out.data[0] = FOUND_LAST;
    return receive_lane_reply(l, REC_FOUND);
}

int find_say_lost(struct rlane *l)
{
    buf_clear(&l->out);
    buf_put_u8(&l->out, FOUND_LOST);
    return receive_lane_reply(l, REC_FOUND);
}
