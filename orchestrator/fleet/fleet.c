/* fleet: reads the gates' sockets, proves who sends, and hands on. Main thread. */
#include "orchestrator/fleet/fleet.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/envelope.h"
#include "common/wire/limits.h"
#include "common/wire/packed.h"
#include "common/wire/zap.h"
#include "orchestrator/fleet/enrol_rate.h"
#include "orchestrator/fleet/fleet_priv.h"
#include "orchestrator/fleet/meter.h"

#define BATCH 64       /* messages of one socket before the others get their turn */
#define SWEEP_MS 100   /* strangers' connections are looked at this often */
#define AGENTS_EVERY 5 /* all else, each so many sweeps */
#define CONSOLE_PIECE (256U << 10)

void arrival_answer(const struct arrival *a, const Godwit__Envelope *e)
{
    int rc = gate_send(a->sock, a->route, a->route_len, e);
    if (rc < 0)
        log_debug("answer %s not sent: %s", wire_type_name(e->body_case), strerror(-rc));
}

void arrival_refuse(const struct arrival *a, Godwit__Refusal__Code code, const char *text)
{
    Godwit__Envelope e;
    Godwit__Refusal body;
    wire_refusal(&e, &body, code, text);
    arrival_answer(a, &e);
}

void arrival_refuse_unpacked(const struct arrival *a, int rc)
{
    switch (-rc) {
    case EPERM:
        arrival_refuse(a, GODWIT__REFUSAL__CODE__NOT_ALLOWED, "you may not send that type");
        break;
    case EPROTONOSUPPORT:
        arrival_refuse(a, GODWIT__REFUSAL__CODE__VERSION, "this protocol version is not served");
        break;
    default:
        arrival_refuse(a, GODWIT__REFUSAL__CODE__MALFORMED, "not a message within the limits");
        break;
    }
}

static void send_pieces(const struct arrival *a, const char *trace, const struct fleet_answer *ans)
{
    size_t len = ans->json ? strlen(ans->json) : 0, at = 0;
    do {
        size_t n = len - at < CONSOLE_PIECE ? len - at : CONSOLE_PIECE;
        Godwit__ConsoleReply body = GODWIT__CONSOLE_REPLY__INIT;
        Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
        body.code = ans->code;
        body.error = wire_text(ans->error);
        body.json.data = (uint8_t *)ans->json + at;
        body.json.len = n;
        at += n;
        body.more = at < len;
        e.trace_id = wire_text(trace);
        e.body_case = GODWIT__ENVELOPE__BODY_CONSOLE_REPLY;
        e.console_reply = &body;
        arrival_answer(a, &e);
    } while (at < len);
}

bool console_answer(struct fleet *f, const struct arrival *a, const Godwit__Envelope *request,
                    int64_t waited_ms, bool may_wait)
{
    struct fleet_answer ans = {.code = 1, .error = "the daemon is starting"};
    if (f->console) {
        ans.error[0] = '\0';
        f->console(f->console_arg, request->console_request, may_wait ? waited_ms : -1, &ans);
    }
    if (ans.later && may_wait)
        return false;
    send_pieces(a, request->trace_id, &ans);
    free(ans.json);
    return true;
}

/* The console's key was let in by name at the handshake; it is checked again like any other. */
static void console_arrival(struct fleet *f, const struct arrival *a)
{
    uint8_t key[32];
    CLEANUP(wire_free) Godwit__Envelope *e = NULL;
    if (curve_from_z85(a->user, key) < 0 ||
        memcmp(key, f->console_key.public_key, sizeof key) != 0) {
        arrival_refuse(a, GODWIT__REFUSAL__CODE__REVOKED, "this is not the console's key");
        return;
    }
    int rc = wire_unpack(a->data, a->len, WIRE_CONSOLE, &e);
    if (rc == 0)
        rc = packed_open(e->console_request);
    if (rc < 0) {
        arrival_refuse_unpacked(a, rc);
        return;
    }
    if (!console_answer(f, a, e, 0, held_room(f))) {
        held_keep(f, a, e);
        e = NULL;
    }
}

typedef void arrival_fn(struct fleet *f, const struct arrival *a);

static struct gate *gate_of(struct fleet *f, const zsock_t *sock, arrival_fn **retfn)
{
    for (size_t i = 0; i < ARRAY_SIZE(f->gates); i++) {
        struct gate *g = f->gates[i];
        if (!g)
            continue;
        *retfn = sock == g->agents  ? session_arrival
                 : sock == g->enrol ? enrol_arrival
                                    : console_arrival;
        if (sock == g->agents || sock == g->enrol || sock == g->console)
            return g;
    }
    return NULL;
}

