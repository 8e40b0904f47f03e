/* orders: orders, cancels and acknowledgements out; accepted, progress and results in. A result
 * is acknowledged once it is committed, never before. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/store/store.h"

static int send_to(struct engine *e, const char *host, const char *op_id, Godwit__Envelope *m)
{
    char op[17];
    (void)snprintf(op, sizeof op, "%s", op_id);
    m->op_id = op;
    m->epoch = store_epoch(e->store);
    return fleet_send(e->fleet, host, m);
}

int orders_send_raw(struct engine *e, const struct order *order)
{
    Godwit__Envelope m = GODWIT__ENVELOPE__INIT;
    Godwit__Order o = GODWIT__ORDER__INIT;
    /* protobuf-c's structs do not know const; it only reads. */
    memcpy(&o.kind, &order->kind, sizeof o.kind);
    memcpy(&o.job, &order->job, sizeof o.job);
    memcpy(&o.args.data, &order->args, sizeof o.args.data);
    o.args.len = order->args_len;
    o.rate = order->rate;
    Godwit__Credential credential = GODWIT__CREDENTIAL__INIT;
    if (order->opened) {
        credential.proof = order->opened->proof;
        credential.user = order->opened->user;
        credential.secret.data = order->opened->secret;
        credential.secret.len = order->opened->len;
        o.credential = &credential;
    }
    m.body_case = GODWIT__ENVELOPE__BODY_ORDER;
    m.order = &o;
    m.deadline_ms = clock_wall_ms() + ORDER_MS;
    return send_to(e, order->host, order->op_id, &m);
}

void orders_send(struct step *s)
{
    struct engine *e = s->pair->job->engine;
    if (e->draining || e->trouble[0] || !step_host(s)->online || s->result || s->unsaved)
        return;
    struct rate_message rate;
    struct order o = {.host = step_host(s)->name,
                      .op_id = s->op_id,
                      .kind = s->kind,
                      .job = s->pair->job->name,
                      .args = s->args,
                      .args_len = s->args_len,
                      .rate = governor_order(s, &rate)};
    struct opened opened;
    o.opened = endpoint_open(e, s, &opened) ? &opened : NULL;
    int rc = orders_send_raw(e, &o);
    endpoint_forget(&opened);
    if (rc == 0 && s->state == STEP_INTENDED)
        s->state = STEP_SENT;
    if (rc < 0)
        s->state = STEP_INTENDED; /* orders_tick() or the next hello sends it */
}

int orders_send_rate(struct step *s, Godwit__Rate *rate)
{
    Godwit__Envelope m = GODWIT__ENVELOPE__INIT;
    m.body_case = GODWIT__ENVELOPE__BODY_RATE;
    m.rate = rate;
    return send_to(s->pair->job->engine, step_host(s)->name, s->op_id, &m);
}

static void cancel_op(struct engine *e, const char *host, const char *op_id,
                      Godwit__Cancel__Why why)
{
    Godwit__Envelope m = GODWIT__ENVELOPE__INIT;
    Godwit__Cancel c = GODWIT__CANCEL__INIT;
    c.why = why;
    m.body_case = GODWIT__ENVELOPE__BODY_CANCEL;
    m.cancel = &c;
    (void)send_to(e, host, op_id, &m); /* lost: the next hello lists the step, see on_online() */
}

void orders_cancel(struct step *s, Godwit__Cancel__Why why)
{
    if (!s->cancelled)
        s->cancelled_ms = clock_mono_ms();
    s->cancelled = true;
    if (step_host(s)->online)
        cancel_op(s->pair->job->engine, step_host(s)->name, s->op_id, why);
}

static void acknowledge(struct engine *e, const char *host, const char *op_id)
{
    Godwit__Envelope m = GODWIT__ENVELOPE__INIT;
    Godwit__ResultAck a = GODWIT__RESULT_ACK__INIT;
    m.body_case = GODWIT__ENVELOPE__BODY_RESULT_ACK;
    m.result_ack = &a;
    (void)send_to(e, host, op_id, &m);
}

static Godwit__Result *copy_result(const Godwit__Result *r)
{
    size_t n = godwit__result__get_packed_size(r);
    uint8_t *packed = xmalloc(n);
    (void)godwit__result__pack(r, packed);
    Godwit__Result *copy = godwit__result__unpack(NULL, n, packed);
    free(packed);
    return copy;
}

/* s may be gone when this returns. */
static void take_result(struct engine *e, struct step *s, const char *host, const Godwit__Result *r)
{
    Godwit__Result *copy = copy_result(r);
    char op[17];
    (void)snprintf(op, sizeof op, "%s", s->op_id);
    if (!copy)
        return;
    stage_result(s, copy);
    /* Still open: it could not be written, so the agent must not forget it. */
    if (!zhash_lookup(e->steps, op))
        acknowledge(e, host, op);
}

