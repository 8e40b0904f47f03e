/* locked: a set of files by device and inode: those that are locked now, from /proc/locks. Made
 * once, then only read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "agent/files/traits.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

#define LOCKED_MAX 65536U
#define SLOTS (2 * LOCKED_MAX)

struct locked {
    struct {
        dev_t dev;
        ino_t ino; /* 0: free */
    } at[SLOTS];
    size_t n;
};

static size_t slot_of(const struct locked *l, dev_t dev, ino_t ino)
{
    const uint64_t key[2] = {dev, ino};
    size_t i = XXH3_64bits(key, sizeof key) % SLOTS;
    while (l->at[i].ino && (l->at[i].dev != dev || l->at[i].ino != ino))
        i = (i + 1) % SLOTS;
    return i;
}

/* 1: POSIX  ADVISORY  WRITE 1234 fd:01:789 0 EOF */
static bool read_line(const char *line, dev_t *retdev, ino_t *retino)
{
    const char *colon = strchr(line, ':');
    const char *at = colon ? strchr(colon + 1, ':') : NULL;
    char *end = NULL;
    if (!at)
        return false;
    while (at > line && at[-1] != ' ')
        at--;
    unsigned long dev_major = strtoul(at, &end, 16);
    if (*end != ':')
        return false;
    unsigned long dev_minor = strtoul(end + 1, &end, 16);
    if (*end != ':')
        return false;
    *retino = (ino_t)strtoull(end + 1, &end, 10);
    *retdev = makedev((unsigned)dev_major, (unsigned)dev_minor);
    return *end == ' ' && *retino != 0;
}

struct locked *locked_new(void)
{
    return xcalloc(1, sizeof(struct locked));
}

void locked_add(struct locked *l, dev_t dev, ino_t ino)
{
    if (l->n == LOCKED_MAX || ino == 0)
        return;
    size_t i = slot_of(l, dev, ino);
    l->n += l->at[i].ino == 0;
    l->at[i].dev = dev;
    l->at[i].ino = ino;
}

struct locked *locked_read(const char *text)
{
    struct locked *l = locked_new();
    CLEANUP(mem_free) char *copy = xstrdup(text);
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line && l->n < LOCKED_MAX; line = strsep(&rest, "\n")) {
        dev_t dev = 0;
        ino_t ino = 0;
        if (read_line(line, &dev, &ino))
            locked_add(l, dev, ino);
    }
    return l;
}

struct locked *locked_free(struct locked *l)
{
    free(l);
    return NULL;
}

bool locked_has(const struct locked *l, dev_t dev, ino_t ino)
{
    return l && ino != 0 && l->n > 0 && l->at[slot_of(l, dev, ino)].ino == ino;
}
