/* feed: pairs, their passes, and the thread that empties the watches. */
#include "agent/feed/feed.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "agent/feed/feed_path.h"
#include "agent/feed/feed_priv.h"
#include "agent/feed/feed_watch.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define WATCHES_MAX 64
#define READ_MS 50    /* how long the thread holds the lock */
#define DRAIN_MS 5000 /* a pass waits this long for the queue to be empty once */

struct watched {
    struct watched *next;
    struct feed_watch *watch;
    unsigned uses; /* pairs */
};

struct pair {
    struct pair *next;
    char *name;
    struct watched *on;      /* NULL: not watched */
    struct feed_handle root; /* of its folder, when it was watched */
    bool based;              /* a pass ended well: what came from `from` on is what changed */
    bool running;            /* a pass that took the list is under way; it needs `from` kept */
    uint64_t from, key, session;
    uint64_t folders;   /* of the log, at from */
    uint64_t folder_us; /* what one of a list took in the last pass */
    const char *why;    /* there is no base */
};

struct feed {
    char *dir;
    unsigned number; /* of the next log */
    pthread_mutex_t lock;
    struct watched *watches;
    struct pair *pairs;
    pthread_t thread;
    bool started, stop;
    int wake;
};

/* ── the thread ── */

static size_t gather(struct feed *f, struct pollfd fds[WATCHES_MAX + 1])
{
    size_t n = 0;
    fds[n++] = (struct pollfd){.fd = f->wake, .events = POLLIN};
    for (const struct watched *w = f->watches; w && n <= WATCHES_MAX; w = w->next)
        fds[n++] = (struct pollfd){.fd = feed_watch_fd(w->watch), .events = POLLIN};
    return n;
}

static void *feed_thread(void *arg)
{
    struct feed *f = arg;
    struct pollfd fds[WATCHES_MAX + 1];
    eventfd_t rung;
    (void)pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        size_t n = gather(f, fds);
        (void)pthread_mutex_unlock(&f->lock);
        (void)poll(fds, n, -1);
        (void)pthread_mutex_lock(&f->lock);
        if (fds[0].revents)
            (void)eventfd_read(f->wake, &rung);
        for (const struct watched *w = f->watches; w && !f->stop; w = w->next)
            (void)feed_watch_read(w->watch, READ_MS);
    }
    (void)pthread_mutex_unlock(&f->lock);
    return NULL;
}

static int thread_start(struct feed *f)
{
    sigset_t all, before;
    if (f->started)
        return 0;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = -pthread_create(&f->thread, NULL, feed_thread, f);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    f->started = rc == 0;
    return rc;
}

/* ── watches; under lock ── */

static int watch_get(struct feed *f, int root, struct watched **ret)
{
    struct stat st;
    size_t n = 0;
    if (fstat(root, &st) < 0)
        return -errno;
    for (struct watched *w = f->watches; w; w = w->next, n++) {
        if (feed_watch_dev(w->watch) != st.st_dev)
            continue;
        *ret = w;
        return feed_watch_check(w->watch, root);
    }
    if (n >= WATCHES_MAX)
        return -EMFILE;
    struct feed_watch *watch = NULL;
    CLEANUP(mem_free) char *path = xasprintf("%s/%u.log", f->dir, f->number++);
    int rc = feed_watch_new(&watch, root, path);
    if (rc == 0)
        rc = thread_start(f);
    if (rc < 0) {
        (void)feed_watch_free(watch);
        return rc;
    }
    struct watched *w = xcalloc(1, sizeof *w);
    *w = (struct watched){.next = f->watches, .watch = watch};
    f->watches = w;
    *ret = w;
    (void)eventfd_write(f->wake, 1);
    return 0;
}

static void watch_put(struct feed *f, struct watched *w)
{
    if (!w || --w->uses > 0)
        return;
    for (struct watched **at = &f->watches; *at; at = &(*at)->next) {
        if (*at != w)
            continue;
        *at = w->next;
        break;
    }
    (void)feed_watch_free(w->watch);
    free(w);
    (void)eventfd_write(f->wake, 1);
}

/* What no pair needs any more. */
static void log_trim(struct feed *f, struct watched *w)
{
    struct feed_log *log = feed_watch_log(w->watch);
    uint64_t before = feed_log_cut(log);
    for (const struct pair *p = f->pairs; p; p = p->next)
        if (p->on == w && (p->based || p->running) && p->from < before)
            before = p->from;
    feed_log_drop(log, before);
}

/* ── pairs; under lock ── */

