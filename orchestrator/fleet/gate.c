/* gate: binds a server key's sockets. Main thread. */
#include "orchestrator/fleet/gate.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/envelope.h"
#include "common/wire/limits.h"
#include "orchestrator/fleet/meter.h"
#include "orchestrator/orchestrator.h"

/* Between two whole messages of one connection. The first also holds what waits while we are busy.
 */
#define AGENT_BUDGET ((size_t)16 * LIMIT_CONTROL_BYTES)
#define ENROL_BUDGET ((size_t)8 * LIMIT_ENROL_BYTES)
/* Whole messages of one connection that wait while we are busy; then it is not read from. libzmq's
 * own 1,000 would be a gigabyte. */
#define AGENT_WAITING 64
#define ENROL_WAITING 8

static char *key_path(const struct orchestrator_conf *conf, char slot)
{
    return xasprintf("%s/keys/server-%c.key", conf->state_dir, slot);
}

static int secure(struct gate *g, zsock_t **ret, const char *domain, struct fault *reterr)
{
    zsock_t *sock = zsock_new(ZMQ_ROUTER);
    if (!sock)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "cannot make a socket");
    *ret = sock;
    int rc = curve_secure_server(sock, &g->key, domain);
    return rc == 0 ? 0
                   : fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot secure the %s socket", domain);
}

static int measure(struct gate *g, struct fault *reterr)
{
    char agents[] = "agents-a", enrol[] = "enrol-a";
    agents[sizeof agents - 2] = enrol[sizeof enrol - 2] = g->slot;
    int rc = meter_new(&g->agents_meter, g->agents, agents, AGENT_BUDGET);
    if (rc == 0)
        rc = meter_new(&g->enrol_meter, g->enrol, enrol, ENROL_BUDGET);
    return rc == 0 ? 0 : fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot watch connections");
}

/* Returns the port as bound. */
static int bind_tcp(zsock_t *sock, const char *address, unsigned port, unsigned *ret,
                    struct fault *reterr)
{
    CLEANUP(mem_free)
    char *endpoint =
        port ? xasprintf("tcp://%s:%u", address, port) : xasprintf("tcp://%s:*", address);
    char bound[160];
    size_t len = sizeof bound;
    if (zmq_bind(zsock_resolve(sock), endpoint) != 0)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "cannot listen on '%s'", endpoint);
    if (zmq_getsockopt(zsock_resolve(sock), ZMQ_LAST_ENDPOINT, bound, &len) != 0)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "cannot tell the port of '%s'", endpoint);
    *ret = (unsigned)strtoul(strrchr(bound, ':') + 1, NULL, 10);
    return 0;
}

static int bind_console(struct gate *g, const char *run_dir, struct fault *reterr)
{
    int n = snprintf(g->console_endpoint, sizeof g->console_endpoint, "ipc://%s/console-%c.sock",
                     run_dir, g->slot);
    if (n < 0 || (size_t)n >= sizeof g->console_endpoint)
        return fault_set(reterr, FAULT_STOP_JOB, ENAMETOOLONG, "'%s' is too long a folder",
                         run_dir);
    (void)unlink(g->console_endpoint + strlen("ipc://")); /* of a daemon that was killed */
    if (zmq_bind(zsock_resolve(g->console), g->console_endpoint) != 0)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "cannot listen on '%s'",
                         g->console_endpoint);
    return 0;
}

static int open_all(struct gate *g, const struct orchestrator_conf *conf, struct fault *reterr)
{
    bool b = g->slot == 'b';
    CLEANUP(mem_free) char *path = key_path(conf, g->slot);
    int rc = curve_key_load_or_new(path, &g->key);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot use the key '%s'", path);
    rc = secure(g, &g->agents, DOMAIN_AGENTS, reterr);
    if (rc == 0)
        rc = secure(g, &g->enrol, DOMAIN_ENROL, reterr);
    if (rc == 0)
        rc = secure(g, &g->console, DOMAIN_CONSOLE, reterr);
    if (rc == 0)
        rc = measure(g, reterr);
    if (rc < 0)
        return rc;
    zsock_set_maxmsgsize(g->enrol, LIMIT_ENROL_BYTES + WIRE_CURVE_BYTES); /* strangers get little */
    zsock_set_rcvhwm(g->enrol, ENROL_WAITING);
    zsock_set_rcvhwm(g->agents, AGENT_WAITING);
    rc = bind_tcp(g->agents, conf->listen, b ? conf->agents_port_b : conf->agents_port,
                  &g->agents_port, reterr);
    if (rc == 0)
        rc = bind_tcp(g->enrol, conf->listen, b ? conf->enrol_port_b : conf->enrol_port,
                      &g->enrol_port, reterr);
    return rc == 0 ? bind_console(g, conf->run_dir, reterr) : rc;
}

int gate_open(struct gate **ret, const struct orchestrator_conf *conf, char slot,
              struct fault *reterr)
{
    struct gate *g = xcalloc(1, sizeof *g);
    g->slot = slot;
    g->created_ms = clock_wall_ms();
    int rc = open_all(g, conf, reterr);
    if (rc < 0) {
        (void)gate_close(g);
        return rc;
    }
    *ret = g;
    return 0;
}

struct gate *gate_close(struct gate *g)
{
    if (!g)
        return NULL;
    g->agents_meter = meter_free(g->agents_meter);
    g->enrol_meter = meter_free(g->enrol_meter);
    zsock_destroy(&g->agents);
    zsock_destroy(&g->enrol);
    zsock_destroy(&g->console);
    curve_key_wipe(&g->key);
    free(g);
    return NULL;
}

int gate_forget_key(const struct orchestrator_conf *conf, char slot)
{
    CLEANUP(mem_free) char *path = key_path(conf, slot);
    return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

static int send_errno(void)
{
    return errno == EHOSTUNREACH ? -ENOTCONN : -errno;
}

int gate_send(zsock_t *sock, const void *route, size_t route_len, const Godwit__Envelope *e)
{
    void *handle = zsock_resolve(sock);
    if (zmq_send(handle, route, route_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return send_errno();
    zframe_t *frame = wire_pack(e);
    int rc = zframe_send(&frame, sock, ZFRAME_DONTWAIT) == 0 ? 0 : send_errno();
    zframe_destroy(&frame);
    return rc;
}
