/* inventory_priv: one count of a tree while it goes on: what its step (inventory.c) and its walkers
 * (count.c) share. */
#pragma once
#include <pthread.h>
#include <sys/types.h>

#include "agent/access/idents.h"
#include "agent/files/crew.h"
#include "agent/files/parts.h"
#include "agent/files/tally.h"
#include "agent/files/traits.h"
#include "agent/store/dents.h"
#include "common/base/filter.h"

struct failures;
struct step;

struct counter { /* one per walker */
    struct dents dents;
    struct tally tally; /* the walker's own */
    struct traits *traits;
    struct idents *idents;
    struct tally *parts; /* of each of the inventory's parts */
    struct tally shown;  /* a copy for progress, under the inventory's lock */
    bool asked, has_own_cwd;
};

struct inventory {
    struct step *step;
    int root;
    dev_t dev;
    bool one_file_system, may_share;
    int64_t began_ms;
    uint64_t used_inodes, used_bytes; /* of the whole file system: the tree has at most that */
    const struct filter *filter;
    struct locked *locked, *opened;
    struct traits *traits; /* all walkers' together, at the end */
    struct parts *parts;   /* NULL: none */
    struct failures *failures;
    struct counter *counters;
    unsigned ncounters;
    pthread_mutex_t lock; /* guards shown */
};

/* How far a count is, at least: it ends sooner where the tree is a part of its file system. Nobody
 * knows how much there is before it was counted. */
unsigned inventory_percent(const struct tally *t, uint64_t used_inodes, uint64_t used_bytes);

/* crew_conf.visit of a struct inventory: counts what is in one folder. */
int count_visit(struct crew *crew, unsigned worker, const char *rel, size_t len, void *arg);
