/* receiver: the session of the destination: lets lanes in, starts anew when the source comes back,
 * flushes, reports, and ends. The step's thread; lanes have their own (receive_lane.c). */
#include "agent/transfer/receiver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lane/lane_server.h"
#include "agent/store/beneath.h"
#include "agent/store/extents.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define TICK_MS 200
#define HURRY_MAX_MS 10000 /* while somebody stands still: lane_hurry() */
#define LINGER_MS 60000    /* for the source's goodbye when the lane broke just at the end */
#define LANES_MAX 64
#define ROWS_MAX (64U << 20)

/* ── sessions ── */

static int spools_new(struct receiver *r)
{
    r->links = spool_free(r->links);
    r->folders = spool_free(r->folders);
    r->extras = spool_free(r->extras);
    r->late = spool_free(r->late);
    r->gone = spool_free(r->gone);
    (void)claims_free(r->claims);
    r->claims = claims_new();
    (void)moves_free(r->moves);
    (void)touched_free(r->touched);
    r->moves = moves_new();
    r->touched = touched_new();
    int rc = spool_new(&r->links, r->scratch);
    if (rc == 0)
        rc = spool_new(&r->folders, r->scratch);
    if (rc == 0)
        rc = spool_new(&r->extras, r->scratch);
    if (rc == 0)
        rc = spool_new(&r->late, r->scratch);
    if (rc == 0)
        rc = spool_new(&r->gone, r->scratch);
    return rc;
}

/* Under lock: waits until the lanes of another session are gone. */
static void lanes_drain(struct receiver *r)
{
    for (struct rlane *l = r->lanes; l; l = l->next)
        lane_abort(l->lane);
    while (r->lanes)
        (void)pthread_cond_wait(&r->changed, &r->lock);
}

/* Under lock, with entering set: the source begins its walk anew. What was placed is made durable
 * first, so that it is found; counts of the comparison begin at zero. */
static int session_begin(struct receiver *r, const struct lane_entry *e)
{
    lanes_drain(r);
    (void)pthread_mutex_unlock(&r->lock);
    int rc = durable_is(r) ? 0 : durable_flush(r);
    incoming_drop_all(r, false);
    if (rc == 0)
        rc = spools_new(r);
    if (rc == 0)
        rc = moves_recover(r);
    bool asks = rc == 0 && !r->spec->options.dry_run && !r->spec->options.only_failed;
    int empty = asks ? beneath_is_empty(r->root, ".") : 0;
    /* By a guess the source would send only what changed, to a folder with nothing. */
    if (empty < 0)
        rc = empty;
    bool fresh = empty == 1;
    faillist_restart(r->failures);
    struct fault why = {.err = 0};
    if (rc == 0)
        rc = origin_begin(r, e, fresh, &why);
    uint64_t last = 0;
    (void)pthread_mutex_lock(&r->cat_lock);
    if (catalogue_session_get(r->cat, &last) < 0)
        last = 0;
    (void)pthread_mutex_unlock(&r->cat_lock);
    (void)pthread_mutex_lock(&r->lock);
    r->last_session = last;
    struct counters *c = &r->counters;
    c->unchanged_files = c->unchanged_bytes = 0;
    if (r->spec->options.dry_run)
        r->durable.files = r->durable.bytes = r->durable.entries = c->deleted = c->changed_meta =
            c->renamed = 0;
    if (fresh && rc == 0 && r->spec->options.evidence)
        rc = evidence_fresh_root(r);
    r->session = e->session;
    r->durable.parts = 0; /* those that the source comes back to count again */
    r->found = 0;
    r->fresh = fresh;
    r->finished = false;
    r->doing = "receiving";
    if (rc < 0 && !why.err)
        (void)fault_set(&why, FAULT_RETRY, -rc, "cannot prepare to receive: %s", strerror(-rc));
    if (rc < 0 && r->fault.what_next == FAULT_NONE)
        r->fault = why;
    return rc;
}

