/* loop: the agent's one deciding thread. */
#include "agent/loop.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "agent/addresses.h"
#include "agent/dispatch.h"
#include "agent/facts.h"
#include "agent/oplog.h"
#include "agent/session.h"
#include "agent/status.h"
#include "agent/worker.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define TICK_MS 200
#define IN_LINE 1024        /* orders that wait for a worker */
#define STOP_WITHIN_MS 8000 /* systemd and people are told 10 s */
#define STATUS_EVERY_MS 2000

struct loop {
    const struct loop_setup *setup;
    zloop_t *zloop;
    struct oplog *log;
    struct workers *workers;
    struct dispatch *dispatch;
    struct session *session;
    struct facts *facts;
    int rc;           /* why the loop ended */
    int64_t stop_ms;  /* 0: not asked to stop; else when to leave in any case */
    int64_t since_ms; /* wall clock of the last change of the session */
    bool status_stale;
    int64_t status_ms;
    size_t status_steps;
    int addresses_fd;    /* tells when an address of this host goes; -1: nobody tells */
    int64_t watchdog_ms; /* how often systemd wants to hear; 0: never */
    int64_t watched_ms;
};

static void fill_hello(void *arg, Godwit__Hello *h)
{
    struct loop *l = arg;
    const struct loop_setup *s = l->setup;
    if (s->sign_key)
        h->sign_key = (ProtobufCBinaryData){.len = 32, .data = (uint8_t *)(uintptr_t)s->sign_key};
    if (s->lane_pin)
        h->lane_pin = (ProtobufCBinaryData){.len = 32, .data = (uint8_t *)(uintptr_t)s->lane_pin};
    h->lane_port = s->lane_port;
    h->lane_address = (char *)(uintptr_t)(s->lane_address ? s->lane_address : "");
    h->facts = facts_wire(l->facts);
    h->epoch_seen = oplog_epoch(l->log);
    h->n_running = dispatch_running(l->dispatch, &h->running);
    h->n_finished = dispatch_finished(l->dispatch, &h->finished);
}

static uint32_t count_running(void *arg)
{
    struct loop *l = arg;
    return (uint32_t)workers_count(l->workers);
}

static void on_online(void *arg)
{
    struct loop *l = arg;
    dispatch_set_host(l->dispatch, session_host(l->session));
    dispatch_online(l->dispatch);
}

static void on_revoked(void *arg)
{
    struct loop *l = arg;
    log_warning("revoked: %zu steps are cancelled", workers_count(l->workers));
    dispatch_revoked(l->dispatch);
}

static void on_message(void *arg, const Godwit__Envelope *e)
{
    struct loop *l = arg;
    if (l->stop_ms && e->body_case == GODWIT__ENVELOPE__BODY_ORDER)
        return;                             /* it comes again when we are back */
    (void)dispatch_message(l->dispatch, e); /* has said and logged what went wrong */
}

static void on_changed(void *arg)
{
    struct loop *l = arg;
    l->since_ms = clock_wall_ms();
    l->status_stale = true;
    (void)sd_notifyf(0, "STATUS=%s: %s", session_state_name(session_state(l->session)),
                     session_reason(l->session));
}

static int send_out(void *arg, const Godwit__Envelope *e)
{
    struct loop *l = arg;
    return session_say(l->session, e);
}

static int on_ends(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void)loop;
    (void)item;
    struct loop *l = arg;
    dispatch_reap(l->dispatch);
    return 0;
}

static int on_stop(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct loop *l = arg;
    zloop_poller_end(loop, item);
    log_info("asked to stop; %zu steps to cancel", workers_count(l->workers));
    (void)sd_notify(0, "STOPPING=1\nSTATUS=stopping");
    l->stop_ms = clock_mono_ms() + STOP_WITHIN_MS;
    dispatch_leave(l->dispatch);
    return 0;
}

static int on_addresses(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct loop *l = arg;
    (void)loop;
    if (addresses_lost(item->fd))
        session_redial(l->session);
    return 0;
}

