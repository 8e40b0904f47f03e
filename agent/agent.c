/* agent: puts the daemon together: state directory, lanes, kinds of steps, signals. Main thread. */
#include "agent/agent.h"

#include <czmq.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/facts.h"
#include "agent/feed/feed.h"
#include "agent/files/snapshot.h"
#include "agent/identity/identity.h"
#include "agent/lane/lane_identity.h"
#include "agent/lane/lane_server.h"
#include "agent/loop.h"
#include "agent/share/share.h"
#include "agent/status.h"
#include "agent/step.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/proof/signature.h"

#define TABLES 7 /* with the one that the daemon brings, and NULL */

/* A workload adds its folder's table here. */
static const struct step_kind *const *tables_of(const struct agent_conf *conf)
{
    static const struct step_kind *tables[TABLES] = {files_steps, share_steps, account_steps,
                                                     identity_steps, access_steps};
    tables[TABLES - 2] = conf->more;
    return tables;
}

static void identity_free_p(struct lane_identity **id)
{
    if (*id)
        (void)lane_identity_free(*id);
}

static void server_stop_p(struct lane_server **s)
{
    if (*s)
        (void)lane_server_stop(*s);
}

static void feed_free_p(struct feed **f)
{
    (void)feed_free(*f);
}

static int signal_fd(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL); /* every thread inherits it */
    (void)signal(SIGPIPE, SIG_IGN);
    zsys_handler_set(NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* With port 0 the one of last time is taken again if it is free: orders that are under way name it.
 */
static int start_lanes(const struct agent_conf *conf, const struct lane_identity *id,
                       struct lane_server **ret)
{
    const char *listen = conf->lane_listen && *conf->lane_listen ? conf->lane_listen : NULL;
    CLEANUP(mem_free) char *path = xasprintf("%s/lane.port", conf->state_dir);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = -ENOENT;
    if (conf->lane_port == 0 && file_read(path, 16, &text, &len) == 0) {
        unsigned long before = strtoul(text, NULL, 10);
        if (before > 0 && before <= UINT16_MAX)
            rc = lane_server_start(ret, id, listen, (uint16_t)before);
    }
    if (rc < 0)
        rc = lane_server_start(ret, id, listen, (uint16_t)conf->lane_port);
    if (rc < 0) {
        log_error("cannot accept lanes on %s port %u: %s", listen ? listen : "every address",
                  (unsigned)conf->lane_port, strerror(-rc));
        return rc;
    }
    char now[16];
    int n = snprintf(now, sizeof now, "%u\n", (unsigned)lane_server_port(*ret));
    (void)file_write(path, 0600, now, (size_t)n); /* only a comfort */
    return 0;
}

static int run_with_lanes(const struct agent_conf *conf, int stop_fd)
{
    CLEANUP(mem_free) char *key = xasprintf("%s/lane.key", conf->state_dir);
    __attribute__((cleanup(identity_free_p))) struct lane_identity *id = NULL;
    int rc = lane_identity_load_or_new(key, &id);
    if (rc < 0) {
        log_error("cannot use the lane key '%s': %s", key, strerror(-rc));
        return rc;
    }
    CLEANUP(mem_free) char *sign_path = xasprintf("%s/sign.key", conf->state_dir);
    CLEANUP(sign_key_free) struct sign_key *signer = NULL;
    rc = sign_key_load_or_new(sign_path, &signer);
    if (rc < 0) {
        log_error("cannot use the key for manifests '%s': %s", sign_path, strerror(-rc));
        return rc;
    }
    __attribute__((cleanup(server_stop_p))) struct lane_server *lanes = NULL;
    rc = start_lanes(conf, id, &lanes);
    if (rc < 0)
        return rc;
    __attribute__((cleanup(feed_free_p))) struct feed *feed = NULL;
    if (!conf->no_feed && feed_new(&feed, conf->state_dir) < 0)
        log_warning("no change feed: every pass is a full scan");
    struct agent_env env = {.state_dir = conf->state_dir,
                            .lanes = lanes,
                            .identity = id,
                            .signer = signer,
                            .feed = feed,
                            .hooks = conf->hooks,
                            .privileged = facts_privileged()};
    if (conf->io_priority && priority_parse(conf->io_priority, &env.priority) < 0)
        return -EINVAL;
    snapshot_recover(&env);
    share_recover(&env);
    identity_watch(&env);
    struct loop_setup setup = {.state_dir = conf->state_dir,
                               .workers = conf->workers,
                               .env = &env,
                               .tables = tables_of(conf),
                               .lane_pin = lane_identity_pin(id),
                               .sign_key = sign_key_public(signer),
                               .lane_port = lane_server_port(lanes),
                               .lane_address = conf->lane_address,
                               .heard = identity_heard,
                               .stop_fd = stop_fd};
    rc = loop_run(&setup);
    if (rc == -ETIME)
        _exit(0); /* as asked; the kernel cleans up below threads that still run */
    return rc;
}

int agent_run(const struct agent_conf *conf)
{
    CLEANUP(fd_close) int stop_fd = signal_fd();
    CLEANUP(fd_close) int lock_fd = -1;
    if (stop_fd < 0)
        return 1;
    file_raise_limit();
    int rc = file_mkdirs(conf->state_dir, 0700);
    if (rc == 0)
        rc = status_lock(conf->state_dir, &lock_fd);
    if (rc < 0) {
        log_error(rc == -EBUSY ? "another agent uses '%s' (%s)" : "cannot use '%s': %s",
                  conf->state_dir, strerror(-rc));
        return rc == -EBUSY ? 5 : rc == -EACCES ? 4 : 1;
    }
    log_info("godwit-agent " GODWIT_VERSION " starts in '%s'", conf->state_dir);
    rc = run_with_lanes(conf, stop_fd);
    log_info("stopped");
    return rc < 0 ? 1 : 0;
}
