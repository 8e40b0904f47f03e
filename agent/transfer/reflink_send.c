/* reflink_send: a file that holds blocks of one that the destination has is sent by what differs
 * from that one, so that both share their blocks there as well. Where that one is on its way still,
 * the file is put off to the end of the walk. That blocks are shared only says where to look: what
 * arrives is decided by digests, as of any file. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/extents.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define PUT_OFF_BYTES (4U << 20) /* in memory; the rest is in a file */

int reflink_begin(struct sender *s)
{
    int rc = reflinks_new(&s->reflinks, s->scratch);
    return rc == 0 ? pathstack_new(&s->put_off, s->scratch, PUT_OFF_BYTES) : rc;
}

void reflink_end(struct sender *s)
{
    s->reflinks = reflinks_free(s->reflinks);
    s->put_off = pathstack_free(s->put_off);
}

/* Asks the file system once for each that the worker comes to. fd: on that of dev. */
static bool may_share(struct worker *w, int fd, uint64_t dev, uint64_t *retspace)
{
    struct shares *k = &w->shares;
    if (!w->s->reflinks)
        return false;
    if (!k->known || k->dev != dev) {
        *k = (struct shares){.known = true, .dev = dev};
        k->may = extents_may_share(fd, dev, &k->space);
    }
    *retspace = k->space;
    return k->may;
}

static char *path_of(const struct folder *f, const char *name, size_t *retlen)
{
    *retlen = f->len + (f->len > 0) + strlen(name);
    return xasprintf("%.*s%s%s", (int)f->len, f->path, f->len ? "/" : "", name);
}

static bool put_off(struct worker *w, const struct folder *f, const char *path, size_t len)
{
    FAULT_POINT("put-off");
    atomic_store(&w->s->some_put_off, true);
    return pathstack_push(w->s->put_off, path, len, f->fresh ? WALK_FRESH : 0) == 0;
}

/* Where no room is left to remember, files are sent as any other. */
bool reflink_look(struct worker *w, const struct folder *f, const char *name, int fd,
                  const struct meta *m, struct reflink *ret)
{
    uint64_t marks[EXTENT_MARKS], space = 0;
    size_t len = 0;
    ret->path = NULL;
    if (!may_share(w, fd, m->dev, &space))
        return false;
    unsigned n = extents_marks(fd, space, m->size, marks);
    if (n == 0)
        return false;
    CLEANUP(mem_free) char *path = path_of(f, name, &len);
    const struct reflink own = {path, len, m->ino, false};
    if (reflinks_see(w->s->reflinks, marks, n, &own, ret) != 1)
        return false;
    bool itself = ret->len == len && memcmp(ret->path, path, len) == 0; /* tried once more */
    if (!itself && (ret->there || f->put_off)) {
        (void)reflinks_add(w->s->reflinks, marks, n, &own); /* what only others share with it */
        return false;
    }
    free(ret->path);
    ret->path = NULL;
    return !itself && put_off(w, f, path, len);
}

void reflink_note(struct worker *w, const struct folder *f, const char *name,
                  const struct meta *listed)
{
    uint64_t marks[EXTENT_MARKS], space = 0;
    struct stat st;
    size_t len = 0;
    if (!S_ISREG(listed->mode) || listed->size <= BATCH_FILE_MAX ||
        !may_share(w, f->fd, listed->dev, &space))
        return;
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    CLEANUP(fd_close) int fd = openat(f->fd, name, flags | O_NOATIME);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != listed->ino || st.st_dev != listed->dev)
        return; /* another one by now: it shares with nobody */
    unsigned n = extents_marks(fd, space, listed->size, marks);
    if (n == 0)
        return;
    CLEANUP(mem_free) char *path = path_of(f, name, &len);
    const struct reflink own = {path, len, listed->ino, true};
    (void)reflinks_add(w->s->reflinks, marks, n, &own); /* else the others are sent whole */
}

/* All that was put off goes on the walk's stack. */
static int stack_fill(struct sender *s)
{
    char *path = NULL;
    size_t len = 0;
    uint32_t flags = 0;
    int rc;
    while ((rc = pathstack_pop(s->put_off, false, &path, &len, &flags)) == 1) {
        rc = pathstack_push(s->stack, path, len, flags | WALK_FILE | WALK_PUT_OFF);
        free(path);
        pathstack_done(s->put_off);
        if (rc < 0)
            break;
    }
    return rc;
}

int reflink_close(struct worker *w)
{
    struct sender *s = w->s;
    if (w->index != 0 || !atomic_load(&s->some_put_off))
        return 0;
    int rc = worker_all_placed(w); /* what they share their blocks with is at the destination */
    if (rc < 0)
        return rc;
    atomic_store(&s->some_put_off, false);
    rc = stack_fill(s);
    return rc < 0 ? rc : 1;
}
