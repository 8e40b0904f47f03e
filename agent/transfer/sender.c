/* sender: the sessions of the source: keeps the counters, and begins again when a lane is lost. How
 * a session gets its lanes is lanes.c. The step's thread; workers have their own (worker.c). */
#include "agent/transfer/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "agent/transfer/lanes.h"
#include "agent/transfer/sender_priv.h"
#include "agent/transfer/sent.h"
#include "agent/transfer/temp.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define TICK_MS 100
#define BACKOFF_MIN_MS 5 /* both get their orders at once: the other is ready in a moment */
#define BACKOFF_MAX_MS 5000
#define HURRY_MAX_MS 8000 /* while somebody stands still: lane_hurry() */
#define RAN_MS 11000
#define REFUSED_MAX_MS 120000 /* an agent that restarts gets its order again within this */
#define STACK_BYTES (8U << 20)

void sender_ring(struct sender *s)
{
    atomic_fetch_add(&s->rings, 1);
    if (atomic_load(&s->nidle) == 0)
        return;
    (void)pthread_mutex_lock(&s->lock);
    for (struct worker *w = s->workers; w; w = w->next)
        if (atomic_load(&w->idle))
            (void)eventfd_write(w->wake, 1);
    (void)pthread_mutex_unlock(&s->lock);
}

