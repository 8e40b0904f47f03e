/* probe: the step "host.probe": what a host is, what a pair's place on it can hold, and from the
 * source the way to the destination: can its lanes be reached, how far apart are the clocks, how
 * fast is a short burst. Changes nothing. Worker thread. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "agent/files/survey.h"
#include "agent/host/host.h"
#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_server.h"
#include "agent/lane/ticket.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/store/pairname.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "proto/host.pb-c.h"

#define REC_PROBE 31  /* source: 1 byte PING or END, or content of the burst */
#define REC_PROBED 55 /* destination: u64 its wall clock in ms, u64 content bytes so far */
#define PING 1
#define END 2

#define BURST_MS 700
#define BURST_BYTES (1ULL << 30) /* at most, however fast the way is */
#define BLOCK_BYTES (256U << 10)
#define PINGS 3
#define ANSWER_MS 5000
#define WAIT_MS 20000 /* for the source to come, and for each of its records */
#define ENDPOINTS_MAX 16

/* ── the destination: one lane, answered by the step's thread ── */

struct guest {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lane *lane; /* handed over, ours from then on */
    bool came;
};

static int answer(struct lane *l, uint64_t bytes)
{
    struct buf b;
    buf_init(&b, 64);
    buf_put_u64(&b, (uint64_t)clock_wall_ms());
    buf_put_u64(&b, bytes);
    int rc = lane_send_copy(l, REC_PROBED, 0, b.data, b.len);
    buf_done(&b);
    return rc;
}

static void serve(struct lane *l)
{
    struct lane_record r;
    uint64_t bytes = 0;
    int64_t until = clock_mono_ms() + WAIT_MS;
    const struct lane_welcome w = {.credit = BLOCK_BYTES};
    int rc = lane_welcome_send(l, &w);
    while (rc == 0 && clock_mono_ms() < until && lane_receive(l, WAIT_MS, &r) == 1) {
        if (r.type != REC_PROBE || r.len == 0)
            return;
        if (r.len > 1) {
            bytes += r.len;
            continue;
        }
        rc = answer(l, bytes);
        if (r.data[0] == END)
            return;
    }
}

/* Only the first lane is taken. */
static void on_enter(void *arg, struct lane *l, const struct lane_entry *entry)
{
    struct guest *g = arg;
    (void)entry;
    (void)pthread_mutex_lock(&g->lock);
    bool first = !g->came;
    if (first)
        g->lane = l;
    g->came = true;
    (void)pthread_cond_broadcast(&g->changed);
    (void)pthread_mutex_unlock(&g->lock);
    if (first)
        return;
    lane_close(l);
    (void)lane_free(l);
}

static bool ticket_read(const Godwit__ProbeOrder *o, struct ticket *t)
{
    if (!o->ticket_id || !*o->ticket_id || strlen(o->ticket_id) > TICKET_ID_MAX ||
        o->ticket_secret.len != LANE_SECRET_BYTES || o->peer_pin.len != LANE_PIN_BYTES ||
        !pair_valid(o->pair))
        return false;
    t->not_after_ms = o->not_after_ms;
    (void)snprintf(t->id, sizeof t->id, "%s", o->ticket_id);
    (void)snprintf(t->pair, sizeof t->pair, "%s", o->pair);
    memcpy(t->secret, o->ticket_secret.data, sizeof t->secret);
    memcpy(t->peer_pin, o->peer_pin.data, sizeof t->peer_pin);
    return true;
}

/* Until the source is here, or will not come any more. */
static void wait_for_guest(struct step *s, struct guest *g)
{
    int64_t until = clock_mono_ms() + WAIT_MS;
    (void)pthread_mutex_lock(&g->lock);
    while (!g->came && !step_cancelled(s) && clock_mono_ms() < until)
        clock_cond_wait(&g->changed, &g->lock, 100);
    (void)pthread_mutex_unlock(&g->lock);
}

