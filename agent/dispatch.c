/* dispatch: what happens to each order. Main thread. */
#include "agent/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dispatch_priv.h"
#include "agent/oplog.h"
#include "agent/result.h"
#include "agent/worker.h"
#include "common/base/bucket.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/envelope.h"
#include "common/wire/limits.h"

static struct log_about about(const struct dispatch *d, const char *job, const char *op)
{
    return (struct log_about){.job = job && *job ? job : NULL, .host = d->setup.host, .op = op};
}

static void refuse(struct dispatch *d, const Godwit__Envelope *e, Godwit__Refusal__Code code,
                   const char *text)
{
    Godwit__Envelope out;
    Godwit__Refusal body;
    wire_refusal(&out, &body, code, text);
    out.op_id = e->op_id;
    bool order = e->body_case == GODWIT__ENVELOPE__BODY_ORDER;
    struct log_about a = about(d, order ? e->order->job : NULL, e->op_id);
    log_line(LOG_WARNING, &a, "order refused: %s", text);
    (void)d->setup.send(d->setup.arg, &out);
}

static void say_accepted(struct dispatch *d, const char *op_id)
{
    Godwit__Accepted body = GODWIT__ACCEPTED__INIT;
    Godwit__Envelope out = GODWIT__ENVELOPE__INIT;
    out.op_id = (char *)(uintptr_t)op_id; /* packing only reads */
    out.body_case = GODWIT__ENVELOPE__BODY_ACCEPTED;
    out.accepted = &body;
    (void)d->setup.send(d->setup.arg, &out);
}

static void conclude_plain(struct dispatch *d, const char *op_id, const struct fault *fault)
{
    void *packed = NULL;
    size_t len = 0;
    result_pack_plain(fault, &packed, &len);
    outbox_add(d, op_id, packed, len);
}

/* The op log fails, so the order must not run: said at once, though nothing can be stored, because
 * nothing was done either. */
static int fail_unlogged(struct dispatch *d, const Godwit__Envelope *e, int rc)
{
    Godwit__Result r = GODWIT__RESULT__INIT;
    Godwit__FaultInfo info = GODWIT__FAULT_INFO__INIT;
    Godwit__Envelope out = GODWIT__ENVELOPE__INIT;
    CLEANUP(mem_free) char *text = xasprintf("the agent's op log fails: %s", strerror(-rc));
    info.what_next = FAULT_RETRY;
    info.err = (uint32_t)-rc;
    info.text = text;
    r.status = GODWIT__RESULT__STATUS__FAILED;
    r.fault = &info;
    out.op_id = e->op_id;
    out.body_case = GODWIT__ENVELOPE__BODY_RESULT;
    out.result = &r;
    struct log_about a = about(d, e->order->job, e->op_id);
    log_line(LOG_ERR, &a, "%s", text);
    (void)d->setup.send(d->setup.arg, &out);
    return rc;
}

static const struct step_kind *find_kind(const struct dispatch *d, const char *kind)
{
    for (const struct step_kind *const *t = d->setup.tables; *t; t++)
        for (const struct step_kind *k = *t; k->kind; k++)
            if (strcmp(k->kind, kind) == 0)
                return k;
    return NULL;
}

static uint64_t rate_of(bool limited, uint64_t bytes_per_s)
{
    return limited && bytes_per_s < INT64_MAX ? bytes_per_s : BUCKET_UNLIMITED;
}

static void read_plan(const Godwit__Rate *r, struct rate_plan *ret)
{
    *ret = (struct rate_plan){.now = rate_of(r->limited, r->bytes_per_s)};
    for (size_t i = 0; i < r->n_next && ret->n < LIMIT_RATE_WINDOWS; i++) {
        const Godwit__RateWindow *w = r->next[i];
        if (i > 0 && w->from_ms < r->next[i - 1]->from_ms)
            return; /* what is out of order means nothing */
        ret->next[ret->n].from_ms = w->from_ms;
        ret->next[ret->n++].rate = rate_of(w->limited, w->bytes_per_s);
    }
}

