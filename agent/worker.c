/* worker: runs steps on threads. Knows no messages of the wire. Main thread, but for run_step() and
 * step_progress(). */
#include "agent/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/step_priv.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define STEPS_MAX 4096

/* The message of a worker to the main thread: this step is yours again. */
struct end_note {
    struct step *step;
};

struct workers {
    const struct agent_env *env;
    size_t at_once;
    size_t in_line;
    size_t running;
    size_t count;
    int ends[2];        /* pipe of struct end_note, each written in one piece */
    struct step *steps; /* oldest first */
};

static void wipe_secret(struct step *s)
{
    void *p = (void *)(uintptr_t)s->secret.secret;
    if (p)
        explicit_bzero(p, s->secret.secret_len);
    free(p);
    free((void *)(uintptr_t)s->secret.user);
    s->secret = (struct step_secret){.user = NULL};
}

static struct step *step_free(struct step *s)
{
    if (!s)
        return NULL;
    step_result_done(&s->result);
    (void)fd_close(s->cancel_fd);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->op_id);
    free(s->job);
    free(s->args);
    wipe_secret(s);
    free(s);
    return NULL;
}
DEFINE_CLEANUP(step_free, struct step *)

int workers_new(const struct agent_env *env, size_t at_once, size_t in_line, struct workers **ret)
{
    if (at_once + in_line > STEPS_MAX)
        return -EINVAL;
    struct workers *w = xcalloc(1, sizeof *w);
    if (pipe2(w->ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        int rc = -errno;
        free(w);
        return rc;
    }
    w->env = env;
    w->at_once = at_once ? at_once : 1;
    w->in_line = in_line;
    *ret = w;
    return 0;
}

int workers_free(struct workers *w)
{
    if (!w)
        return 0;
    if (w->count)
        return -EBUSY;
    (void)fd_close(w->ends[0]);
    (void)fd_close(w->ends[1]);
    free(w);
    return 0;
}

int workers_fd(const struct workers *w)
{
    return w->ends[0];
}

static struct step *find(const struct workers *w, const char *op_id)
{
    struct step *s = w->steps;
    while (s && strcmp(s->op_id, op_id) != 0)
        s = s->next;
    return s;
}

static void tell_end(struct step *s)
{
    /* A pipe holds 8,192 pointers, and workers_new() allows fewer steps: it is never full. */
    const struct end_note note = {.step = s};
    while (write(s->end_fd, &note, sizeof note) < 0 && errno == EINTR)
        ;
}

static void *run_step(void *arg)
{
    struct step *s = arg;
    int rc = priority_take(s->env->priority);
    if (rc < 0)
        log_warning("cannot lower the priority of a step: %s", strerror(-rc));
    s->kind->run(s, &s->result);
    tell_end(s);
    return NULL;
}

static int start_thread(struct step *s)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    int rc = pthread_create(&s->thread, NULL, run_step, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

/* A step that never got its thread ends by the same message as the others. */
static void end_unstarted(struct step *s, enum step_status status, int err, const char *why)
{
    s->result.status = status;
    if (status == STEP_FAILED)
        (void)fault_set(&s->result.fault, FAULT_RETRY, err, "%s", why);
    tell_end(s);
}

static void start_next(struct workers *w)
{
    for (struct step *s = w->steps; s && w->running < w->at_once; s = s->next) {
        if (s->started || step_cancelled(s))
            continue;
        int rc = start_thread(s);
        if (rc < 0) {
            atomic_store(&s->cancelled, true);
            end_unstarted(s, STEP_FAILED, -rc, "the agent cannot start another thread");
            continue;
        }
        s->started = true;
        w->running++;
    }
}

/* Several may have begun at once: after a sleep of the machine, or when the message was late. */
static void begin_windows(struct step *s, int64_t fleet_ms)
{
    struct rate_plan *p = &s->plan;
    size_t begun = 0;
    while (begun < p->n && p->next[begun].from_ms <= fleet_ms)
        p->now = p->next[begun++].rate;
    if (begun > 0)
        memmove(p->next, p->next + begun, (p->n - begun) * sizeof p->next[0]);
    p->n -= begun;
    bucket_set(&s->bucket, p->now, clock_mono_us() * 1000);
}

bool workers_set_rate(struct workers *w, const char *op_id, const struct rate_plan *plan)
{
    struct step *s = find(w, op_id);
    if (!s)
        return false;
    s->plan = *plan;
    begin_windows(s, clock_fleet_ms());
    return true;
}

void workers_tick(struct workers *w, int64_t fleet_ms)
{
    for (struct step *s = w->steps; s; s = s->next)
        if (s->plan.n > 0 && s->plan.next[0].from_ms <= fleet_ms)
            begin_windows(s, fleet_ms);
}

static void keep_secret(struct step *s, const struct step_secret *from)
{
    if (!from->user)
        return;
    s->secret = (struct step_secret){
        .proof = from->proof,
        .user = xstrdup(from->user),
        .secret = xmemdup(from->secret_len ? from->secret : "", from->secret_len),
        .secret_len = from->secret_len};
}

static struct step *new_step(struct workers *w, const struct step_slip *slip)
{
    struct step *s = xcalloc(1, sizeof *s);
    (void)pthread_mutex_init(&s->lock, NULL);
    s->kind = slip->kind;
    s->env = w->env;
    s->op_id = xstrdup(slip->op_id);
    s->job = xstrdup(slip->job ? slip->job : "");
    s->args = xmemdup(slip->args_len ? slip->args : "", slip->args_len);
    s->args_len = slip->args_len;
    keep_secret(s, &slip->secret);
    s->end_fd = w->ends[1];
    s->report.doing = "";
    s->plan.now = BUCKET_UNLIMITED;
    if (slip->plan)
        s->plan = *slip->plan;
    bucket_init(&s->bucket, s->plan.now);
    begin_windows(s, clock_fleet_ms());
    s->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return s;
}

int workers_submit(struct workers *w, const struct step_slip *slip)
{
    if (find(w, slip->op_id))
        return -EEXIST;
    if (w->count >= w->at_once + w->in_line)
        return -EAGAIN;
    CLEANUP(step_free) struct step *s = new_step(w, slip);
    if (s->cancel_fd < 0)
        return -EAGAIN; /* out of descriptors: as good as full */
    struct step **at = &w->steps;
    while (*at)
        at = &(*at)->next;
    *at = s;
    s = NULL;
    w->count++;
    start_next(w);
    return 0;
}

static void unlink_step(struct workers *w, const struct step *s)
{
    struct step **at = &w->steps;
    while (*at && *at != s)
        at = &(*at)->next;
    if (*at)
        *at = s->next;
    w->count--;
    if (s->started)
        w->running--;
}

int workers_reap(struct workers *w, struct step_end *ret)
{
    struct end_note note;
    ssize_t n = read(w->ends[0], &note, sizeof note);
    if (n != (ssize_t)sizeof note)
        return 0;
    struct step *s = note.step;
    if (s->started)
        (void)pthread_join(s->thread, NULL);
    unlink_step(w, s);
    *ret = (struct step_end){
        .cancelled = step_cancelled(s), .by_order = s->by_order, .result = s->result};
    (void)snprintf(ret->op_id, sizeof ret->op_id, "%s", s->op_id);
    (void)snprintf(ret->job, sizeof ret->job, "%s", s->job);
    s->result = (struct step_result){0};
    (void)step_free(s);
    start_next(w);
    return 1;
}

bool workers_has(const struct workers *w, const char *op_id)
{
    return find(w, op_id) != NULL;
}

size_t workers_count(const struct workers *w)
{
    return w->count;
}

static void cancel(struct step *s)
{
    static const uint64_t one = 1;
    if (atomic_exchange(&s->cancelled, true))
        return;
    (void)!write(s->cancel_fd, &one, sizeof one); /* an eventfd at 0 takes it */
    if (!s->started)
        end_unstarted(s, STEP_STOPPED, 0, "");
}

bool workers_cancel(struct workers *w, const char *op_id)
{
    struct step *s = find(w, op_id);
    if (!s)
        return false;
    s->by_order = true;
    cancel(s);
    return true;
}

void workers_cancel_all(struct workers *w)
{
    for (struct step *s = w->steps; s; s = s->next)
        cancel(s);
}

void step_progress(struct step *s, const struct counters *c, unsigned percent, const char *doing)
{
    (void)pthread_mutex_lock(&s->lock);
    s->report.counters = *c;
    s->report.percent = percent;
    s->report.doing = doing ? doing : "";
    s->report.seq++;
    (void)pthread_mutex_unlock(&s->lock);
}

void step_source_latency(struct step *s, uint32_t us, unsigned pace)
{
    (void)pthread_mutex_lock(&s->lock);
    s->report.latency_us = us;
    s->report.pace = pace;
    (void)pthread_mutex_unlock(&s->lock);
}

void workers_each(const struct workers *w, void (*fn)(void *arg, const struct step_view *v),
                  void *arg)
{
    for (struct step *s = w->steps; s; s = s->next) {
        (void)pthread_mutex_lock(&s->lock);
        struct step_report r = s->report;
        (void)pthread_mutex_unlock(&s->lock);
        struct step_view v = {.op_id = s->op_id,
                              .job = s->job,
                              .started = s->started,
                              .seq = r.seq,
                              .counters = r.counters,
                              .percent = r.percent,
                              .doing = r.doing,
                              .latency_us = r.latency_us,
                              .pace = r.pace};
        fn(arg, &v);
    }
}
