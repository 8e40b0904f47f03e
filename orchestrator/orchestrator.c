/* orchestrator: joins the rooms in one loop: gates, authentication's end, signals, timers. Decides
 * nothing itself. Main thread. */
#include "orchestrator/orchestrator.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/proof/signature.h"
#include "common/wire/zap.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/serve/serve.h"
#include "orchestrator/store/store.h"
#include "orchestrator/store/vault.h"

#define TICK_MS 100
#define IO_THREADS 2

struct daemon {
    const struct orchestrator_conf *conf;
    zloop_t *loop;
    struct zap *zap;
    struct sign_key *signer;
    struct vault *vault;
    struct serve serve; /* store, fleet and engine are kept here */
    int signals;
    sigset_t old_mask;
    int exit_code;
};

static int on_signal(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct daemon *d = arg;
    struct signalfd_siginfo info;
    (void)loop;
    if (read(item->fd, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    log_info("%s: stopping; what runs on agents goes on", strsignal((int)info.ssi_signo));
    d->exit_code = 0;
    return -1;
}

/* Without an answer to its questions libzmq admits nobody (option 93): better to start afresh. */
static int on_zap_end(zloop_t *loop, zsock_t *sock, void *arg)
{
    struct daemon *d = arg;
    (void)loop;
    (void)sock;
    log_error("the authentication thread has ended");
    d->exit_code = 1;
    return -1;
}

static int on_tick(zloop_t *loop, int id, void *arg)
{
    struct daemon *d = arg;
    (void)loop;
    (void)id;
    engine_tick(d->serve.engine);
    return 0;
}

static int on_watchdog(zloop_t *loop, int id, void *arg)
{
    (void)loop;
    (void)id;
    (void)arg;
    (void)sd_notify(0, "WATCHDOG=1");
    return 0;
}

static void on_console(void *arg, const Godwit__ConsoleRequest *req, int64_t waited_ms,
                       struct fleet_answer *ret)
{
    struct daemon *d = arg;
    struct serve_reply reply;
    int64_t start = clock_mono_ms();
    d->serve.waited_ms = waited_ms;
    serve_request(&d->serve, req, &reply);
    ret->later = reply.later;
    if (reply.later)
        return;
    ret->code = (uint32_t)reply.code;
    (void)snprintf(ret->error, sizeof ret->error, "%s", reply.error);
    ret->json = reply.json ? json_dumps(reply.json, JSON_COMPACT) : NULL;
    if (!reply.json && reply.code == SERVE_DONE) {
        ret->code = SERVE_FAILED;
        (void)snprintf(ret->error, sizeof ret->error, "the orchestrator could not make its answer");
    }
    json_decref(reply.json);
    log_debug("console: %s: %u, %lld ms", req->command, ret->code,
              (long long)(clock_mono_ms() - start));
}

/* Before any thread starts: all of them have to leave these signals to the loop. */
static int take_signals(struct daemon *d)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &set, &d->old_mask) != 0)
        return -EINVAL;
    d->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return d->signals < 0 ? -errno : 0;
}

static int open_state(struct daemon *d, struct fault *reterr)
{
    int rc = file_mkdirs(d->conf->state_dir, 0700);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot make '%s'", d->conf->state_dir);
    CLEANUP(mem_free) char *path = xasprintf("%s/godwit.db", d->conf->state_dir);
    return store_open(&d->serve.store, path, reterr);
}

static int load_signer(struct daemon *d, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/sign.key", d->conf->state_dir);
    int rc = sign_key_load_or_new(path, &d->signer);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot use the key for manifests '%s'",
                         path);
    d->serve.sign_key = sign_key_public(d->signer);
    return 0;
}