static struct pair *pair_find(const struct feed *f, const char *name)
{
    struct pair *p = f->pairs;
    while (p && strcmp(p->name, name) != 0)
        p = p->next;
    return p;
}

static struct pair *pair_get(struct feed *f, const char *name)
{
    struct pair *p = pair_find(f, name);
    if (p)
        return p;
    p = xcalloc(1, sizeof *p);
    *p = (struct pair){.next = f->pairs, .name = xstrdup(name), .why = "no pass ended well yet"};
    f->pairs = p;
    return p;
}

static bool same_handle(const struct feed_handle *a, const struct feed_handle *b)
{
    return a->type == b->type && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* From now on the pair is noted on what root stands on. */
static int pair_watch(struct feed *f, struct pair *p, const struct feed_root *root)
{
    struct watched *w = NULL;
    int rc = watch_get(f, root->fd, &w);
    if (rc < 0)
        return rc;
    if (p->on == w && same_handle(&p->root, &root->handle))
        return 0;
    if (p->on)
        p->why = "the source is another folder than before";
    w->uses++;
    watch_put(f, p->on);
    p->on = w;
    p->root = root->handle;
    p->based = false;
    return 0;
}

static void pair_unwatch(struct feed *f, struct pair *p)
{
    watch_put(f, p->on);
    p->on = NULL;
    p->based = false;
}

/* ── passes ── */

struct feed_pass {
    struct feed *feed;
    char *pair;
    struct feed_list *list;
    const char *why;
    bool watched; /* its end can be the base of the next one */
    uint64_t from, to, key, folders;
    struct feed_root root;
    int log_fd;
    int64_t began_us;
};

/* Under lock: the reason against a list, or NULL. Sets what the list is made from. */
static const char *doubts(const struct pair *p, const struct feed_ask *a, struct feed_pass *pass)
{
    struct feed_log *log = feed_watch_log(p->on->watch);
    const char *why = NULL;
    if (a->full)
        return a->full;
    if (!p->based)
        return p->why;
    if (!feed_log_certain(log, p->from, &why))
        return why;
    if (p->key != a->key)
        return "the options are other than in the last pass";
    if (p->session != a->last)
        return "the destination is not as the last pass left it";
    if (!feed_log_has(log, p->from, pass->to))
        return "the list of changes has a gap";
    pass->from = p->from;
    pass->log_fd = feed_log_fd(log);
    return NULL;
}

static const char *begin_locked(struct feed *f, const struct feed_ask *a, struct feed_pass *pass)
{
    struct pair *p = pair_get(f, a->pair);
    int rc = pair_watch(f, p, &pass->root);
    if (rc < 0) {
        pair_unwatch(f, p);
        return p->why = feed_watch_why(rc);
    }
    struct feed_log *log = feed_watch_log(p->on->watch);
    if (!feed_watch_read(p->on->watch, DRAIN_MS))
        feed_log_lost(log, "changes came faster than they could be noted");
    pass->to = feed_log_cut(log);
    pass->folders = feed_log_folders(log);
    pass->watched = true;
    const char *why = doubts(p, a, pass);
    p->running = true;
    if (!p->based)
        p->from = pass->to;
    return why;
}

static const char *begin(struct feed *f, const struct feed_ask *a, struct feed_pass *pass)
{
    int rc = feed_root_of(a->root, &pass->root);
    if (rc < 0)
        return feed_watch_why(rc);
    (void)pthread_mutex_lock(&f->lock);
    const char *why = begin_locked(f, a, pass);
    (void)pthread_mutex_unlock(&f->lock);
    if (pass->watched && feed_mounts_below(&pass->root) != 0) {
        pass->watched = false;
        return "other file systems are mounted below the source";
    }
    return why ? why : feed_resolve(pass->log_fd, pass->from, pass->to, &pass->root, &pass->list);
}

struct feed_pass *feed_begin(struct feed *f, const struct feed_ask *a)
{
    struct feed_pass *pass = xcalloc(1, sizeof *pass);
    pass->feed = f;
    pass->began_us = clock_mono_us();
    pass->pair = xstrdup(a->pair);
    pass->key = a->key;
    pass->why = f ? begin(f, a, pass) : "this agent keeps no change feed";
    return pass;
}

const struct feed_list *feed_pass_list(const struct feed_pass *p)
{
    return p->list;
}

struct feed_list *feed_pass_edit(struct feed_pass *p)
{
    return p->list;
}

const char *feed_pass_why(const struct feed_pass *p)
{
    return p->why ? p->why : "";
}

static void end_locked(struct feed *f, const struct feed_pass *pass, bool well, uint64_t session)
{
    struct pair *p = pair_find(f, pass->pair);
    if (!p || !p->on)
        return;
    p->running = false;
    if (well && pass->watched && same_handle(&p->root, &pass->root.handle)) {
        p->based = true;
        p->from = pass->to;
        p->folders = pass->folders;
        p->key = pass->key;
        p->session = session;
        size_t n = pass->list ? feed_list_count(pass->list) : 0;
        if (n > 0)
            p->folder_us = (uint64_t)(clock_mono_us() - pass->began_us) / n;
    } else if (well) { /* what it looked at is not what the list says */
        p->based = false;
        p->why = pass->why ? pass->why : "the last pass left doubts";
    }
    log_trim(f, p->on);
}

void feed_end(struct feed_pass *pass, bool well, uint64_t session)
{
    if (!pass)
        return;
    struct feed *f = pass->feed;
    if (f) {
        if (well && pass->watched && feed_mounts_below(&pass->root) != 0)
            pass->watched = false;
        (void)pthread_mutex_lock(&f->lock);
        end_locked(f, pass, well, session);
        (void)pthread_mutex_unlock(&f->lock);
    }
    (void)feed_list_free(pass->list);
    free(pass->pair);
    free(pass);
}

#define PASS_MS 300    /* orders, lanes, the end */
#define FOLDER_US 5000 /* before one was measured */

void feed_pass_next(struct feed_pass *pass, uint64_t *retfolders, uint64_t *retms)
{
    struct feed *f = pass->feed;
    *retfolders = *retms = 0;
    if (!f || !pass->watched)
        return;
    (void)pthread_mutex_lock(&f->lock);
    const struct pair *p = pair_find(f, pass->pair);
    if (p && p->on) {
        *retfolders = feed_log_folders(feed_watch_log(p->on->watch)) - pass->folders;
        *retms = PASS_MS + *retfolders * (p->folder_us ? p->folder_us : FOLDER_US) / 1000;
    }
    (void)pthread_mutex_unlock(&f->lock);
}

/* ── the rest ── */

void feed_state(struct feed *f, const char *pair, struct feed_state *ret)
{
    *ret = (struct feed_state){.why = "this agent keeps no change feed"};
    if (!f)
        return;
    (void)pthread_mutex_lock(&f->lock);
    const struct pair *p = pair_find(f, pair);
    ret->why = p ? p->why : "no pass ended well yet";
    if (p && p->on && p->based) {
        struct feed_log *log = feed_watch_log(p->on->watch);
        ret->certain = feed_log_certain(log, p->from, &ret->why);
        ret->folders = feed_log_folders(log) - p->folders;
    }
    (void)pthread_mutex_unlock(&f->lock);
}

static void pair_free(struct feed *f, struct pair *p)
{
    pair_unwatch(f, p);
    free(p->name);
    free(p);
}

void feed_forget(struct feed *f, const char *pair)
{
    if (!f)
        return;
    (void)pthread_mutex_lock(&f->lock);
    for (struct pair **at = &f->pairs; *at; at = &(*at)->next) {
        struct pair *p = *at;
        if (strcmp(p->name, pair) != 0)
            continue;
        *at = p->next;
        pair_free(f, p);
        break;
    }
    (void)pthread_mutex_unlock(&f->lock);
}

int feed_new(struct feed **ret, const char *state_dir)
{
    struct feed *f = xcalloc(1, sizeof *f);
    f->dir = xasprintf("%s/feed", state_dir);
    f->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&f->lock, NULL);
    int rc = f->wake < 0 ? -errno : file_mkdirs(f->dir, 0700);
    if (rc == 0)
        *ret = f;
    else
        (void)feed_free(f);
    return rc;
}

struct feed *feed_free(struct feed *f)
{
    if (!f)
        return NULL;
    (void)pthread_mutex_lock(&f->lock);
    f->stop = true;
    (void)pthread_mutex_unlock(&f->lock);
    if (f->started) {
        (void)eventfd_write(f->wake, 1);
        (void)pthread_join(f->thread, NULL);
    }
    while (f->pairs) {
        struct pair *p = f->pairs;
        f->pairs = p->next;
        pair_free(f, p);
    }
    if (f->wake >= 0)
        (void)fd_close(f->wake);
    (void)pthread_mutex_destroy(&f->lock);
    free(f->dir);
    free(f);
    return NULL;
}
