/* changes: a pass that looks only where the change feed says that something changed, and at all
 * names of the hard-linked files that changed or stand there. Whatever does not fit makes the next
 * session look at everything. The step's thread; changes_linked(), changes_close() and
 * changes_found(): workers. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/feed/feed.h"
#include "agent/store/beneath.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/filter.h"
#include "common/base/idmap.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

#define FAILED_BYTES_MAX (32 << 20) /* of the list of what failed; more: a full scan */
#define GROUPS_MAX 65536U           /* inodes with other names; more: a full scan */
#define FOUND_MAX 262144U           /* folders that they lead to */
#define WAIT_MS 200

struct group {
    uint64_t dev, ino;
};

struct changes {
    struct feed_pass *pass;
    const struct feed_list *list; /* NULL: full scan */

    pthread_mutex_t lock; /* all below */
    struct group *groups; /* in the order they were seen */
    uint32_t *slots;      /* hash of them; number + 1 */
    size_t ngroups, asked;
    XXH128_hash_t *found; /* folders pushed; open addressing */
    size_t nfound, found_cap, pushed;
    bool answered, lost;
};

/* ── beginning and end ── */

/* Options that decide what a pass leaves at the destination. */
static uint64_t key_of(const struct transfer_options *o)
{
    uint64_t key = 1U | (uint64_t)o->delete_extras << 1 | (uint64_t)o->one_file_system << 2 |
                   (uint64_t)o->evidence << 3 | (uint64_t)o->delete_excluded << 4;
    key ^= idmap_key(o->map) << 6;
    return o->filter ? key ^ filter_key(o->filter) << 5 : key;
}

static const char *full_why(const struct sender *s, bool fresh)
{
    const struct transfer_options *o = &s->spec->options;
    if (s->changes_lost)
        return s->changes_lost;
    if (fresh)
        return "the destination is empty";
    if (o->checksum)
        return "every file is to be read again";
    if (o->evidence) /* the source signs for what it counted, and repairs what was found to differ
                      */
        return "the pass is to be verified or to have a manifest";
    if (o->filter && filter_has_ages(o->filter)) /* a file comes of age without a change */
        return "ages are counted from each pass";
    return o->full_scan ? "a full scan was asked for" : NULL;
}

/* What failed last time: its folder, so that an entry that is gone is noticed, and all below it. */
static int add_failed(void *arg, const char *path, size_t len, const char *code)
{
    (void)code;
    struct feed_list *l = arg;
    const char *slash = memrchr(path, '/', len);
    int rc = feed_list_add(l, path, slash ? (size_t)(slash - path) : 0, false);
    return rc == 0 ? feed_list_add(l, path, len, true) : rc;
}

/* Below something that is left out. */
static bool is_hidden(const struct sender *s, const char *path, size_t len)
{
    const struct filter *x = s->spec->options.filter;
    return x && filter_path(x, path, len, true);
}

static int push_one(void *arg, const char *path, size_t len, bool whole)
{
    struct sender *s = arg;
    if (is_hidden(s, path, len))
        return 0;
    if (whole && len > 0)
        return 0; /* its parent is there too, and asks the destination first */
    return pathstack_push(s->stack, path, len, whole ? 0 : WALK_CHANGED);
}

/* What failed last time has to be held in memory beside the folders that changed. */
static bool is_worth_it(const char *failed_path)
{
    struct stat st;
    return stat(failed_path, &st) < 0 || st.st_size <= FAILED_BYTES_MAX;
}

/* The list with what failed last time, or NULL. */
static const struct feed_list *list_of(struct sender *s, struct changes *c)
{
    struct feed_list *l = feed_pass_edit(c->pass);
    if (!l || !is_worth_it(s->failed_path))
        return NULL;
    int rc = faillist_each(s->failed_path, add_failed, l);
    feed_list_settle(l);
    return rc == 0 ? l : NULL;
}

static void want_names(void *arg, uint64_t dev, uint64_t ino);

