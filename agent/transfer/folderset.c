/* folderset: open addressing over hashes; 0 is a free slot. */
#include "agent/transfer/folderset.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/xxh3.h"

static uint64_t hash_of(const char *path, size_t len)
{
    uint64_t h = XXH3_64bits(path, len);
    return h + (h == 0);
}

static uint64_t *slot_of(uint64_t *slots, size_t cap, uint64_t h)
{
    size_t i = h & (cap - 1);
    while (slots[i] && slots[i] != h)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static void grow(struct folderset *s)
{
    size_t cap = s->cap ? s->cap * 2 : 256;
    uint64_t *slots = xcalloc(cap, sizeof *slots);
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i])
            *slot_of(slots, cap, s->slots[i]) = s->slots[i];
    free(s->slots);
    s->slots = slots;
    s->cap = cap;
}

void folderset_add(struct folderset *s, const char *path, size_t len)
{
    uint64_t h = hash_of(path, len);
    if (s->all)
        return;
    if ((s->n + 1) * 2 > s->cap)
        grow(s);
    uint64_t *slot = slot_of(s->slots, s->cap, h);
    s->n += *slot == 0;
    *slot = h;
    s->all = s->n >= FOLDERSET_MAX;
}

bool folderset_has(const struct folderset *s, const char *path, size_t len)
{
    return s->all || (s->n > 0 && *slot_of(s->slots, s->cap, hash_of(path, len)));
}

void folderset_clear(struct folderset *s)
{
    free(s->slots);
    *s = (struct folderset){.slots = NULL};
}

void folderset_take(struct folderset *s, struct folderset *from)
{
    folderset_clear(s);
    *s = *from;
    *from = (struct folderset){.slots = NULL};
}