static int enter_locked(struct receiver *r, struct lane *lane, const struct lane_entry *e)
{
    while (r->entering)
        (void)pthread_cond_wait(&r->changed, &r->lock);
    if (r->stopped || r->bye || r->fault.what_next != FAULT_NONE)
        return -ESHUTDOWN;
    int rc = 0;
    if (e->session != r->session) {
        if (e->lane != 0)
            return -ESTALE; /* of a session that is over */
        r->entering = true;
        rc = session_begin(r, e);
        r->entering = false;
        (void)pthread_cond_broadcast(&r->changed);
    }
    unsigned n = 0;
    for (const struct rlane *l = r->lanes; l; l = l->next)
        n++;
    if (rc < 0 || n >= LANES_MAX || r->stopped)
        return rc < 0 ? rc : -EBUSY;
    struct rlane *l = xcalloc(1, sizeof *l);
    *l = (struct rlane){.r = r,
                        .lane = lane,
                        .session = e->session,
                        .can_delta = e->can & LANE_CAN_DELTA,
                        .can_move = e->can & LANE_CAN_MOVE,
                        .next = r->lanes};
    rc = -pthread_create(&l->thread, NULL, receive_lane_run, l);
    if (rc < 0) {
        free(l);
        return rc;
    }
    (void)pthread_detach(l->thread);
    r->lanes = l;
    return 0;
}

static void on_enter(void *arg, struct lane *lane, const struct lane_entry *e)
{
    struct receiver *r = arg;
    lane_set_cancel(lane, step_cancel_fd(r->step));
    if (r->spec->hurry)
        lane_hurry(lane);
    (void)pthread_mutex_lock(&r->lock);
    int rc = enter_locked(r, lane, e);
    struct fault f = r->fault;
    (void)pthread_mutex_unlock(&r->lock);
    if (rc == 0)
        return;
    if (f.what_next == FAULT_NONE)
        (void)fault_set(&f, FAULT_RETRY, -rc, "the destination cannot take this lane: %s",
                        strerror(-rc));
    (void)lane_refuse(lane, &f);
    lane_close(lane);
    (void)lane_free(lane);
}

/* ── the step ── */

static int ticket_open(struct receiver *r)
{
    const struct transfer_spec *s = r->spec;
    struct ticket t = {.not_after_ms = s->not_after_ms, .enter = on_enter, .arg = r};
    (void)snprintf(t.id, sizeof t.id, "%s", s->ticket_id);
    (void)snprintf(t.pair, sizeof t.pair, "%s", s->pair);
    memcpy(t.secret, s->secret, sizeof t.secret);
    memcpy(t.peer_pin, s->peer_pin, sizeof t.peer_pin);
    return ticket_add(lane_server_book(step_env(r->step)->lanes), &t);
}

static unsigned process_umask(void)
{
    char line[128];
    unsigned mask = 077; /* not known: modes are set, never assumed */
    FILE *in = fopen("/proc/self/status", "re");
    while (in && fgets(line, sizeof line, in))
        if (sscanf(line, "Umask: %o", &mask) == 1)
            break;
    if (in)
        (void)fclose(in);
    return mask;
}

/* A folder that is gone already: in it nothing is there, as in a destination that is not made yet.
 */
static int empty_root(const char *scratch)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/empty-XXXXXX", scratch);
    if (!mkdtemp(path))
        return -errno;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : fd;
    (void)rmdir(path);
    return rc;
}

/* A killed run that comes back goes on counting, and knows when it began. */
static int run_open(struct receiver *r)
{
    int64_t now_s = r->began_s = clock_wall_ms() / 1000 - 1;
    uint64_t order = XXH3_64bits(r->spec->ticket_id, strlen(r->spec->ticket_id));
    if (catalogue_run_get(r->cat, &r->run) < 0)
        r->run = (struct catalogue_run){.instance = r->instance | 1};
    r->durable.data = r->run.durable;
    if (r->run.order == order && r->run.began_s <= now_s)
        return 0;
    r->run.order = order;
    r->run.began_s = now_s;
    if (r->spec->options.dry_run)
        return 0;
    int rc = catalogue_run_put(r->cat, &r->run);
    return rc == 0 ? catalogue_commit(r->cat) : rc;
}