static void receive(struct step *s, const Godwit__ProbeOrder *o, Godwit__ProbeResult *r)
{
    struct guest g = {.came = false};
    struct ticket t = {.enter = on_enter, .arg = &g};
    if (!ticket_read(o, &t) || !step_env(s)->lanes)
        return;
    (void)pthread_mutex_init(&g.lock, NULL);
    clock_cond_init(&g.changed);
    struct ticket_book *book = lane_server_book(step_env(s)->lanes);
    if (ticket_add(book, &t) == 0) {
        wait_for_guest(s, &g);
        ticket_remove(book, t.id); /* from now on nobody else comes */
    }
    if (g.lane) {
        lane_set_cancel(g.lane, step_cancel_fd(s));
        serve(g.lane);
        lane_close(g.lane);
        (void)lane_free(g.lane);
    }
    r->reached = g.came;
    (void)pthread_cond_destroy(&g.changed);
    (void)pthread_mutex_destroy(&g.lock);
    explicit_bzero(t.secret, sizeof t.secret);
}

/* ── the source ── */

/* One ping: 0, and what the other side's clock showed. */
static int ask(struct lane *l, uint8_t what, int64_t *retwall, uint64_t *retbytes)
{
    struct lane_record r;
    int rc = lane_send_copy(l, REC_PROBE, 0, &what, 1);
    if (rc == 0)
        rc = lane_receive(l, WAIT_MS, &r);
    if (rc <= 0)
        return rc < 0 ? rc : -ETIMEDOUT;
    struct cursor c = cursor_of(r.data, r.len);
    *retwall = (int64_t)cursor_u64(&c);
    *retbytes = cursor_u64(&c);
    return r.type != REC_PROBED || c.bad ? -EPROTO : 0;
}

/* The quickest answer says most about the clock. */
static int compare_clocks(struct lane *l, Godwit__ProbeResult *r)
{
    int rc = 0;
    int64_t theirs = 0;
    uint64_t bytes = 0;
    for (int i = 0; rc == 0 && i < PINGS; i++) {
        int64_t at = clock_wall_ms(), began = clock_mono_us();
        rc = ask(l, PING, &theirs, &bytes);
        int64_t us = clock_mono_us() - began;
        if (rc < 0 || (i > 0 && (uint64_t)us >= r->rtt_us))
            continue;
        r->rtt_us = (uint64_t)us;
        r->skew_ms = theirs - at - us / 2000;
    }
    return rc;
}

static int burst(struct step *s, struct lane *l, Godwit__ProbeResult *r)
{
    CLEANUP(mem_free) uint8_t *block = xmalloc(LANE_HEADER_BYTES + BLOCK_BYTES);
    int64_t began = clock_mono_us(), theirs = 0;
    uint64_t sent = 0, got = 0;
    int rc = 0;
    memset(block, 0x5a, LANE_HEADER_BYTES + BLOCK_BYTES);
    while (rc == 0 && sent < BURST_BYTES && clock_mono_us() - began < BURST_MS * 1000 &&
           !step_cancelled(s)) {
        rc = lane_send(l, REC_PROBE, 0, block, BLOCK_BYTES);
        sent += BLOCK_BYTES;
    }
    if (rc == 0)
        rc = ask(l, END, &theirs, &got);
    if (rc == 0 && got != sent)
        rc = -EPROTO;
    if (rc == 0) {
        r->burst_bytes = got;
        r->burst_us = (uint64_t)(clock_mono_us() - began);
    }
    return rc;
}

static int enter(struct step *s, const Godwit__ProbeOrder *o, const struct ticket *t,
                 struct lane **ret)
{
    struct lane_hello h = {
        .entry = {.session = 1, .lane = 0}
    };
    struct lane_welcome w;
    struct fault why = {.err = 0};
    int rc = -EDESTADDRREQ;
    memcpy(h.id, t->id, sizeof h.id);
    memcpy(h.pair, t->pair, sizeof h.pair);
    memcpy(h.secret, t->secret, sizeof h.secret);
    for (size_t i = 0; i < o->n_peer_endpoints && i < ENDPOINTS_MAX && !*ret; i++)
        rc = lane_connect(ret, step_env(s)->identity, o->peer_endpoints[i], t->peer_pin,
                          step_cancel_fd(s));
    if (rc == 0)
        rc = lane_hello_send(*ret, &h);
    if (rc == 0)
        rc = lane_welcome_receive(*ret, ANSWER_MS, &w, &why);
    explicit_bzero(h.secret, sizeof h.secret);
    return rc;
}