/* A message of one connection: its route, then one frame. Anything else is not ours. */
static void take(struct fleet *f, zsock_t *sock, zmsg_t *msg)
{
    arrival_fn *fn = NULL;
    struct gate *g = gate_of(f, sock, &fn);
    zframe_t *route = zmsg_first(msg), *body = zmsg_next(msg);
    const char *user = body ? curve_user(body) : NULL;
    if (g && body && sock != g->console)
        meter_took(sock == g->enrol ? g->enrol_meter : g->agents_meter, zframe_meta(body, "__fd"));
    if (!g || !user || zmsg_size(msg) != 2) {
        f->dropped++;
        return;
    }
    const char *address = zframe_meta(body, "Peer-Address");
    struct arrival a = {.gate = g,
                        .sock = sock,
                        .route = zframe_data(route),
                        .route_len = zframe_size(route),
                        .user = user,
                        .address = address ? address : "",
                        .data = zframe_data(body),
                        .len = zframe_size(body)};
    fn(f, &a);
}

static int on_socket(zloop_t *loop, zsock_t *sock, void *arg)
{
    struct fleet *f = arg;
    (void)loop;
    for (int i = 0; i < BATCH; i++) {
        arrival_fn *fn = NULL;
        if (!gate_of(f, sock, &fn) || !(zsock_events(sock) & ZMQ_POLLIN))
            break; /* a command may have closed the gate */
        zmsg_t *msg = zmsg_recv(sock);
        if (!msg)
            break;
        take(f, sock, msg);
        zmsg_destroy(&msg);
    }
    held_look(f);
    return 0;
}

static int on_meter(zloop_t *loop, zsock_t *sock, void *arg)
{
    (void)loop;
    (void)sock;
    meter_read(arg);
    return 0;
}

static int watch_meter(struct fleet *f, struct meter *m)
{
    if (zloop_reader(f->loop, meter_events(m), on_meter, m) != 0)
        return -EIO;
    zloop_reader_set_tolerant(f->loop, meter_events(m));
    return 0;
}

int fleet_watch_gate(struct fleet *f, struct gate *g)
{
    zsock_t *socks[] = {g->agents, g->enrol, g->console};
    for (size_t i = 0; i < ARRAY_SIZE(socks); i++) {
        if (zloop_reader(f->loop, socks[i], on_socket, f) != 0)
            return -EIO;
        zloop_reader_set_tolerant(f->loop, socks[i]);
    }
    int rc = watch_meter(f, g->agents_meter);
    return rc == 0 ? watch_meter(f, g->enrol_meter) : rc;
}

void fleet_unwatch_gate(struct fleet *f, struct gate *g)
{
    zloop_reader_end(f->loop, g->agents);
    zloop_reader_end(f->loop, g->enrol);
    zloop_reader_end(f->loop, g->console);
    held_drop(f, g->console);
    zloop_reader_end(f->loop, meter_events(g->agents_meter));
    zloop_reader_end(f->loop, meter_events(g->enrol_meter));
}

/* Timers come before sockets: what was closed since is heard first. */
static unsigned sweep_meter(struct meter *m)
{
    meter_read(m);
    return meter_sweep(m);
}

static void sweep_meters(struct fleet *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(f->gates) && f->gates[i]; i++) {
        unsigned cut = sweep_meter(f->gates[i]->enrol_meter);
        if (f->sweeps % AGENTS_EVERY == 0)
            cut += sweep_meter(f->gates[i]->agents_meter);
        f->cut += cut;
        if (cut)
            log_warning("%u connections cut: they sent much and ended no message", cut);
    }
}

static int on_timer(zloop_t *loop, int id, void *arg)
{
    struct fleet *f = arg;
    (void)loop;
    (void)id;
    sweep_meters(f);
    held_look(f);
    if (f->sweeps++ % AGENTS_EVERY != 0)
        return 0;
    session_sweep(f);
    rotate_sweep(f);
    int rc = registry_flush(f->reg);
    if (rc < 0)
        log_error("cannot keep what hosts said of themselves: %s", strerror(-rc));
    int64_t now = clock_mono_ms();
    if (now - f->swept_ms > 3600000) {
        f->swept_ms = now;
        (void)tokens_expire(f->store, clock_wall_ms());
    }
    return 0;
}

