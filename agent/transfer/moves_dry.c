/* moves_dry: what a dry run would rename, so that it compares with where things would be. Lane
 * threads. */
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/moves_priv.h"
#include "common/base/mem.h"

/* One after the other, the latest first. */
char *moves_dry_origin(struct receiver *r, const char *path, size_t len, size_t *retlen)
{
    struct path p = {xmemdup(path, len), len};
    bool came = false;
    (void)pthread_mutex_lock(&r->cat_lock);
    const struct moves *m = r->moves;
    for (size_t i = m->ndry; i-- > 0;) {
        const struct pair_of *d = &m->dry[i];
        bool to = path_is_below(p.p, p.len, d->to.p, d->to.len);
        if (to)
            path_rebase(&p, d->to.len, d->from.p, d->from.len);
        else if (d->swap && path_is_below(p.p, p.len, d->from.p, d->from.len))
            path_rebase(&p, d->from.len, d->to.p, d->to.len);
        else
            continue;
        came = true;
    }
    (void)pthread_mutex_unlock(&r->cat_lock);
    if (!came) {
        free(p.p);
        return NULL;
    }
    *retlen = p.len;
    return p.p;
}

bool moves_dry_leaves(struct receiver *r, const char *path, size_t len)
{
    bool leaves = false;
    (void)pthread_mutex_lock(&r->cat_lock);
    const struct moves *m = r->moves;
    for (size_t i = 0; i < m->ndry; i++)
        leaves = leaves || (!m->dry[i].swap && m->dry[i].from.len == len &&
                            memcmp(m->dry[i].from.p, path, len) == 0);
    (void)pthread_mutex_unlock(&r->cat_lock);
    return leaves;
}

void moves_dry_note(struct receiver *r, const struct catalogue_move *x)
{
    struct moves *m = r->moves;
    (void)pthread_mutex_lock(&r->cat_lock);
    if (m->ndry == m->dry_cap) {
        m->dry_cap = m->dry_cap ? m->dry_cap * 2 : 16;
        m->dry = xrealloc(m->dry, m->dry_cap * sizeof *m->dry);
    }
    m->dry[m->ndry++] = (struct pair_of){
        {xmemdup(x->to,   x->to_len),   x->to_len  },
        {xmemdup(x->from, x->from_len), x->from_len},
        x->swap
    };
    (void)pthread_mutex_unlock(&r->cat_lock);
}
