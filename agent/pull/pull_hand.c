/* pull_hand: a large file that one worker met while it walks goes onto the stack, for one that has
 * time: two that write to one file hold each other up. The stack has its path; what its folder's
 * list told of it is kept here. Worker threads; the list is under the lock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pull/pull_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define HANDED_MAX 64U

struct handed {
    struct handed *next;
    char *path; /* below the root of the transfer */
    size_t len;
    uint64_t size, id;
};

static struct handed *handed_free(struct handed *h)
{
    if (h)
        free(h->path);
    free(h);
    return NULL;
}

bool pull_may_hand(const struct worker *w, const struct fetch *f, const struct meta *m)
{
    unsigned n = 0;
    struct pull *p = pull_of(w);
    if (f->check || !walk_may_hand_over(w, f->folder, m->size))
        return false;
    (void)pthread_mutex_lock(&p->lock);
    for (const struct handed *h = p->handed; h; h = h->next)
        n++;
    (void)pthread_mutex_unlock(&p->lock);
    return n < HANDED_MAX;
}

int pull_hand(struct worker *w, const struct fetch *f)
{
    struct pull *p = pull_of(w);
    struct handed *h = xcalloc(1, sizeof *h);
    size_t n = strlen(f->name);
    h->len = f->folder->len + (f->folder->len > 0) + n;
    h->path = xmalloc(h->len + 1);
    memcpy(h->path, f->folder->path, f->folder->len);
    h->path[f->folder->len] = '/';
    memcpy(h->path + h->len - n, f->name, n);
    h->size = f->size;
    h->id = f->id;
    (void)pthread_mutex_lock(&p->lock);
    h->next = p->handed;
    p->handed = h;
    (void)pthread_mutex_unlock(&p->lock);
    return walk_hand_over(w, f->folder, f->name);
}

static struct handed *take(struct pull *p, const char *path, size_t len)
{
    (void)pthread_mutex_lock(&p->lock);
    struct handed **at = &p->handed;
    while (*at && ((*at)->len != len || memcmp((*at)->path, path, len) != 0))
        at = &(*at)->next;
    struct handed *h = *at;
    if (h)
        *at = h->next;
    (void)pthread_mutex_unlock(&p->lock);
    return h;
}

int pull_handed(struct worker *w, char *path, size_t len, uint32_t flags)
{
    struct handed *h = take(pull_of(w), path, len);
    char *slash = memrchr(path, '/', len);
    size_t parent = slash ? (size_t)(slash - path) : 0, from = slash ? parent + 1 : 0;
    CLEANUP(mem_free) char *name = xmemdup(path + from, len - from);
    struct folder *f = walk_folder_new(path, parent, flags & WALK_FRESH);
    f->alone = true;
    int rc = -EPROTO;
    if (h) {
        struct smb_info info = {.size = h->size, .id = h->id};
        rc = pull_fetch(w, f, name, &info, FETCH_DATA, NULL);
        if (rc == 0)
            rc = pull_drain(w);
    }
    (void)handed_free(h);
    folder_unref(w, f);
    return rc;
}

void pull_hand_forget(struct pull *p)
{
    while (p->handed) {
        struct handed *h = p->handed;
        p->handed = h->next;
        (void)handed_free(h);
    }
}
