/* parts: which shared folders a folder of the tree lies in. Any thread. */
#include "agent/files/parts.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct part {
    char *path;
    size_t len;
};

struct parts {
    struct part list[PARTS_MAX];
    size_t n;
};

struct parts *parts_new(const ProtobufCBinaryData *paths, size_t n)
{
    if (n == 0)
        return NULL;
    struct parts *p = xcalloc(1, sizeof *p);
    for (size_t i = 0; i < n && p->n < PARTS_MAX; i++) {
        struct part *to = &p->list[p->n++];
        to->path = xmemdup(paths[i].len ? (const char *)paths[i].data : "", paths[i].len);
        to->len = paths[i].len;
    }
    return p;
}

struct parts *parts_free(struct parts *p)
{
    for (size_t i = 0; p && i < p->n; i++)
        free(p->list[i].path);
    free(p);
    return NULL;
}

size_t parts_count(const struct parts *p)
{
    return p ? p->n : 0;
}

static bool holds(const struct part *p, const char *rel, size_t len)
{
    return p->len == 0 || (len >= p->len && memcmp(rel, p->path, p->len) == 0 &&
                           (len == p->len || rel[p->len] == '/'));
}

size_t parts_holding(const struct parts *p, const char *rel, size_t len, unsigned ret[PARTS_DEEP])
{
    size_t n = 0;
    for (size_t i = 0; i < parts_count(p) && n < PARTS_DEEP; i++)
        if (holds(&p->list[i], rel, len))
            ret[n++] = (unsigned)i;
    return n;
}

static Godwit__InventoryPart *tell(const struct part *p, const struct tally *t)
{
    Godwit__InventoryPart *m = xcalloc(1, sizeof *m);
    godwit__inventory_part__init(m);
    m->path.len = p->len;
    m->path.data = xmemdup(p->path, p->len);
    m->files = t->files;
    m->folders = t->folders;
    m->bytes = t->bytes;
    m->allocated_bytes = t->allocated;
    m->newest_ms = t->newest_ms;
    m->oldest_ms = t->oldest_ms;
    m->cold_bytes_1y = t->cold[0];
    m->cold_bytes_3y = t->cold[1];
    m->cold_bytes_5y = t->cold[2];
    m->n_size_histogram = TALLY_SIZES;
    m->size_histogram = xcalloc(TALLY_SIZES, sizeof *m->size_histogram);
    memcpy(m->size_histogram, t->sizes, sizeof t->sizes);
    return m;
}

Godwit__InventoryPart **parts_tell(const struct parts *p, const struct tally *sums)
{
    Godwit__InventoryPart **list = xcalloc(parts_count(p) + 1, sizeof(Godwit__InventoryPart *));
    for (size_t i = 0; i < parts_count(p); i++)
        list[i] = tell(&p->list[i], &sums[i]);
    return list;
}

void parts_told_free(Godwit__InventoryPart **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        godwit__inventory_part__free_unpacked(list[i], NULL);
    free(list);
}