static int places_open(struct receiver *r, struct fault *reterr)
{
    const struct transfer_spec *s = r->spec;
    const struct agent_env *env = step_env(r->step);
    struct stat st;
    r->scratch = temp_state_dir(env->state_dir);
    r->root = beneath_root(s->path, s->path_len, !s->options.dry_run);
    if (r->root == -ENOENT && s->options.dry_run)
        r->root = empty_root(r->scratch);
    if (r->root < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -r->root, "cannot open the destination: %s",
                         strerror(-r->root));
    if (fstat(r->root, &st) == 0)
        r->root_dev = st.st_dev;
    r->root_later = naming_waits(r->root);
    r->can_fill = naming_can_fill(r->root);
    r->can_share = !s->options.dry_run && extents_can_share(r->root);
    CLEANUP(mem_free) char *path = pair_catalogue_path(env->state_dir, s->pair);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    int rc = file_mkdirs(path, 0700);
    *slash = '/';
    if (rc == 0)
        rc = catalogue_open(&r->cat, path);
    if (rc == 0)
        rc = run_open(r);
    if (rc == 0)
        rc = faillist_new(&r->failures, NULL);
    if (rc == 0)
        rc = spools_new(r);
    return rc == 0 ? 0
                   : fault_set(reterr, FAULT_RETRY, -rc, "cannot prepare to receive: %s",
                               strerror(-rc));
}

/* The source got its order at the same time: it may knock and prove itself while the catalogue is
 * opened, and waits in on_enter() instead of coming back later. */
static int receiver_open(struct receiver *r)
{
    r->entering = true;
    int rc = ticket_open(r);
    if (rc < 0)
        return fault_set(&r->fault, FAULT_RETRY, -rc, "cannot expect the source: %s",
                         strerror(-rc));
    struct fault f = {0};
    rc = places_open(r, &f);
    (void)pthread_mutex_lock(&r->lock);
    r->fault = f;
    r->entering = false;
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    if (rc < 0)
        ticket_remove(lane_server_book(step_env(r->step)->lanes), r->spec->ticket_id);
    return rc;
}

static void counters_now(struct receiver *r, struct counters *ret, int64_t began_ms)
{
    uint64_t failed = faillist_count(r->failures);
    (void)pthread_mutex_lock(&r->lock);
    *ret = r->counters;
    ret->files = r->durable.files;
    ret->bytes = r->durable.bytes;
    ret->parts_bytes = r->durable.parts > 0 ? (uint64_t)r->durable.parts : 0;
    ret->entries = r->durable.entries;
    ret->failed = failed;
    ret->elapsed_ms = (uint64_t)(clock_mono_ms() - began_ms);
    ret->lanes = 0;
    for (const struct rlane *l = r->lanes; l; l = l->next)
        ret->lanes++;
    (void)pthread_mutex_unlock(&r->lock);
}

/* Under lock: has the run an end? */
static bool is_over(struct receiver *r)
{
    if (step_cancelled(r->step))
        r->stopped = true;
    if (r->fault.what_next != FAULT_NONE || r->stopped)
        return true;
    if (r->bye)
        return true;
    if (r->finished && !r->lanes) {
        if (r->finished_ms == 0)
            r->finished_ms = clock_mono_ms();
        r->bye = clock_mono_ms() - r->finished_ms > LINGER_MS; /* nobody may enter any more */
        return r->bye;
    }
    r->finished_ms = 0;
    return false;
}

static void tick_wait(struct receiver *r)
{
    clock_cond_wait(&r->changed, &r->lock, TICK_MS);
}

static void receiver_loop(struct receiver *r)
{
    int64_t began = clock_mono_ms(), told = 0, alone = began;
    (void)pthread_mutex_lock(&r->lock);
    while (!is_over(r)) {
        if (!durable_due(r))
            tick_wait(r);
        const char *doing = r->session ? r->doing : "waiting for the source";
        bool due = durable_due(r);
        bool late = clock_fleet_ms() > r->spec->not_after_ms && !r->lanes;
        alone = r->lanes || r->finished ? clock_mono_ms() : alone;
        bool lost = r->spec->hurry && clock_mono_ms() - alone > HURRY_MAX_MS;
        (void)pthread_mutex_unlock(&r->lock);
        if (due)
            (void)durable_step(r);
        if (clock_mono_ms() - told >= 1000) {
            struct counters c;
            told = clock_mono_ms();
            counters_now(r, &c, began);
            step_progress(r->step, &c, 0, doing);
        }
        struct fault f;
        if (late) {
            (void)fault_set(&f, FAULT_RETRY, ETIMEDOUT, "the ticket ended before the source did");
            receiver_stop(r, &f);
        }
        if (lost) {
            (void)fault_set(&f, FAULT_RETRY, EHOSTUNREACH, "the source was lost");
            receiver_stop(r, &f);
        }
        (void)pthread_mutex_lock(&r->lock);
    }
    (void)pthread_mutex_unlock(&r->lock);
}