int changes_begin(struct sender *s, bool fresh)
{
    struct changes *c = xcalloc(1, sizeof *c);
    struct feed_ask ask = {.pair = s->spec->pair,
                           .root = s->root,
                           .key = key_of(&s->spec->options),
                           .last = s->peer_last,
                           .full = full_why(s, fresh)};
    changes_end(s, false); /* of a session that was lost */
    (void)pthread_mutex_init(&c->lock, NULL);
    /* What is told of the source after its snapshot was taken is not in it. */
    c->pass = feed_begin(s->spec->is_snapshot ? NULL : step_env(s->step)->feed, &ask);
    c->list = list_of(s, c);
    s->changes = c;
    s->changes_lost = NULL;
    atomic_store(&s->crossed, false);
    const char *why = feed_pass_why(c->pass);
    if (c->list)
        (void)snprintf(s->looked, sizeof s->looked, "%zu changed folders",
                       feed_list_count(c->list));
    else
        (void)snprintf(s->looked, sizeof s->looked, "full scan: %s",
                       *why ? why : "too much failed in the last pass");
    log_info("pass of %s: %s", s->spec->pair, s->looked);
    if (!c->list)
        return pathstack_push(s->stack, "", 0, fresh ? WALK_FRESH : 0);
    feed_list_inodes(c->list, want_names, c);
    return feed_list_each(c->list, push_one, s);
}

void changes_end(struct sender *s, bool well)
{
    struct changes *c = s->changes;
    if (!c)
        return;
    s->changes = NULL;
    feed_end(c->pass, well && !atomic_load(&s->crossed), s->session);
    (void)pthread_mutex_destroy(&c->lock);
    free(c->groups);
    free(c->slots);
    free(c->found);
    free(c);
}

void changes_count(const struct sender *s, struct counters *c)
{
    if (s->changes)
        feed_pass_next(s->changes->pass, &c->changed_folders, &c->next_pass_ms);
}

/* ── the walk ── */

bool changes_descend(const struct sender *s, const struct folder *f, const char *name)
{
    if (!f->changed || f->found)
        return !f->changed;
    size_t n = strlen(name), len = f->len + (f->len > 0) + n;
    char *path = xmalloc(len + 1);
    memcpy(path, f->path, f->len);
    path[f->len] = '/';
    memcpy(path + len - n, name, n);
    bool whole = feed_list_is_whole(s->changes->list, path, len);
    free(path);
    return whole;
}

/* ── hard links ── */

static void lose(struct sender *s, const char *why)
{
    (void)pthread_mutex_lock(&s->lock);
    s->changes_lost = why;
    (void)pthread_mutex_unlock(&s->lock);
}

/* Under lock. The slot of the group, or the free one where it belongs. */
static uint32_t *slot_of(struct changes *c, uint64_t dev, uint64_t ino)
{
    const uint64_t key[2] = {dev, ino};
    size_t mask = 2 * (size_t)GROUPS_MAX - 1, i = XXH3_64bits(key, sizeof key) & mask;
    if (!c->slots)
        c->slots = xcalloc(mask + 1, sizeof *c->slots);
    while (c->slots[i]) {
        const struct group *g = &c->groups[c->slots[i] - 1];
        if (g->dev == dev && g->ino == ino)
            break;
        i = (i + 1) & mask;
    }
    return &c->slots[i];
}