/* The destination may be told a moment later than this host: it is tried again for that long. */
static int enter_soon(struct step *s, const Godwit__ProbeOrder *o, const struct ticket *t,
                      struct lane **ret)
{
    int64_t until = clock_mono_ms() + ANSWER_MS;
    for (;;) {
        int rc = enter(s, o, t, ret);
        if (rc != -EACCES || clock_mono_ms() > until || step_cancelled(s))
            return rc;
        *ret = lane_free(*ret);
        struct pollfd p = {.fd = step_cancel_fd(s), .events = POLLIN};
        (void)poll(&p, 1, 100);
    }
}

static void send(struct step *s, const Godwit__ProbeOrder *o, Godwit__ProbeResult *r, char **reterr)
{
    struct ticket t = {.not_after_ms = 0};
    struct lane *l = NULL;
    if (!ticket_read(o, &t) || !step_env(s)->identity)
        return;
    r->tried = true;
    int rc = enter_soon(s, o, &t, &l);
    r->reached = rc == 0;
    if (rc == 0) {
        lane_set_bucket(l, step_bucket(s));
        rc = compare_clocks(l, r);
    }
    r->clocks = rc == 0;
    if (rc == 0)
        rc = burst(s, l, r);
    if (l && rc == 0)
        lane_close(l);
    (void)lane_free(l);
    explicit_bzero(t.secret, sizeof t.secret);
    if (rc < 0)
        *reterr = xasprintf("%s: %s", o->n_peer_endpoints ? o->peer_endpoints[0] : "",
                            rc == -EACCES ? "refused: another key, or no ticket" : strerror(-rc));
}

/* ── both ── */

static void look(struct step *s, const Godwit__ProbeOrder *o, Godwit__ProbeResult *r,
                 Godwit__PlaceProbe *place, struct place *room)
{
    bool exists = false;
    CLEANUP(fd_close)
    int fd = place_open_nearest((const char *)o->path.data, o->path.len, &exists);
    if (fd < 0) {
        r->place_err = (uint32_t)-fd;
        return;
    }
    survey_place(s, fd, exists, place, room);
    r->place = place;
    r->readable = exists && faccessat(fd, ".", R_OK | X_OK, AT_EACCESS) == 0;
}

static void probe(struct step *s, const Godwit__ProbeOrder *o, struct step_result *ret)
{
    Godwit__ProbeResult r = GODWIT__PROBE_RESULT__INIT;
    Godwit__PlaceProbe place = GODWIT__PLACE_PROBE__INIT;
    struct place room = {.size = 0}; /* holds the text of place */
    CLEANUP(mem_free) char *err = NULL;
    CLEANUP(host_free) Godwit__HostInventory *host = host_look("");
    r.host = host;
    look(s, o, &r, &place, &room);
    if (o->ticket_id && *o->ticket_id) {
        if (o->n_peer_endpoints > 0)
            send(s, o, &r, &err);
        else
            receive(s, o, &r);
    }
    if (err)
        r.error = err;
    ret->body_len = godwit__probe_result__get_packed_size(&r);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__probe_result__pack(&r, ret->body);
    ret->status = step_cancelled(s) ? STEP_STOPPED : STEP_DONE;
}

void host_probe(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__ProbeOrder *o = godwit__probe_order__unpack(NULL, len, args);
    if (!o) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
        return;
    }
    probe(s, o, ret);
    godwit__probe_order__free_unpacked(o, NULL);
}
