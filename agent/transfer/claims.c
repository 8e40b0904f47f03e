/* claims: open addressing over the destination's (dev, inode). */
#include "agent/transfer/claims.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/xxh3.h"

struct claim {
    uint64_t dev, ino; /* ino 0 is free */
    uint64_t source;
};

struct claims {
    pthread_mutex_t lock;
    struct claim *slots;
    size_t cap, used;
};

struct claims *claims_new(void)
{
    struct claims *c = xcalloc(1, sizeof *c);
    (void)pthread_mutex_init(&c->lock, NULL);
    c->cap = 256;
    c->slots = xcalloc(c->cap, sizeof *c->slots);
    return c;
}

struct claims *claims_free(struct claims *c)
{
    if (!c)
        return NULL;
    (void)pthread_mutex_destroy(&c->lock);
    free(c->slots);
    free(c);
    return NULL;
}

static struct claim *slot_of(struct claim *slots, size_t cap, uint64_t dev, uint64_t ino)
{
    const uint64_t key[2] = {dev, ino};
    size_t i = XXH3_64bits(key, sizeof key) & (cap - 1);
    while (slots[i].ino && !(slots[i].ino == ino && slots[i].dev == dev))
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static void grow(struct claims *c)
{
    size_t cap = c->cap * 2;
    struct claim *slots = xcalloc(cap, sizeof *slots);
    for (size_t i = 0; i < c->cap; i++)
        if (c->slots[i].ino)
            *slot_of(slots, cap, c->slots[i].dev, c->slots[i].ino) = c->slots[i];
    free(c->slots);
    c->slots = slots;
    c->cap = cap;
}

bool claims_take(struct claims *c, uint64_t here_dev, uint64_t here_ino, uint64_t source_ino)
{
    (void)pthread_mutex_lock(&c->lock);
    if ((c->used + 1) * 2 > c->cap && c->used < CLAIMS_MAX)
        grow(c);
    struct claim *s = slot_of(c->slots, c->cap, here_dev, here_ino);
    bool room = s->ino == 0 && here_ino != 0 && c->used < CLAIMS_MAX;
    if (room) {
        *s = (struct claim){here_dev, here_ino, source_ino};
        c->used++;
    }
    bool is_its = s->ino != 0 && s->source == source_ino;
    (void)pthread_mutex_unlock(&c->lock);
    return is_its;
}
