/* probe: the step "host.probe": what a host is, what a pair's place on it can hold, and from the
 * source the way to the destination: can its lanes be reached, how far apart are the clocks, how
 * fast is a short burst. Changes nothing. Worker thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/endpoint.h"
#include "agent/files/files.h"
#include "agent/files/survey.h"
#include "agent/host/host.h"
#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_single.h"
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

/* ── the destination: one lane, answered by the step's thread ── */

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

static int ticket_read(const Godwit__ProbeOrder *o, struct ticket *ret)
{
    const struct lane_single_order order = {.ticket_id = o->ticket_id,
                                            .pair = o->pair,
                                            .secret = o->ticket_secret.data,
                                            .secret_len = o->ticket_secret.len,
                                            .pin = o->peer_pin.data,
                                            .pin_len = o->peer_pin.len,
                                            .not_after_ms = o->not_after_ms};
    return pair_valid(o->pair) ? lane_single_ticket(&order, ret) : -EINVAL;
}

static void receive(struct step *s, const Godwit__ProbeOrder *o, Godwit__ProbeResult *r)
{
    struct ticket t = {.not_after_ms = 0};
    struct lane *l = NULL;
    if (ticket_read(o, &t) < 0)
        return;
    r->reached = lane_single_await(step_env(s)->lanes, &t, step_cancel_fd(s), WAIT_MS, &l) == 0;
    if (l) {
        serve(l);
        lane_close(l);
        (void)lane_free(l);
    }
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

static void send(struct step *s, const Godwit__ProbeOrder *o, Godwit__ProbeResult *r, char **reterr)
{
    struct ticket t = {.not_after_ms = 0};
    struct lane *l = NULL;
    const struct lane_single_way way = {.endpoints = o->peer_endpoints,
                                        .nendpoints = o->n_peer_endpoints,
                                        .cancel_fd = step_cancel_fd(s),
                                        .answer_ms = ANSWER_MS};
    if (ticket_read(o, &t) < 0 || !step_env(s)->identity)
        return;
    r->tried = true;
    int rc = lane_single_open(step_env(s)->identity, &t, &way, &l);
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

/* The way back, by the destination: whatever takes data home one day (a rollback, the next move)
 * opens lanes that way. */
static void look_back(struct step *s, const Godwit__ProbeOrder *o, Godwit__ProbeResult *r,
                      char **reterr)
{
    int rc = 0;
    for (size_t i = 0; i < o->n_back_endpoints && !r->back_reached; i++) {
        r->back_tried = true;
        rc = lane_reach(o->back_endpoints[i], step_cancel_fd(s));
        r->back_reached = rc == 0;
    }
    if (rc < 0)
        *reterr = xasprintf("%s: %s", o->back_endpoints[o->n_back_endpoints - 1], strerror(-rc));
}

/* ── an endpoint, by its proxy ── */

static void try_share(struct step *s, const Godwit__ProbeOrder *o, Godwit__ProbeResult *r,
                      char **reterr)
{
    struct endpoint_source from;
    struct fault why = {0};
    bool audit = false;
    int rc = endpoint_of_order(s, o->smb, &from, &why);
    if (rc == 0)
        rc = pull_try(&from.pull, &audit, &why);
    endpoint_source_done(&from);
    r->smb_tried = true;
    r->smb_audit = audit;
    if (rc < 0)
        *reterr = xstrdup(*why.text ? why.text : strerror(-rc));
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
    CLEANUP(mem_free) char *back_err = NULL;
    CLEANUP(mem_free) char *smb_err = NULL;
    CLEANUP(host_free) Godwit__HostInventory *host = host_look("");
    r.host = host;
    if (o->smb)
        try_share(s, o, &r, &smb_err);
    else
        look(s, o, &r, &place, &room);
    if (o->ticket_id && *o->ticket_id) {
        if (o->n_peer_endpoints > 0)
            send(s, o, &r, &err);
        else
            receive(s, o, &r);
    }
    look_back(s, o, &r, &back_err);
    if (err)
        r.error = err;
    if (back_err)
        r.back_error = back_err;
    if (smb_err)
        r.smb_error = smb_err;
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