static void take_refusal(struct step *s, const Godwit__Refusal *m)
{
    Godwit__Refusal__Code code = m->code;
    if (code == GODWIT__REFUSAL__CODE__RATE || code == GODWIT__REFUSAL__CODE__UNKNOWN_SESSION) {
        s->state = STEP_INTENDED;
        return;
    }
    bool again = code == GODWIT__REFUSAL__CODE__EXPIRED || code == GODWIT__REFUSAL__CODE__PENDING;
    Godwit__FaultInfo fault = GODWIT__FAULT_INFO__INIT;
    Godwit__Result r = GODWIT__RESULT__INIT;
    char text[FAULT_TEXT_MAX];
    (void)snprintf(text, sizeof text, "host %s refused the order: %.120s%s", step_host(s)->name,
                   m->text,
                   code == GODWIT__REFUSAL__CODE__EXPIRED ? " (do the clocks agree?)" : "");
    fault.what_next = again ? FAULT_RETRY : FAULT_STOP_JOB;
    fault.err = again ? ETIME : EPROTO;
    fault.text = text;
    r.status = GODWIT__RESULT__STATUS__FAILED;
    r.fault = &fault;
    Godwit__Result *copy = copy_result(&r);
    if (copy)
        stage_result(s, copy);
}

static void on_message(void *arg, const char *host, const Godwit__Envelope *m)
{
    struct engine *e = arg;
    struct step *s = m->op_id && *m->op_id ? zhash_lookup(e->steps, m->op_id) : NULL;
    if (s && strcmp(step_host(s)->name, host) != 0) {
        struct log_about about = {.host = host, .op = m->op_id};
        log_line(LOG_WARNING, &about, "speaks for a step of host %s: ignored", step_host(s)->name);
        return;
    }
    if (!s) {
        /* What is settled here may be forgotten there. */
        if (m->body_case == GODWIT__ENVELOPE__BODY_RESULT)
            acknowledge(e, host, m->op_id);
        chore_message(e, host, m);
        return;
    }
    if (m->body_case == GODWIT__ENVELOPE__BODY_ACCEPTED)
        s->state = STEP_ACCEPTED;
    else if (m->body_case == GODWIT__ENVELOPE__BODY_PROGRESS)
        motion_take(s, m->progress);
    else if (m->body_case == GODWIT__ENVELOPE__BODY_RESULT)
        take_result(e, s, host, m->result);
    else if (m->body_case == GODWIT__ENVELOPE__BODY_REFUSAL)
        take_refusal(s, m->refusal);
}

static bool listed(char *const *ops, size_t n, const char *op_id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(ops[i], op_id) == 0)
            return true;
    return false;
}

/* One step whose result is not here, seen against what the agent says that it has. */
static void meet_again(struct step *s, const Godwit__Hello *hello)
{
    const struct step *other = step_sibling(s);
    bool runs = listed(hello->running, hello->n_running, s->op_id);
    bool over = listed(hello->finished, hello->n_finished, s->op_id);
    if (s->cancelled) {
        if (runs)
            cancel_op(s->pair->job->engine, step_host(s)->name, s->op_id,
                      GODWIT__CANCEL__WHY__STOP);
        else if (!over)
            stage_gone(s, "its agent does not run it any more");
    } else if (runs) {
        s->state = STEP_ACCEPTED;
    } else if (!over && s->state == STEP_ACCEPTED && other && other->result) {
        /* Run alone it would wait for a side that is over. */
        stage_gone(s, "its agent was restarted after the other side was over");
    } else {
        s->state = STEP_INTENDED;
        orders_send(s);
    }
}

static void cancel_strangers(struct engine *e, const char *host, const Godwit__Hello *hello)
{
    for (size_t i = 0; i < hello->n_running; i++)
        if (strlen(hello->running[i]) == 16 && !zhash_lookup(e->steps, hello->running[i]) &&
            !chore_knows(e, hello->running[i]))
            cancel_op(e, host, hello->running[i], GODWIT__CANCEL__WHY__STOP);
}

/* Steps come and go while they are met, so they are looked up one by one. */
static size_t open_steps(struct engine *e, const struct host *h, char (**ret)[17])
{
    struct pair *p;
    size_t n = 0;
    *ret = xcalloc((size_t)e->nrunning * 2, sizeof **ret);
    TAILQ_FOREACH(p, &e->running, link)
    {
        for (unsigned i = 0; i < p->nsteps; i++)
            if (step_host(p->steps[i]) == h && !p->steps[i]->result && !p->steps[i]->unsaved)
                memcpy((*ret)[n++], p->steps[i]->op_id, sizeof **ret);
    }
    return n;
}

static void on_online(void *arg, const char *host, const Godwit__Hello *hello)
{
    struct engine *e = arg;
    struct host *h = host_get(e, host);
    char(*ops)[17] = NULL;
    h->online = true;
    h->revoked = false;
    h->reason[0] = '\0';
    h->can = hello->can;
    cancel_strangers(e, host, hello);
    lanes_check(e, h);
    size_t n = open_steps(e, h, &ops);
    for (size_t i = 0; i < n; i++) {
        struct step *s = zhash_lookup(e->steps, ops[i]);
        if (s)
            meet_again(s, hello);
    }
    free(ops);
    governor_hello(e, h);
    chore_online(e, h);
    schedule_soon(e);
}