static int open_rooms(struct daemon *d, struct fault *reterr)
{
    const struct engine_limits limits = {d->conf->max_pairs, d->conf->max_pairs_per_host,
                                         d->conf->max_pairs_per_job, d->conf->max_pairs_per_link};
    int rc = take_signals(d);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot take signals");
    rc = open_state(d, reterr);
    if (rc < 0)
        return rc;
    rc = zap_start(&d->zap);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot start authentication");
    d->loop = zloop_new();
    rc = fleet_new(&d->serve.fleet, d->conf, d->serve.store, d->zap, d->loop, reterr);
    if (rc < 0)
        return rc;
    rc = load_signer(d, reterr);
    if (rc < 0)
        return rc;
    rc = engine_new(&d->serve.engine, d->serve.store, d->serve.fleet, &limits, reterr);
    if (rc < 0)
        return rc;
    engine_set_signer(d->serve.engine, d->signer);
    rc = vault_open(&d->vault, d->conf->state_dir, reterr);
    engine_set_vault(d->serve.engine, d->vault);
    return rc;
}

static int join_loop(struct daemon *d)
{
    zmq_pollitem_t item = {.fd = d->signals, .events = ZMQ_POLLIN};
    uint64_t watchdog_us = 0;
    zloop_set_nonstop(d->loop, true); /* signals come by the descriptor, after which we drain */
    if (zloop_poller(d->loop, &item, on_signal, d) != 0 ||
        zloop_reader(d->loop, zap_watch(d->zap), on_zap_end, d) != 0 ||
        zloop_timer(d->loop, TICK_MS, 0, on_tick, d) < 0)
        return -EIO;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0 &&
        zloop_timer(d->loop, watchdog_us / 2000, 0, on_watchdog, d) < 0)
        return -EIO;
    fleet_set_console(d->serve.fleet, on_console, d);
    return 0;
}

static void run(struct daemon *d)
{
    log_info("orchestrator %s of realm %s, epoch %llu", GODWIT_VERSION, store_realm(d->serve.store),
             (unsigned long long)store_epoch(d->serve.store));
    (void)sd_notifyf(0, "READY=1\nSTATUS=epoch %llu",
                     (unsigned long long)store_epoch(d->serve.store));
    (void)zloop_start(d->loop);
    (void)sd_notify(0, "STOPPING=1");
    engine_drain(d->serve.engine);
    fleet_goodbye(d->serve.fleet, "the orchestrator stops");
}

static void close_rooms(struct daemon *d)
{
    (void)engine_free(d->serve.engine);
    (void)fleet_free(d->serve.fleet);
    (void)sign_key_free(d->signer);
    (void)vault_close(d->vault);
    zloop_destroy(&d->loop);
    (void)zap_stop(d->zap);
    (void)store_close(d->serve.store);
    if (d->signals >= 0) {
        (void)fd_close(d->signals);
        (void)pthread_sigmask(SIG_SETMASK, &d->old_mask, NULL);
    }
}

int orchestrator_run(const struct orchestrator_conf *conf)
{
    struct daemon d = {.conf = conf, .signals = -1, .exit_code = 1};
    struct fault f = {.err = 0};
    d.serve.started_mono_ms = clock_mono_ms();
    file_raise_limit(); /* strangers must not use up what agents need */
    zsys_set_io_threads(IO_THREADS);
    int rc = open_rooms(&d, &f);
    if (rc == 0)
        rc = join_loop(&d);
    if (rc == 0)
        run(&d);
    else
        log_error("cannot start: %s%s%s", f.text, *f.text ? ": " : "", strerror(-rc));
    close_rooms(&d);
    return d.exit_code;
}

int orchestrator_new_epoch(const struct orchestrator_conf *conf, uint64_t *ret,
                           struct fault *reterr)
{
    CLEANUP(store_close) struct store *s = NULL;
    CLEANUP(mem_free) char *path = xasprintf("%s/godwit.db", conf->state_dir);
    if (access(path, F_OK) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "there is no '%s'", path);
    int rc = store_open(&s, path, reterr);
    if (rc < 0)
        return rc;
    rc = store_lift_epoch(s, (uint64_t)(clock_wall_ms() / 1000));
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write '%s'", path);
    *ret = store_epoch(s);
    return 0;
}