static void take_rate(struct dispatch *d, const char *op_id, const Godwit__Rate *r)
{
    struct rate_plan plan;
    if (!r)
        return;
    read_plan(r, &plan);
    (void)workers_set_rate(d->setup.workers, op_id, &plan); /* not here: it is over */
}

static int run(struct dispatch *d, const Godwit__Envelope *e)
{
    const Godwit__Order *o = e->order;
    struct log_about a = about(d, o->job, e->op_id);
    struct fault f = {0};
    const struct step_kind *kind = find_kind(d, o->kind);
    if (!kind) {
        (void)fault_set(&f, FAULT_STOP_JOB, ENOTSUP, "this agent (%s) knows no step '%.60s'",
                        GODWIT_VERSION, o->kind);
        log_line(LOG_WARNING, &a, "%s", f.text);
        conclude_plain(d, e->op_id, &f);
        return 0;
    }
    int rc = oplog_start(d->setup.log, e->op_id, o->kind, o->job, e->epoch);
    if (rc < 0)
        return fail_unlogged(d, e, rc);
    FAULT_POINT("order-logged");
    struct rate_plan plan;
    struct step_slip slip = {.kind = kind,
                             .op_id = e->op_id,
                             .job = o->job,
                             .args = o->args.data,
                             .args_len = o->args.len,
                             .plan = o->rate ? &plan : NULL};
    if (o->credential)
        slip.secret = (struct step_secret){.proof = o->credential->proof,
                                           .user = o->credential->user,
                                           .secret = o->credential->secret.data,
                                           .secret_len = o->credential->secret.len};
    if (o->rate)
        read_plan(o->rate, &plan);
    rc = workers_submit(d->setup.workers, &slip);
    if (rc < 0) {
        (void)fault_set(&f, FAULT_RETRY, EAGAIN, "agent is full: %zu steps run or wait here",
                        workers_count(d->setup.workers));
        log_line(LOG_WARNING, &a, "%s", f.text);
        conclude_plain(d, e->op_id, &f);
        return 0;
    }
    log_line(LOG_INFO, &a, "%s accepted", o->kind);
    say_accepted(d, e->op_id);
    return 0;
}

static bool well_formed(const Godwit__Envelope *e)
{
    const Godwit__Order *o = e->order;
    return text_is_name(e->op_id, OPLOG_ID_MAX) && *o->kind && strlen(o->kind) <= 64 &&
           strlen(o->job) <= LIMIT_JOB_NAME && e->epoch <= INT64_MAX;
}

static int on_order(struct dispatch *d, const Godwit__Envelope *e)
{
    if (!well_formed(e)) {
        refuse(d, e, GODWIT__REFUSAL__CODE__MALFORMED, "the order's id, kind or job is no name");
        return 0;
    }
    if (e->epoch < oplog_epoch(d->setup.log)) {
        refuse(d, e, GODWIT__REFUSAL__CODE__STALE_EPOCH,
               "this agent has obeyed a later orchestrator (a higher epoch)");
        return 0;
    }
    int logged = oplog_saw_epoch(d->setup.log, e->epoch);
    if (workers_has(d->setup.workers, e->op_id)) {
        take_rate(d, e->op_id, e->order->rate);
        say_accepted(d, e->op_id);
        return 0;
    }
    if (outbox_has(d, e->op_id)) {
        outbox_send(d, e->op_id);
        return 0;
    }
    if (logged < 0)
        return fail_unlogged(d, e, logged);
    if (e->deadline_ms != 0 && e->deadline_ms < clock_fleet_ms()) {
        char now[24];
        clock_format(clock_fleet_ms(), now);
        CLEANUP(mem_free)
        char *text = xasprintf("its deadline is over; it is %s by the orchestrator's clock", now);
        refuse(d, e, GODWIT__REFUSAL__CODE__EXPIRED, text);
        return 0;
    }
    return run(d, e);
}