void sender_broken(struct sender *s, int rc)
{
    (void)pthread_mutex_lock(&s->lock);
    if (!atomic_exchange(&s->broken, true))
        s->error = rc;
    pathstack_abort(s->stack);
    /* A stop of the destination is still to be read by nobody else: the fault is set already. */
    for (struct worker *w = s->workers; w; w = w->next)
        if (w->lane)
            lane_abort(w->lane);
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

/* A worker may have been told to stop meanwhile. */
static bool is_stopped(struct sender *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool stopped = s->fault.what_next != FAULT_NONE;
    (void)pthread_mutex_unlock(&s->lock);
    return stopped;
}

static void counters_now(struct sender *s, struct counters *ret)
{
    (void)pthread_mutex_lock(&s->lock);
    *ret = s->counters;
    ret->lanes = 0;
    for (const struct worker *w = s->workers; w; w = w->next)
        ret->lanes += w->lane != NULL;
    ret->total_known = s->walk_over;
    ret->again_bytes = s->again.bytes;
    (void)pthread_mutex_unlock(&s->lock);
    changes_count(s, ret);
    ret->failed = faillist_count(s->failures);
    ret->elapsed_ms = (uint64_t)(clock_mono_ms() - s->began_ms);
}

/* As if the session ended now: what a killed or paused source must know when it comes back. */
static void note_sent(struct sender *s)
{
    (void)pthread_mutex_lock(&s->lock);
    struct again a = s->again;
    again_session_over(&a, s->sent);
    (void)pthread_mutex_unlock(&s->lock);
    (void)sent_save(s->sent_path, s->spec->ticket_id, &a);
}

static void tell(struct sender *s, const char *doing)
{
    struct counters c;
    counters_now(s, &c);
    uint64_t done = c.sent_bytes + c.delta_saved + c.unchanged_bytes;
    uint64_t percent = c.total_bytes ? done * 100 / c.total_bytes : 0;
    step_progress(s->step, &c, percent > 99 ? 99 : (unsigned)percent, doing);
    note_sent(s);
}

/* ── a session ── */

static int push_failed(void *arg, const char *path, size_t len, const char *code)
{
    struct sender *s = arg;
    const char *only = s->spec->options.only_cause;
    if (only && strcmp(only, code) != 0) { /* it stays on the list, and the run is not whole */
        faillist_leave(s->failures, path, len, code);
        return 0;
    }
    /* As an entry of its folder, which gets its time back when this one has been made in it. */
    return pathstack_push(s->stack, path, len, WALK_ONE);
}

/* Without a list (this agent is new, or the last run did not come to its end) nobody knows what
 * failed: all is looked at. */
static int stack_fill(struct sender *s, bool fresh)
{
    int rc = -ENOENT;
    if (s->source && !s->spec->options.only_failed)
        return pathstack_push(s->stack, "", 0, fresh ? WALK_FRESH : 0);
    if (s->spec->options.only_failed)
        rc = faillist_each(s->failed_path, push_failed, s);
    else
        return changes_begin(s, fresh);
    return rc == -ENOENT ? pathstack_push(s->stack, "", 0, fresh ? WALK_FRESH : 0) : rc;
}

static int session_reset(struct sender *s)
{
    uint64_t session = 0;
    (void)text_random(&session, sizeof session);
    (void)links_free(s->links);
    reflink_end(s);
    (void)pathstack_free(s->stack);
    s->links = NULL;
    s->stack = NULL;
    int rc = links_new(&s->links, s->scratch);
    if (rc == 0)
        rc = pathstack_new(&s->stack, s->scratch, STACK_BYTES);
    faillist_restart(s->failures);
    (void)pthread_mutex_lock(&s->lock);
    atomic_store(&s->broken, false);
    atomic_store(&s->some_put_off, false);
    s->session = session | 1;
    s->walk_over = false;
    s->error = 0;
    s->nworkers = s->ndrained = 0;
    again_session_over(&s->again, s->sent);
    s->sent = 0;
    struct counters *c = &s->counters;
    c->total_files = c->total_bytes = c->unchanged_files = c->unchanged_bytes = 0;
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static bool workers_over(struct sender *s)
{
    for (const struct worker *w = s->workers; w; w = w->next)
        if (!w->ended)
            return false;
    return true;
}

static void session_wait(struct sender *s)
{
    struct pace pace;
    pace_begin(&pace);
    int64_t told = clock_mono_ms();
    (void)pthread_mutex_lock(&s->lock);
    while (!workers_over(s)) {
        clock_cond_wait(&s->changed, &s->lock, TICK_MS);
        bool finishing = s->finish_sent;
        (void)pthread_mutex_unlock(&s->lock);
        if (step_cancelled(s->step))
            sender_broken(s, -ECANCELED);
        for (unsigned more = pace_wants_for_loss(s, &pace); more > 0; more--)
            lanes_add(s);
        if (clock_mono_ms() - told >= 1000) {
            told = clock_mono_ms();
            tell(s, finishing ? "finishing" : "sending");
            if (pace_wants_lane(s, &pace))
                lanes_add(s);
            if (hold_tick(&s->hold, told))
                step_source_latency(s->step, s->hold.latency_us,
                                    atomic_load(&s->hold.pace) * 100 / HOLD_FULL);
        }
        (void)pthread_mutex_lock(&s->lock);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

static void workers_join(struct sender *s)
{
    while (s->workers) {
        struct worker *w = s->workers;
        (void)pthread_join(w->thread, NULL);
        s->workers = w->next;
        (void)fd_close(w->wake);
        free(w);
    }
}

/* 0: finished. -errno: to be tried again, but for -ECANCELED and with a fault set. */
static int session_run(struct sender *s)
{
    struct lane *l = NULL;
    uint64_t credit = 0;
    bool fresh = false;
    int rc = session_reset(s);
    if (rc == 0 && s->source)
        rc = s->source->session_begin(s);
    if (rc == 0)
        rc = lanes_first(s, &l, &credit, &fresh);
    if (rc < 0) {
        lanes_end(s);
        return rc;
    }
    bool is_long = lane_is_long(l);
    rc = s->peer_shares && !s->source && !s->spec->options.dry_run ? reflink_begin(s) : 0;
    if (rc == 0)
        rc = stack_fill(s, fresh);
    if (rc == 0)
        rc = lanes_adopt(s, l, credit, 0);
    if (rc < 0) {
        (void)lane_free(l);
        lanes_end(s);
        return rc;
    }
    lanes_begin(s, is_long);
    session_wait(s);
    lanes_end(s);
    workers_join(s);
    return s->finished ? 0 : s->error < 0 ? s->error : -EPIPE;
}

/* ── the step ── */

static int sender_open(struct sender *s)
{
    const struct transfer_spec *p = s->spec;
    const char *state = step_env(s->step)->state_dir;
    struct stat st;
    s->source = p->source;
    s->root = s->source ? -1 : beneath_root(p->path, p->path_len, false);
    if (s->root < 0 && !s->source)
        return fault_set(&s->fault, FAULT_STOP_JOB, -s->root, "cannot open the source: %s",
                         strerror(-s->root));
    if (s->root >= 0 && fstat(s->root, &st) == 0)
        s->root_dev = st.st_dev;
    s->root_id = p->origin;
    if (s->root >= 0 && !p->is_snapshot)
        rootid_of(s->root, &s->root_id);
    s->scratch = temp_state_dir(state);
    s->failed_path = temp_state_path(state, p->pair, "failed");
    s->sent_path = temp_state_path(state, p->pair, "sent");
    (void)sent_load(s->sent_path, p->ticket_id, &s->again);
    int rc = faillist_new(&s->failures, s->failed_path);
    return rc == 0 ? 0
                   : fault_set(&s->fault, FAULT_RETRY, -rc, "cannot prepare to send: %s",
                               strerror(-rc));
}

static void pause_ms(struct sender *s, int64_t ms)
{
    struct pollfd p = {.fd = step_cancel_fd(s->step), .events = POLLIN};
    (void)poll(&p, 1, (int)ms);
}

static int give_up(struct sender *s, int rc, int64_t refused_since, int64_t lost_since)
{
    int64_t now = clock_mono_ms();
    if (s->spec->hurry && now - lost_since > HURRY_MAX_MS)
        return fault_set(&s->fault, FAULT_RETRY, EHOSTUNREACH, "the destination was lost: %s",
                         strerror(-rc));
    if (clock_fleet_ms() > s->spec->not_after_ms)
        return fault_set(&s->fault, FAULT_RETRY, ETIMEDOUT, "the ticket ended: %s", strerror(-rc));
    if (refused_since && now - refused_since > REFUSED_MAX_MS)
        return fault_set(&s->fault, FAULT_RETRY, EACCES,
                         "the destination does not know this transfer any more");
    return 0;
}

static void sessions(struct sender *s)
{
    int64_t pause = BACKOFF_MIN_MS, refused_since = 0, lost_since = 0;
    for (;;) {
        int64_t began = clock_mono_ms();
        int rc = session_run(s);
        if (rc == 0 || step_cancelled(s->step) || is_stopped(s))
            return;
        if (rc == -EACCES && refused_since == 0)
            refused_since = began;
        if (rc != -EACCES)
            refused_since = 0;
        bool ran = clock_mono_ms() - began > RAN_MS; /* longer than any try to connect */
        if (ran || lost_since == 0)
            lost_since = ran ? clock_mono_ms() : began;
        if (give_up(s, rc, refused_since, lost_since) < 0)
            return;
        if (clock_mono_ms() - began > 10000)
            pause = BACKOFF_MIN_MS;
        tell(s, s->source ? "waiting for the source or the destination"
                          : "waiting for the destination");
        pause_ms(s, pause);
        pause = pause * 2 < BACKOFF_MAX_MS ? pause * 2 : BACKOFF_MAX_MS;
    }
}

/* Without it the source signs for nothing: said then. */
static void keep_seen(const struct sender *s, const struct counters *c)
{
    const struct transfer_options *o = &s->spec->options;
    if (!s->finished || !o->evidence || o->dry_run || o->only_failed)
        return;
    struct seen_record seen = {c->total_files, c->total_bytes};
    CLEANUP(mem_free)
    char *path = temp_state_path(step_env(s->step)->state_dir, s->spec->pair, "seen");
    (void)seen_save(path, &seen);
}

static void report(struct sender *s, struct step_result *ret)
{
    ret->fault = s->fault;
    memcpy(ret->scan, s->looked, sizeof ret->scan);
    if (s->finished)
        ret->status = faillist_count(s->failures) ? STEP_PARTIAL : STEP_DONE;
    else if (s->fault.what_next != FAULT_NONE)
        ret->status = STEP_FAILED;
    else
        ret->status = STEP_STOPPED;
    if (s->failures) {
        counters_now(s, &ret->counters);
        if (s->finished && !s->spec->options.dry_run)
            changes_end(s, faillist_close_list(s->failures) == 0);
        faillist_report(s->failures, ret);
    }
    if (s->finished)
        (void)unlink(s->sent_path);
    else if (s->sent_path && !s->spec->options.dry_run)
        note_sent(s);
    keep_seen(s, &ret->counters);
}

void sender_run(struct step *step, const struct transfer_spec *spec, struct step_result *ret)
{
    struct sender *s = xcalloc(1, sizeof *s);
    s->step = step;
    s->spec = spec;
    s->began_ms = clock_mono_ms();
    hold_init(&s->hold, spec->options.max_source_latency_ms, s->began_ms);
    s->root = -1;
    (void)pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->changed);
    if (sender_open(s) == 0)
        sessions(s);
    report(s, ret);
    changes_end(s, false);
    if (s->source)
        s->source->session_end(s);
    (void)links_free(s->links);
    reflink_end(s);
    (void)pathstack_free(s->stack);
    (void)faillist_free(s->failures);
    if (s->root >= 0)
        (void)fd_close(s->root);
    free(s->scratch);
    free(s->failed_path);
    free(s->sent_path);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->changed);
    free(s);
}
