/* calling: one thread waits in the call, the other asks and tells ten times a second; the
 * last of these and the owner frees all. They share what is under the lock. */
#include "agent/vm/calling.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

#define ASK_MS 100

struct wish {
    bool speed, downtime, post_copy, abort, tear;
    uint64_t mib_s, ms;
};

struct calling {
    struct virt *mover, *teller; /* each of its thread's alone */
    char uuid[40];
    struct virt_migration what; /* texts are ours */
    char **targets;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    unsigned refs;
    bool over, left, news;
    struct virt_progress progress;
    struct wish wish;
    struct fault fault;
};

/* ── what it holds ── */

static void wipe(const char *text)
{
    union {
        const char *in;
        char *out;
    } t = {.in = text};
    if (t.out)
        explicit_bzero(t.out, strlen(t.out));
    free(t.out);
}

static void copy_what(struct calling *c, const struct virt_migration *w)
{
    const char **texts[] = {&c->what.peer, &c->what.memory, &c->what.disks, &c->what.live,
                            &c->what.kept};
    c->what = *w;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        *texts[i] = *texts[i] ? xstrdup(*texts[i]) : NULL;
    c->targets = xcalloc(w->ntargets + 1, sizeof *c->targets);
    for (size_t i = 0; i < w->ntargets; i++)
        c->targets[i] = xstrdup(w->targets[i]);
    c->what.targets = (const char *const *)c->targets;
}

static void destroy(struct calling *c)
{
    wipe(c->what.peer);
    wipe(c->what.memory);
    wipe(c->what.disks);
    wipe(c->what.live);
    wipe(c->what.kept);
    for (size_t i = 0; i < c->what.ntargets; i++)
        free(c->targets[i]);
    free(c->targets);
    (void)virt_close(c->mover);
    (void)virt_close(c->teller);
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

static void drop(struct calling *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool last = --c->refs == 0;
    (void)pthread_mutex_unlock(&c->lock);
    if (last)
        destroy(c);
}

/* ── the threads ── */

static void *move(void *arg)
{
    struct calling *c = arg;
    struct fault why = {.err = 0};
    int rc = c->mover->ops->migrate(c->mover, c->uuid, &c->what, &why);
    (void)pthread_mutex_lock(&c->lock);
    c->over = true;
    if (rc < 0)
        c->fault = why;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
    drop(c);
    return NULL;
}

static void tell(struct calling *c, const struct wish *w)
{
    const struct virt_ops *ops = c->teller->ops;
    if (w->speed)
        (void)ops->set_speed(c->teller, c->uuid, w->mib_s);
    if (w->downtime)
        (void)ops->set_downtime(c->teller, c->uuid, w->ms);
    if (w->post_copy)
        (void)ops->post_copy(c->teller, c->uuid);
    if (w->abort)
        (void)ops->abort(c->teller, c->uuid);
    for (size_t i = 0; w->tear && i < c->what.ntargets; i++)
        (void)ops->yank(c->teller, c->uuid, c->targets[i]);
}

static bool is_wished(const struct wish *w)
{
    return w->speed || w->downtime || w->post_copy || w->abort || w->tear;
}

/* false: nobody wants to know any more. */
static bool next_wish(struct calling *c, struct wish *ret)
{
    int64_t until = clock_mono_ms() + ASK_MS, left;
    (void)pthread_mutex_lock(&c->lock);
    while (!c->over && !c->left && !is_wished(&c->wish) && (left = until - clock_mono_ms()) > 0)
        clock_cond_wait(&c->changed, &c->lock, left);
    *ret = c->wish;
    c->wish = (struct wish){.speed = false};
    bool go = !c->over && !c->left;
    (void)pthread_mutex_unlock(&c->lock);
    return go;
}

static void *attend(void *arg)
{
    struct calling *c = arg;
    struct wish w;
    while (next_wish(c, &w)) {
        struct virt_progress p;
        tell(c, &w);
        if (is_wished(&w) || c->teller->ops->progress(c->teller, c->uuid, false, &p) < 0)
            continue;
        (void)pthread_mutex_lock(&c->lock);
        c->progress = p;
        c->news = true;
        (void)pthread_mutex_unlock(&c->lock);
    }
    if (!calling_is_over(c)) /* nobody follows it any more: it must not go on */
        tell(c, &(const struct wish){.abort = true, .tear = true});
    drop(c);
    return NULL;
}

static int start(struct calling *c, void *(*run)(void *))
{
    pthread_t thread;
    (void)pthread_mutex_lock(&c->lock);
    int rc = pthread_create(&thread, NULL, run, c);
    if (rc == 0) {
        c->refs++;
        (void)pthread_detach(thread);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return -rc;
}

/* ── whose it is ── */

int calling_new(struct virt *mover, struct virt *teller, const char *uuid,
                const struct virt_migration *what, struct calling **ret)
{
    struct calling *c = xcalloc(1, sizeof *c);
    c->mover = mover;
    c->teller = teller;
    c->refs = 1;
    memcpy(c->uuid, uuid, strnlen(uuid, sizeof c->uuid - 1));
    copy_what(c, what);
    (void)pthread_mutex_init(&c->lock, NULL);
    clock_cond_init(&c->changed);
    /* Who asks first: a call that nobody watches would have no end. */
    if (start(c, attend) < 0 || start(c, move) < 0) {
        (void)calling_free(c);
        return -EAGAIN;
    }
    *ret = c;
    return 0;
}

bool calling_is_over(struct calling *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool over = c->over;
    (void)pthread_mutex_unlock(&c->lock);
    return over;
}

bool calling_news(struct calling *c, struct virt_progress *ret)
{
    (void)pthread_mutex_lock(&c->lock);
    bool news = c->news;
    if (news)
        *ret = c->progress;
    c->news = false;
    (void)pthread_mutex_unlock(&c->lock);
    return news;
}

void calling_fault(struct calling *c, struct fault *ret)
{
    (void)pthread_mutex_lock(&c->lock);
    *ret = c->fault;
    (void)pthread_mutex_unlock(&c->lock);
}

static void wish(struct calling *c, const struct wish *w)
{
    (void)pthread_mutex_lock(&c->lock);
    if (w->speed)
        c->wish.mib_s = w->mib_s;
    if (w->downtime)
        c->wish.ms = w->ms;
    c->wish.speed |= w->speed;
    c->wish.downtime |= w->downtime;
    c->wish.post_copy |= w->post_copy;
    c->wish.abort |= w->abort;
    c->wish.tear |= w->tear;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
}

void calling_speed(struct calling *c, uint64_t mib_s)
{
    wish(c, &(const struct wish){.speed = true, .mib_s = mib_s});
}

void calling_downtime(struct calling *c, uint64_t ms)
{
    wish(c, &(const struct wish){.downtime = true, .ms = ms});
}

void calling_post_copy(struct calling *c)
{
    wish(c, &(const struct wish){.post_copy = true});
}

void calling_abort(struct calling *c, bool tear)
{
    wish(c, &(const struct wish){.abort = true, .tear = tear});
}

struct calling *calling_free(struct calling *c)
{
    if (!c)
        return NULL;
    (void)pthread_mutex_lock(&c->lock);
    c->left = true;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
    drop(c);
    return NULL;
}