static void on_lost(void *arg, const char *host, const char *reason)
{
    struct engine *e = arg;
    struct host *h = host_get(e, host);
    if (h->online)
        h->since_ms = clock_mono_ms();
    h->online = false;
    (void)snprintf(h->reason, sizeof h->reason, "%s", reason ? reason : "");
    chore_lost(e, h);
}

static bool pick_revoked(const struct pair *p, struct pair_change *c, const void *arg)
{
    (void)arg;
    static char text[128]; /* one thread, used before the next pair */
    const struct host *h =
        p->host[SIDE_SOURCE]->revoked ? p->host[SIDE_SOURCE] : p->host[SIDE_DESTINATION];
    if (!h->revoked || back_goes_on(p) ||
        (p->state != PAIR_WAITING && p->state != PAIR_RUNNING && p->state != PAIR_PAUSED))
        return false;
    (void)snprintf(text, sizeof text, "host %s was revoked", h->name);
    *c = pair_change_of(p, PAIR_EV_FAIL, text);
    return true;
}

/* At once, before anything is written: the peer must stop talking to it. */
static void warn_peers(struct engine *e, const struct host *h)
{
    struct pair *p;
    TAILQ_FOREACH(p, &e->running, link)
    {
        for (unsigned i = 0; i < p->nsteps; i++)
            if ((p->host[0] == h || p->host[1] == h) && step_host(p->steps[i]) != h &&
                !p->steps[i]->result)
                orders_cancel(p->steps[i], GODWIT__CANCEL__WHY__REVOKED_PEER);
    }
}

static void on_revoked(void *arg, const char *host)
{
    struct engine *e = arg;
    struct host *h = host_get(e, host);
    on_lost(e, host, "revoked");
    h->revoked = true;
    warn_peers(e, h);
    struct job *j, *next;
    for (j = TAILQ_FIRST(&e->jobs); j; j = next) {
        next = TAILQ_NEXT(j, link);
        (void)job_handle(j, NULL, pick_revoked, NULL);
        job_settle(j);
    }
}

void orders_listen(struct engine *e)
{
    struct fleet_events events = {.arg = e,
                                  .online = on_online,
                                  .lost = on_lost,
                                  .revoked = on_revoked,
                                  .message = on_message};
    fleet_set_events(e->fleet, &events);
}

/* On a way back whose order gives way to who is there nobody waits for the end of what a host does
 * that is gone: what can be done without it is done, the rest again when it is there. What has a
 * limit of its own, or goes on by itself (a copy over lanes), ends by that. */
static bool is_past_it(const struct step *s, int64_t now_ms)
{
    const struct stage *stage = &s->pair->job->workload->stages[s->pair->stage];
    const struct engine *e = s->pair->job->engine;
    const struct host *h = step_host(s);
    int64_t since = h->since_ms > e->started_ms ? h->since_ms : e->started_ms;
    return stage->loose && !stage->limit_s && !stage->lanes && !h->online &&
           now_ms - since > CANCEL_APART_MS;
}

/* Waiting for a step that nobody will report. true: the step may be gone now. */
static bool give_up_waiting(struct step *s, int64_t now_ms)
{
    const struct step *other = step_sibling(s);
    const struct host *h = step_host(s);
    bool again = s->pair->closing == CLOSE_AGAIN;
    const struct stage *stage = &s->pair->job->workload->stages[s->pair->stage];
    bool limited = stage->limit_s > 0 || (stage->still_s && now_ms - s->pair->rate.moved_ms >
                                                                (int64_t)stage->still_s * 1000);
    int64_t most_ms = stage->apart && !h->online ? CANCEL_APART_MS : CANCEL_LOST_MS;
    if (s->result || s->unsaved)
        return false;
    if (is_past_it(s, now_ms)) {
        stage_gone(s, "its host is lost");
        return true;
    }
    if (s->cancelled && (limited || (!h->online && !again)) && now_ms - s->cancelled_ms > most_ms) {
        stage_gone(s, h->online ? "it does not end" : "its host is lost");
        return true;
    }
    if (!s->cancelled && other && other->result && h->online &&
        now_ms - s->pair->rate.moved_ms > LONELY_MS) {
        struct fault why;
        (void)fault_set(&why, FAULT_RETRY, ETIMEDOUT, "%s on %s does not end, the other side has",
                        s->kind, h->name);
        stage_close(s->pair, CLOSE_AGAIN, &why);
        return true;
    }
    return false;
}

void orders_tick(struct engine *e, int64_t now_ms)
{
    struct pair *p, *next;
    for (p = TAILQ_FIRST(&e->running); p; p = next) {
        next = TAILQ_NEXT(p, link);
        for (unsigned i = 0; i < p->nsteps; i++) {
            if (give_up_waiting(p->steps[i], now_ms))
                break;
            if (p->steps[i]->state == STEP_INTENDED && !p->steps[i]->cancelled)
                orders_send(p->steps[i]);
        }
    }
}