static int on_cancel(struct dispatch *d, const Godwit__Envelope *e)
{
    if (!text_is_name(e->op_id, OPLOG_ID_MAX))
        return 0;
    if (e->epoch != 0 && e->epoch < oplog_epoch(d->setup.log)) {
        refuse(d, e, GODWIT__REFUSAL__CODE__STALE_EPOCH, "cancelled by an earlier orchestrator");
        return 0;
    }
    struct log_about a = about(d, NULL, e->op_id);
    log_line(LOG_INFO, &a, "cancel asked (%d)", (int)e->cancel->why);
    if (workers_cancel(d->setup.workers, e->op_id))
        return 0; /* its result follows by itself */
    if (outbox_has(d, e->op_id)) {
        outbox_send(d, e->op_id);
        return 0;
    }
    conclude_plain(d, e->op_id, NULL); /* does not run here (any more): that is stopped */
    return 0;
}

/* Of an earlier orchestrator it means nothing: a later one rules here. */
static int on_rate(struct dispatch *d, const Godwit__Envelope *e)
{
    if (text_is_name(e->op_id, OPLOG_ID_MAX) && e->epoch >= oplog_epoch(d->setup.log))
        take_rate(d, e->op_id, e->rate);
    return 0;
}

static int on_ack(struct dispatch *d, const Godwit__Envelope *e)
{
    if (!outbox_has(d, e->op_id))
        return 0; /* acknowledged before it was said: nothing to forget */
    FAULT_POINT("acknowledged");
    int rc = oplog_forget(d->setup.log, e->op_id);
    if (rc == 0)
        outbox_remove(d, e->op_id);
    return rc; /* else it is sent, and acknowledged, again */
}

int dispatch_message(struct dispatch *d, const Godwit__Envelope *e)
{
    /* Other types are the session's. */
    if (e->body_case == GODWIT__ENVELOPE__BODY_ORDER)
        return on_order(d, e);
    if (e->body_case == GODWIT__ENVELOPE__BODY_CANCEL)
        return on_cancel(d, e);
    if (e->body_case == GODWIT__ENVELOPE__BODY_RESULT_ACK)
        return on_ack(d, e);
    if (e->body_case == GODWIT__ENVELOPE__BODY_RATE)
        return on_rate(d, e);
    return -EPROTO;
}

/* False: nobody asked this step to stop but our own end, and it did not do what was asked. Its
 * order stays started, and runs again when it comes again. */
static bool judge(const struct dispatch *d, struct step_end *end)
{
    bool whole = end->result.status == STEP_DONE || end->result.status == STEP_PARTIAL;
    if (whole || !end->cancelled || end->by_order)
        return true;
    if (d->revoked && end->result.status == STEP_STOPPED) {
        end->result.status = STEP_FAILED;
        (void)fault_set(&end->result.fault, FAULT_RETRY, EACCES,
                        "stopped because this agent's key was revoked");
    }
    return !d->leaving;
}

static void on_end(struct dispatch *d, struct step_end *end)
{
    bool keep = judge(d, end);
    static const char *const names[] = {"unknown", "done", "partly done", "failed", "stopped"};
    unsigned status = (unsigned)end->result.status < ARRAY_SIZE(names) ? end->result.status : 0;
    struct log_about a = about(d, end->job, end->op_id);
    bool failed = end->result.status == STEP_FAILED;
    log_line(failed ? LOG_WARNING : LOG_INFO, &a, "step %s%s%s", names[status], failed ? ": " : "",
             failed ? end->result.fault.text : "");
    if (!keep)
        return;
    void *packed = NULL;
    size_t len = 0;
    FAULT_POINT("step-ended");
    result_pack(&end->result, &packed, &len);
    outbox_add(d, end->op_id, packed, len);
}

void dispatch_reap(struct dispatch *d)
{
    struct step_end end;
    while (workers_reap(d->setup.workers, &end) == 1) {
        watch_remove(d, end.op_id);
        on_end(d, &end);
        step_result_done(&end.result);
    }
    if (workers_count(d->setup.workers) == 0)
        d->revoked = false;
}

void dispatch_leave(struct dispatch *d)
{
    d->leaving = true;
    workers_cancel_all(d->setup.workers);
}

void dispatch_revoked(struct dispatch *d)
{
    d->revoked = workers_count(d->setup.workers) > 0;
    workers_cancel_all(d->setup.workers);
}
