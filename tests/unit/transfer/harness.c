/* harness: doubles of what the agent gives a step, and the two keys and the ticket that the
 * orchestrator would hand out. */
#include "tests/unit/transfer/harness.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/lane/lane_identity.h"
#include "agent/lane/lane_server.h"
#include "agent/transfer/receiver.h"
#include "agent/transfer/sender.h"
#include "common/base/bucket.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

struct step {
    struct agent_env env;
    const char *name;
    bool verbose;
    struct bucket bucket;
    const void *args;
    size_t args_len;
};

atomic_uint harness_latency_us, harness_least_pace = 100;
static atomic_bool cancelled;
static int cancel_fd = -1;
static pthread_once_t cancel_once = PTHREAD_ONCE_INIT;

/* The agent ignores it; programs that a test starts are not to. */
static void on_pipe(int sig)
{
    (void)sig;
}

static void cancel_make(void)
{
    (void)signal(SIGPIPE, on_pipe);
    cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void harness_cancel(void)
{
    atomic_store(&cancelled, true);
    (void)eventfd_write(cancel_fd, 1);
}

/* For the next steps of this process. */
static void cancel_over(void)
{
    eventfd_t drained;
    atomic_store(&cancelled, false);
    (void)eventfd_read(cancel_fd, &drained);
}

const struct agent_env *step_env(const struct step *s)
{
    return &s->env;
}
const char *step_op_id(const struct step *s)
{
    (void)s;
    return "0123456789abcdef";
}
const char *step_job(const struct step *s)
{
    (void)s;
    return "harness";
}
const void *step_args(const struct step *s, size_t *retlen)
{
    *retlen = s->args_len;
    return s->args;
}
bool step_cancelled(const struct step *s)
{
    (void)s;
    return atomic_load(&cancelled);
}
int step_cancel_fd(const struct step *s)
{
    (void)s;
    return cancel_fd;
}
void step_progress(struct step *s, const struct counters *c, unsigned percent, const char *doing)
{
    if (s->verbose)
        (void)fprintf(stderr,
                      "%s %u%% %s: files %" PRIu64 " bytes %" PRIu64 " sent %" PRIu64
                      " again %" PRIu64 " failed %" PRIu64 " lanes %u\n",
                      s->name, percent, doing, c->files, c->bytes, c->sent_bytes, c->again_bytes,
                      c->failed, c->lanes);
}
struct bucket *step_bucket(struct step *s)
{
    return &s->bucket;
}
void step_source_latency(struct step *s, uint32_t us, unsigned pace)
{
    (void)s;
    atomic_store(&harness_latency_us, us);
    if (pace < atomic_load(&harness_least_pace))
        atomic_store(&harness_least_pace, pace);
}
void step_result_done(struct step_result *r)
{
    for (size_t i = 0; i < r->ngroups; i++)
        for (size_t k = 0; k < r->groups[i].nexamples; k++)
            free(r->groups[i].examples[k]);
    free(r->body);
}

/* ── one side ── */

struct side {
    const struct harness *h;
    struct step step;
    struct transfer_spec spec;
    struct lane_identity *id, *peer;
    struct lane_server *server;
    char *state, *endpoint;
    char *endpoints[1];
    uint8_t secret[LANE_SECRET_BYTES];
};

static struct lane_identity *identity(const struct harness *h, const char *name)
{
    struct lane_identity *id = NULL;
    char *path = xasprintf("%s/%s.key", h->state, name);
    if (lane_identity_load_or_new(path, &id) < 0)
        abort();
    free(path);
    return id;
}

static void side_open(struct side *s, const struct harness *h, const char *mine, const char *other,
                      const char *path)
{
    (void)pthread_once(&cancel_once, cancel_make);
    s->h = h;
    s->id = identity(h, mine);
    s->peer = identity(h, other);
    s->state = xasprintf("%s/%s", h->state, mine);
    (void)file_mkdirs(s->state, 0700);
    memset(s->secret, 0x42, sizeof s->secret);
    s->step.name = mine;
    s->step.verbose = h->verbose;
    bucket_init(&s->step.bucket, h->rate ? h->rate : BUCKET_UNLIMITED);
    s->step.env = (struct agent_env){.state_dir = s->state,
                                     .feed = h->feed,
                                     .identity = s->id,
                                     .privileged = geteuid() == 0 && !h->unprivileged};
    s->spec = (struct transfer_spec){.path = path,
                                     .path_len = strlen(path),
                                     .ticket_id = "0123456789abcdef",
                                     .secret = s->secret,
                                     .not_after_ms = clock_wall_ms() + 3600000,
                                     .peer_pin = lane_identity_pin(s->peer),
                                     .pair = "0123456789abcdef.1",
                                     .options = h->options};
}

static void side_close(struct side *s)
{
    (void)lane_server_stop(s->server);
    (void)lane_identity_free(s->id);
    (void)lane_identity_free(s->peer);
    free(s->state);
    free(s->endpoint);
}

static void server_open(struct side *s, uint16_t port)
{
    int rc = -1;
    for (int i = 0; i < 100 && rc < 0; i++) { /* a killed one may hold the port for a moment */
        rc = lane_server_start(&s->server, s->id, "127.0.0.1", port);
        if (rc < 0)
            (void)poll(NULL, 0, 20);
    }
    if (rc < 0)
        abort();
    s->step.env.lanes = s->server;
}

static void point_at(struct side *s, uint16_t port)
{
    s->endpoint = xasprintf("127.0.0.1:%u", (unsigned)port);
    s->endpoints[0] = s->endpoint;
    s->spec.endpoints = s->endpoints;
    s->spec.nendpoints = 1;
}

void harness_send(const struct harness *h, struct step_result *ret)
{
    struct side s = {0};
    side_open(&s, h, "source", "destination", h->source);
    point_at(&s, h->port);
    sender_run(&s.step, &s.spec, ret);
    side_close(&s);
}

void harness_step(const struct harness *h, const struct harness_call *call, struct step_result *ret)
{
    struct side s = {0};
    side_open(&s, h, call->at_source ? "source" : "destination",
              call->at_source ? "destination" : "source", h->destination);
    s.step.env.signer = call->signer;
    s.step.args = call->args;
    s.step.args_len = call->args_len;
    *ret = (struct step_result){0};
    call->run(&s.step, ret);
    side_close(&s);
}

void harness_receive(const struct harness *h, struct step_result *ret)
{
    struct side s = {0};
    side_open(&s, h, "destination", "source", h->destination);
    server_open(&s, h->port);
    receiver_run(&s.step, &s.spec, ret);
    cancel_over();
    side_close(&s);
}

struct receive_call {
    struct side *side;
    struct step_result *ret;
};

static void *receive_run(void *arg)
{
    struct receive_call *c = arg;
    receiver_run(&c->side->step, &c->side->spec, c->ret);
    if (c->ret->status == STEP_FAILED)
        harness_cancel();
    return NULL;
}

void harness_run(const struct harness *h, struct step_result *retsend,
                 struct step_result *retreceive)
{
    struct side from = {0}, to = {0};
    struct receive_call call = {&to, retreceive};
    pthread_t thread;
    side_open(&to, h, "destination", "source", h->destination);
    side_open(&from, h, "source", "destination", h->source);
    server_open(&to, h->port);
    point_at(&from, lane_server_port(to.server));
    from.spec.source = h->own_source;
    static atomic_uint orders; /* each run has a ticket of its own, as each order has */
    char ticket[24];
    (void)snprintf(ticket, sizeof ticket, "%016x", atomic_fetch_add(&orders, 1) + 1);
    from.spec.ticket_id = to.spec.ticket_id = ticket;
    *retsend = *retreceive = (struct step_result){0};
    if (pthread_create(&thread, NULL, receive_run, &call) != 0)
        abort();
    sender_run(&from.step, &from.spec, retsend);
    if (retsend->status == STEP_FAILED)
        harness_cancel();
    (void)pthread_join(thread, NULL);
    cancel_over();
    side_close(&from);
    side_close(&to);
}