/* How a console on this machine reaches us. Replaced whole: a console reads the old or the new. */
int fleet_write_console_json(struct fleet *f)
{
    char z85[CURVE_Z85_LEN + 1];
    CLEANUP(mem_free) char *path = xasprintf("%s/console.json", f->conf->state_dir);
    CLEANUP(mem_free) char *key = xasprintf("%s/keys/console.key", f->conf->state_dir);
    curve_z85(f->gates[0]->key.public_key, z85);
    json_t *doc = json_pack("{s:i,s:s,s:s,s:s}", "schema", 1, "endpoint",
                            f->gates[0]->console_endpoint, "server_key", z85, "key_file", key);
    char *text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
    int rc = text ? file_write(path, 0600, text, strlen(text)) : -EINVAL;
    free(text);
    json_decref(doc);
    return rc;
}

static void allow_known(struct fleet *f)
{
    struct agent_key **keys = NULL;
    size_t n = registry_keys(f->reg, &keys);
    zap_open_domain(f->zap, DOMAIN_ENROL);
    zap_allow(f->zap, DOMAIN_CONSOLE, f->console_key.public_key);
    for (size_t i = 0; i < n; i++) {
        if (keys[i]->agent->row.state == AGENT_APPROVED)
            zap_allow(f->zap, DOMAIN_AGENTS, keys[i]->row.key);
    }
}

static int start(struct fleet *f, struct fault *reterr)
{
    CLEANUP(mem_free) char *dir = xasprintf("%s/keys", f->conf->state_dir);
    CLEANUP(mem_free) char *console = xasprintf("%s/console.key", dir);
    int rc = file_mkdirs(dir, 0700);
    if (rc == 0)
        rc = file_mkdirs(f->conf->run_dir, 0750);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot make '%s' or '%s'", dir,
                         f->conf->run_dir);
    rc = curve_key_load_or_new(console, &f->console_key);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot use the key '%s'", console);
    rc = registry_new(&f->reg, f->store);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot read the hosts");
    allow_known(f);
    rc = rotate_open_gates(f, reterr);
    if (rc < 0)
        return rc;
    rc = fleet_write_console_json(f);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write 'console.json'");
    f->timer = zloop_timer(f->loop, SWEEP_MS, 0, on_timer, f);
    return 0;
}

int fleet_new(struct fleet **ret, const struct orchestrator_conf *conf, struct store *store,
              struct zap *zap, zloop_t *loop, struct fault *reterr)
{
    struct fleet *f = xcalloc(1, sizeof *f);
    f->conf = conf;
    f->store = store;
    f->zap = zap;
    f->loop = loop;
    f->timer = -1;
    f->swept_ms = clock_mono_ms();
    f->enrol_rate = enrol_rate_new();
    int rc = start(f, reterr);
    if (rc < 0) {
        (void)fleet_free(f);
        return rc;
    }
    *ret = f;
    return 0;
}

struct fleet *fleet_free(struct fleet *f)
{
    if (!f)
        return NULL;
    if (f->timer >= 0)
        (void)zloop_timer_end(f->loop, f->timer);
    if (f->reg) {
        session_note_seen(f, 0);
        (void)registry_flush(f->reg);
    }
    for (size_t i = 0; i < ARRAY_SIZE(f->gates); i++) {
        if (f->gates[i])
            fleet_unwatch_gate(f, f->gates[i]);
        (void)gate_close(f->gates[i]);
    }
    (void)registry_free(f->reg);
    (void)enrol_rate_free(f->enrol_rate);
    curve_key_wipe(&f->console_key);
    free(f);
    return NULL;
}

void fleet_set_events(struct fleet *f, const struct fleet_events *events)
{
    f->events = *events;
}

void fleet_set_console(struct fleet *f, fleet_console_fn *fn, void *arg)
{
    f->console = fn;
    f->console_arg = arg;
}

const struct fleet_host *fleet_find(struct fleet *f, const char *host)
{
    struct agent *a = registry_live(f->reg, host);
    if (!a || a->row.state != AGENT_APPROVED)
        return NULL;
    a->view = (struct fleet_host){.name = a->row.host,
                                  .agent_id = a->row.agent_id,
                                  .online = a->session.online,
                                  .lane_address = a->row.address,
                                  .lane_port = a->row.lane_port,
                                  .sign_key = a->has_sign_key ? a->sign_key : NULL,
                                  .lane_pin = a->row.has_lane_pin ? a->row.lane_pin : NULL,
                                  .seen_ms = a->row.seen_ms};
    return &a->view;
}

int fleet_send(struct fleet *f, const char *host, const Godwit__Envelope *e)
{
    struct agent *a = registry_live(f->reg, host);
    if (!a || a->row.state != AGENT_APPROVED)
        return -ENOTCONN;
    return session_send_order(f, a, e);
}