static void write_status(struct loop *l, int64_t now)
{
    size_t steps = workers_count(l->workers);
    bool busy = steps || steps != l->status_steps;
    if ((!l->status_stale && !busy) || now - l->status_ms < STATUS_EVERY_MS)
        return;
    char **finished = NULL;
    struct status s = {.state = session_state_name(session_state(l->session)),
                       .reason = session_reason(l->session),
                       .endpoint = session_endpoint(l->session),
                       .since_ms = l->since_ms,
                       .workers = l->workers,
                       .unacknowledged = dispatch_finished(l->dispatch, &finished)};
    int rc = status_write(l->setup->state_dir, &s);
    if (rc < 0)
        log_debug("cannot write the status file: %s", strerror(-rc));
    l->status_stale = false;
    l->status_steps = steps;
    l->status_ms = now;
}

static int on_tick(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct loop *l = arg;
    int64_t now = clock_mono_ms();
    session_tick(l->session, now);
    dispatch_tick(l->dispatch, now, session_state(l->session) == SESSION_LIVE);
    write_status(l, now);
    if (l->setup->heard && session_state(l->session) == SESSION_LIVE)
        l->setup->heard(workers_count(l->workers) > 0);
    if (l->watchdog_ms && now - l->watched_ms >= l->watchdog_ms) {
        l->watched_ms = now;
        (void)sd_notify(0, "WATCHDOG=1");
    }
    bool leave = l->stop_ms && (workers_count(l->workers) == 0 || now >= l->stop_ms);
    return leave ? -1 : 0;
}

static int make_parts(struct loop *l)
{
    const struct loop_setup *s = l->setup;
    CLEANUP(mem_free) char *path = xasprintf("%s/oplog.db", s->state_dir);
    int rc = oplog_open(path, &l->log);
    if (rc < 0) {
        log_error("cannot use '%s': %s", path, strerror(-rc));
        return rc;
    }
    rc = workers_new(s->env, s->workers, IN_LINE, &l->workers);
    if (rc < 0)
        return rc;
    struct dispatch_setup ds = {
        .log = l->log, .workers = l->workers, .tables = s->tables, .send = send_out, .arg = l};
    rc = dispatch_new(&ds, &l->dispatch);
    if (rc < 0)
        return rc;
    struct session_setup ss = {.loop = l->zloop,
                               .state_dir = s->state_dir,
                               .arg = l,
                               .fill_hello = fill_hello,
                               .running = count_running,
                               .online = on_online,
                               .revoked = on_revoked,
                               .message = on_message,
                               .changed = on_changed};
    l->facts = facts_new();
    return session_new(&ss, &l->session);
}

static void run_loop(struct loop *l)
{
    zmq_pollitem_t ends = {.fd = workers_fd(l->workers), .events = ZMQ_POLLIN};
    zmq_pollitem_t stop = {.fd = l->setup->stop_fd, .events = ZMQ_POLLIN};
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        l->watchdog_ms = (int64_t)(watchdog_us / 3000);
    (void)zloop_poller(l->zloop, &ends, on_ends, l);
    (void)zloop_poller(l->zloop, &stop, on_stop, l);
    zmq_pollitem_t lost = {.fd = l->addresses_fd, .events = ZMQ_POLLIN};
    if (l->addresses_fd >= 0)
        (void)zloop_poller(l->zloop, &lost, on_addresses, l);
    (void)zloop_timer(l->zloop, TICK_MS, 0, on_tick, l);
    (void)sd_notify(0, "READY=1");
    on_changed(l);
    (void)on_tick(l->zloop, 0, l);
    (void)zloop_start(l->zloop);
}

static void free_parts(struct loop *l)
{
    if (l->session)
        session_goodbye(l->session, "stopping");
    l->session = session_free(l->session);
    l->dispatch = dispatch_free(l->dispatch);
    if (workers_free(l->workers) < 0) {
        log_warning("%zu steps do not stop", workers_count(l->workers));
        l->rc = -ETIME; /* they use what is left here */
        return;
    }
    l->log = oplog_close(l->log);
    l->facts = facts_free(l->facts);
    zloop_destroy(&l->zloop);
}

int loop_run(const struct loop_setup *setup)
{
    struct loop l = {.setup = setup, .since_ms = clock_wall_ms()};
    CLEANUP(fd_close) int addresses = addresses_watch();
    l.addresses_fd = addresses;
    l.zloop = zloop_new();
    zloop_set_nonstop(l.zloop, true); /* signals come through stop_fd */
    l.rc = make_parts(&l);
    if (l.rc == 0)
        run_loop(&l);
    free_parts(&l);
    return l.rc;
}