/* Where its names are is asked for at the end of the walk. */
static void want_names(void *arg, uint64_t dev, uint64_t ino)
{
    struct changes *c = arg;
    (void)pthread_mutex_lock(&c->lock);
    uint32_t *slot = slot_of(c, dev, ino);
    if (*slot == 0 && c->ngroups < GROUPS_MAX) {
        if ((c->ngroups & (c->ngroups - 1)) == 0)
            c->groups = xrealloc(c->groups, (c->ngroups ? c->ngroups * 2 : 1) * sizeof *c->groups);
        c->groups[c->ngroups] = (struct group){dev, ino};
        *slot = (uint32_t)++c->ngroups;
    } else if (*slot == 0) {
        c->lost = true;
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void changes_linked(struct sender *s, const struct meta *m)
{
    struct changes *c = s->changes;
    if (c && c->list && m->nlink > 1 && !S_ISDIR(m->mode))
        want_names(c, m->dev, m->ino);
}

/* Under lock. False: it was pushed already. */
static bool found_is_new(struct changes *c, const char *path, size_t len)
{
    XXH128_hash_t h = XXH3_128bits(path, len);
    h.low64 += h.low64 == 0;
    if ((c->nfound + 1) * 2 > c->found_cap) {
        XXH128_hash_t *old = c->found;
        size_t n = c->found_cap;
        c->found_cap = n ? n * 2 : 256;
        c->found = xcalloc(c->found_cap, sizeof *c->found);
        for (size_t i = 0; i < n; i++) {
            size_t at = old[i].low64 & (c->found_cap - 1);
            while (old[i].low64 && c->found[at].low64)
                at = (at + 1) & (c->found_cap - 1);
            if (old[i].low64)
                c->found[at] = old[i];
        }
        free(old);
    }
    size_t at = h.low64 & (c->found_cap - 1);
    for (; c->found[at].low64; at = (at + 1) & (c->found_cap - 1))
        if (XXH128_isEqual(c->found[at], h))
            return false;
    c->found[at] = h;
    c->nfound++;
    return true;
}

static int take_folder(struct sender *s, const char *path, size_t len)
{
    struct changes *c = s->changes;
    if (is_hidden(s, path, len))
        return 0;
    (void)pthread_mutex_lock(&c->lock);
    c->lost = c->lost || c->nfound == FOUND_MAX; /* no more is kept: a full scan finds the rest */
    bool push = !c->lost && !feed_list_covers(c->list, path, len) && found_is_new(c, path, len);
    c->pushed += push;
    (void)pthread_mutex_unlock(&c->lock);
    return push ? pathstack_push(s->stack, path, len, WALK_CHANGED | WALK_FOUND) : 0;
}

int changes_found(struct sender *s, struct cursor *c)
{
    uint8_t kind = cursor_u8(c);
    if (c->bad || kind > FOUND_LOST || !s->changes || !s->changes->list)
        return -EPROTO;
    if (kind == FOUND_LOST) {
        lose(s, "the destination is not as the last pass left it");
        return -EAGAIN;
    }
    int rc = 0;
    while (rc == 0 && cursor_left(c) > 0) {
        size_t len = 0;
        const char *path = cursor_blob(c, PATH_BYTES_MAX, &len);
        if (c->bad || !beneath_valid(path, len))
            return -EPROTO;
        rc = take_folder(s, path, len);
    }
    (void)pthread_mutex_lock(&s->changes->lock);
    s->changes->answered = s->changes->answered || kind == FOUND_LAST;
    (void)pthread_mutex_unlock(&s->changes->lock);
    return rc;
}

/* Puts the next groups into the worker's record; how many. */
static uint32_t ask_next(struct worker *w, struct changes *c)
{
    uint32_t n = 0;
    (void)pthread_mutex_lock(&c->lock);
    size_t left = c->ngroups - c->asked;
    n = left < FIND_MAX ? (uint32_t)left : FIND_MAX;
    worker_head(&w->record);
    buf_put_u32(&w->record, n);
    for (uint32_t i = 0; i < n; i++)
        buf_put_u64(&w->record, c->groups[c->asked + i].ino);
    c->asked += n;
    c->answered = false;
    (void)pthread_mutex_unlock(&c->lock);
    return n;
}

static bool is_answered(struct changes *c, bool *retlost)
{
    (void)pthread_mutex_lock(&c->lock);
    bool answered = c->answered;
    *retlost = c->lost;
    (void)pthread_mutex_unlock(&c->lock);
    return answered;
}

static bool has_more_to_ask(struct changes *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool more = c->asked < c->ngroups;
    (void)pthread_mutex_unlock(&c->lock);
    return more;
}

int changes_close(struct worker *w)
{
    struct sender *s = w->s;
    struct changes *c = s->changes;
    bool lost = false;
    if (!c || !c->list || w->index != 0)
        return 0;
    size_t before = c->pushed;
    /* What was sent of a folder is placed before that folder is listed again: else the destination
     * would compare with what is about to be replaced. */
    int placed = has_more_to_ask(c) ? worker_all_placed(w) : 0;
    if (placed < 0)
        return placed;
    while (ask_next(w, c) > 0) {
        int rc = worker_send(w, REC_FIND, &w->record);
        while (rc == 0 && !is_answered(c, &lost))
            rc = worker_pump(w, WAIT_MS);
        if (rc < 0)
            return rc;
    }
    (void)is_answered(c, &lost);
    if (c->pushed > before)
        return 1;
    if (!lost)
        return 0;
    lose(s, "more hard-linked files changed than can be looked for");
    return -EAGAIN;
}