#define STOP_WAIT_MS 2000

/* Lanes that must hear of a fault get a moment to say so; then all are cut. */
static void lanes_end(struct receiver *r)
{
    int64_t until = clock_mono_ms() + STOP_WAIT_MS;
    (void)pthread_mutex_lock(&r->lock);
    bool tell = !r->stopped;
    while (tell && r->lanes && clock_mono_ms() < until)
        tick_wait(r);
    lanes_drain(r);
    (void)pthread_mutex_unlock(&r->lock);
}

static void report(struct receiver *r, struct step_result *ret, int64_t began)
{
    counters_now(r, &ret->counters, began);
    ret->counters.total_known = r->bye || r->finished;
    faillist_report(r->failures, ret);
    ret->fault = r->fault;
    if (r->fault.what_next != FAULT_NONE)
        ret->status = STEP_FAILED;
    else if (r->stopped)
        ret->status = STEP_STOPPED;
    else
        ret->status = ret->counters.failed ? STEP_PARTIAL : STEP_DONE;
}

static void receiver_init(struct receiver *r, struct step *s, const struct transfer_spec *spec)
{
    r->step = s;
    r->spec = spec;
    r->root = -1;
    r->privileged = step_env(s)->privileged;
    r->umask = process_umask();
    r->euid = geteuid();
    r->egid = getegid();
    r->doing = "receiving";
    pair_token(spec->pair, r->token);
    (void)text_random(&r->instance, sizeof r->instance);
    atomic_init(&r->temp_number, r->instance); /* never a name that a killed run used */
    buf_init(&r->pending.rows, ROWS_MAX);
    buf_init(&r->unsaid, UNSAID_MAX);
    (void)pthread_mutex_init(&r->cat_lock, NULL);
    (void)pthread_mutex_init(&r->flush_lock, NULL);
    (void)pthread_mutex_init(&r->lock, NULL);
    clock_cond_init(&r->changed);
}

static void receiver_done(struct receiver *r)
{
    (void)spool_free(r->links);
    (void)spool_free(r->folders);
    (void)spool_free(r->extras);
    (void)spool_free(r->late);
    (void)spool_free(r->gone);
    (void)claims_free(r->claims);
    (void)moves_free(r->moves);
    (void)touched_free(r->touched);
    (void)faillist_free(r->failures);
    (void)catalogue_close(r->cat);
    written_done(r);
    if (r->root >= 0)
        (void)fd_close(r->root);
    free(r->scratch);
    buf_done(&r->pending.rows);
    buf_done(&r->named.rows);
    buf_done(&r->unsaid);
    folderset_clear(&r->new_pending);
    folderset_clear(&r->new_synced);
    folderset_clear(&r->new_named);
    (void)pthread_mutex_destroy(&r->cat_lock);
    (void)pthread_mutex_destroy(&r->flush_lock);
    (void)pthread_mutex_destroy(&r->lock);
    (void)pthread_cond_destroy(&r->changed);
    free(r);
}

void receiver_run(struct step *s, const struct transfer_spec *spec, struct step_result *ret)
{
    int64_t began = clock_mono_ms();
    struct receiver *r = xcalloc(1, sizeof *r);
    receiver_init(r, s, spec);
    if (receiver_open(r) == 0) {
        receiver_loop(r);
        lanes_end(r);
        ticket_remove(lane_server_book(step_env(s)->lanes), spec->ticket_id);
        lanes_end(r); /* one may have entered just before */
        bool full = r->fault.err == ENOSPC || r->fault.err == EDQUOT;
        if (!durable_is(r))
            (void)durable_flush(r);
        incoming_drop_all(r, full);
        if (full)
            (void)catalogue_commit(r->cat);
        report(r, ret, began);
    } else {
        ret->status = STEP_FAILED;
        ret->fault = r->fault;
    }
    receiver_done(r);
}
