/* moves_index: in which folders of the catalogue an inode stands, in 8 bytes a row; folders that
 * are renamed keep their rows. Lane threads, under the catalogue's lock. */
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/moves_priv.h"
#include "common/base/mem.h"

#define SPOTS_MAX (8U << 20) /* 64 MiB; what is beyond is sent */

struct moves *moves_new(void)
{
    struct moves *m = xcalloc(1, sizeof *m);
    /* As the kernel dates inodes. */
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &m->began);
    return m;
}

struct moves *moves_free(struct moves *m)
{
    if (!m)
        return NULL;
    for (size_t i = 0; i < m->nfolders; i++)
        free(m->folders[i].p);
    for (size_t i = 0; i < m->ndry; i++) {
        free(m->dry[i].to.p);
        free(m->dry[i].from.p);
    }
    free(m->dry);
    free(m->folders);
    free(m->spots);
    free(m);
    return NULL;
}

static uint32_t tag_of(uint64_t ino)
{
    return (uint32_t)XXH3_64bits(&ino, sizeof ino);
}

static int spot_add(void *arg, const char *folder, size_t len, uint64_t ino)
{
    struct moves *m = arg;
    const struct path *last = m->nfolders ? &m->folders[m->nfolders - 1] : NULL;
    if (m->nspots >= SPOTS_MAX)
        return 1;
    if (!last || last->len != len || memcmp(last->p, folder, len) != 0) {
        if (m->nfolders == m->folders_cap) {
            m->folders_cap = m->folders_cap ? m->folders_cap * 2 : 256;
            m->folders = xrealloc(m->folders, m->folders_cap * sizeof *m->folders);
        }
        m->folders[m->nfolders++] = (struct path){xmemdup(folder, len), len};
    }
    if (m->nspots == m->spots_cap) {
        m->spots_cap = m->spots_cap ? m->spots_cap * 2 : 1024;
        m->spots = xrealloc(m->spots, m->spots_cap * sizeof *m->spots);
    }
    m->spots[m->nspots++] = (struct spot){tag_of(ino), (uint32_t)(m->nfolders - 1)};
    return 0;
}

static int by_tag(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;
    return x->tag != y->tag ? (x->tag > y->tag) - (x->tag < y->tag)
                            : (x->folder > y->folder) - (x->folder < y->folder);
}

void moves_index(struct receiver *r)
{
    struct moves *m = r->moves;
    if (m->built)
        return;
    m->built = true;
    if (catalogue_inodes(r->cat, spot_add, m) < 0)
        m->nspots = 0; /* what stands elsewhere is sent */
    if (m->nspots > 1)
        qsort(m->spots, m->nspots, sizeof *m->spots, by_tag);
    atomic_store(&m->none, m->nspots == 0);
}

bool path_is_below(const char *path, size_t len, const char *top, size_t top_len)
{
    return len >= top_len && memcmp(path, top, top_len) == 0 &&
           (len == top_len || path[top_len] == '/');
}

void path_rebase(struct path *p, size_t from_len, const char *to, size_t to_len)
{
    size_t rest = p->len - from_len, len = to_len + rest;
    char *path = xmalloc(len + 1);
    memcpy(path, to, to_len);
    memcpy(path + to_len, p->p + from_len, rest);
    path[len] = '\0';
    free(p->p);
    *p = (struct path){path, len};
}

void moves_renamed(struct receiver *r, const struct catalogue_move *x)
{
    struct moves *m = r->moves;
    for (size_t i = 0; i < m->nfolders; i++) {
        struct path *p = &m->folders[i];
        if (path_is_below(p->p, p->len, x->from, x->from_len))
            path_rebase(p, x->from_len, x->to, x->to_len);
        else if (x->swap && path_is_below(p->p, p->len, x->to, x->to_len))
            path_rebase(p, x->to_len, x->from, x->from_len);
    }
}

size_t moves_leads(const struct moves *m, uint64_t ino, void *of, struct lead *ret)
{
    uint32_t tag = tag_of(ino);
    size_t low = 0, high = m->nspots, n = 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->spots[mid].tag < tag)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < m->nspots && m->spots[low].tag == tag && n < PER_INODE_MAX; low++)
        if (n == 0 || ret[n - 1].folder != m->spots[low].folder)
            ret[n++] = (struct lead){m->spots[low].folder, of};
    return n;
}
