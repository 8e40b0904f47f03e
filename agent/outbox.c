/* outbox: results until they are acknowledged, and progress, on their way out. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dispatch_priv.h"
#include "agent/oplog.h"
#include "agent/result.h"
#include "agent/worker.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/limits.h"

#define RETRY_MS 2000 /* of what the op log or the socket did not take */

static struct outgoing **find_outgoing(struct dispatch *d, const char *op_id)
{
    struct outgoing **at = &d->outgoing;
    while (*at && strcmp((*at)->op_id, op_id) != 0)
        at = &(*at)->next;
    return at;
}

bool outbox_has(struct dispatch *d, const char *op_id)
{
    return *find_outgoing(d, op_id) != NULL;
}

void outbox_add(struct dispatch *d, const char *op_id, void *packed, size_t len)
{
    struct outgoing **at = find_outgoing(d, op_id);
    if (!*at)
        *at = xcalloc(1, sizeof **at);
    struct outgoing *o = *at;
    (void)snprintf(o->op_id, sizeof o->op_id, "%s", op_id);
    if (!packed)
        return;
    free(o->packed);
    o->packed = packed;
    o->len = len;
    outbox_send(d, op_id);
}

void outbox_remove(struct dispatch *d, const char *op_id)
{
    struct outgoing **at = find_outgoing(d, op_id);
    struct outgoing *o = *at;
    if (!o)
        return;
    *at = o->next;
    free(o->packed);
    free(o);
}

/* Durable first, then said: a crash in between costs a repeat, never a result. */
static int store(struct dispatch *d, struct outgoing *o)
{
    if (!o->packed)
        return 0;
    int rc = oplog_finish(d->setup.log, o->op_id, o->packed, o->len);
    struct log_about a = {.host = d->setup.host, .op = o->op_id};
    if (rc < 0) {
        log_line(LOG_ERR, &a, "the op log cannot keep this result yet: %s", strerror(-rc));
        return rc;
    }
    FAULT_POINT("result-stored");
    free(o->packed);
    o->packed = NULL;
    return 0;
}

static int send_stored(struct dispatch *d, const char *op_id)
{
    CLEANUP(mem_free) void *packed = NULL;
    size_t len = 0;
    int rc = oplog_result(d->setup.log, op_id, &packed, &len);
    if (rc != 1)
        return rc < 0 ? rc : -ENOENT;
    Godwit__Result *r = godwit__result__unpack(NULL, len, packed);
    if (!r)
        return -EBADMSG;
    Godwit__Envelope out = GODWIT__ENVELOPE__INIT;
    out.op_id = (char *)(uintptr_t)op_id; /* packing only reads */
    out.body_case = GODWIT__ENVELOPE__BODY_RESULT;
    out.result = r;
    rc = d->setup.send(d->setup.arg, &out);
    godwit__result__free_unpacked(r, NULL);
    return rc;
}

void outbox_send(struct dispatch *d, const char *op_id)
{
    struct outgoing *o = *find_outgoing(d, op_id);
    if (!o)
        return;
    bool stored = store(d, o) == 0;
    int rc = stored ? send_stored(d, op_id) : 0;
    o->due_ms = clock_mono_ms() + (stored && rc == 0 ? DISPATCH_RESEND_MS : RETRY_MS);
    struct log_about a = {.host = d->setup.host, .op = op_id};
    if (rc == -EBADMSG || rc == -ENOENT)
        log_line(LOG_ERR, &a, "the stored result cannot be read");
    else if (rc < 0)
        log_line(LOG_DEBUG, &a, "result kept for later: %s", strerror(-rc));
}

void dispatch_online(struct dispatch *d)
{
    for (struct outgoing *o = d->outgoing; o; o = o->next)
        o->due_ms = 0;
    for (struct watch *w = d->watches; w; w = w->next)
        w->seq = 0; /* the new session has heard nothing yet */
}

static struct watch *watch_of(struct dispatch *d, const char *op_id, int64_t now)
{
    struct watch **at = &d->watches;
    while (*at && strcmp((*at)->op_id, op_id) != 0)
        at = &(*at)->next;
    if (!*at) {
        *at = xcalloc(1, sizeof **at);
        (void)snprintf((*at)->op_id, sizeof(*at)->op_id, "%s", op_id);
        (*at)->moved_ms = now;
    }
    return *at;
}

void watch_remove(struct dispatch *d, const char *op_id)
{
    struct watch **at = &d->watches;
    while (*at && strcmp((*at)->op_id, op_id) != 0)
        at = &(*at)->next;
    struct watch *w = *at;
    if (w)
        *at = w->next;
    free(w);
}

static bool moved(const struct counters *a, const struct counters *b)
{
    return a->files != b->files || a->bytes != b->bytes || a->entries != b->entries ||
           a->sent_bytes != b->sent_bytes || a->unchanged_files != b->unchanged_files ||
           a->unchanged_bytes != b->unchanged_bytes || a->deleted != b->deleted ||
           a->failed != b->failed || a->total_files != b->total_files ||
           a->changed_meta != b->changed_meta || a->parts_bytes != b->parts_bytes;
}

struct tick {
    struct dispatch *d;
    int64_t now;
};

static void say_progress(struct dispatch *d, const struct step_view *v, bool stalled)
{
    Godwit__Counters counters;
    counters_to_wire(&v->counters, &counters);
    Godwit__Progress body = GODWIT__PROGRESS__INIT;
    body.counters = &counters;
    body.percent = v->percent;
    body.doing = (char *)(uintptr_t)v->doing; /* packing only reads */
    body.stalled = stalled;
    body.source_latency_us = v->latency_us;
    body.source_pace = v->pace;
    Godwit__Envelope out = GODWIT__ENVELOPE__INIT;
    out.op_id = (char *)(uintptr_t)v->op_id;
    out.body_case = GODWIT__ENVELOPE__BODY_PROGRESS;
    out.progress = &body;
    (void)d->setup.send(d->setup.arg, &out); /* the next one tells more anyway */
}

static void on_view(void *arg, const struct step_view *v)
{
    struct tick *t = arg;
    if (!v->started || v->seq == 0)
        return;
    struct watch *w = watch_of(t->d, v->op_id, t->now);
    if (moved(&v->counters, &w->counters))
        w->moved_ms = t->now;
    bool stalled = t->now - w->moved_ms >= DISPATCH_STALL_MS;
    bool news = v->seq != w->seq || stalled != w->stalled;
    w->seq = v->seq;
    w->counters = v->counters;
    w->stalled = stalled;
    if (news)
        say_progress(t->d, v, stalled);
}

void dispatch_tick(struct dispatch *d, int64_t now_ms, bool live)
{
    for (struct outgoing *o = d->outgoing; o; o = o->next)
        if (o->due_ms <= now_ms && (live || o->packed))
            outbox_send(d, o->op_id);
    workers_tick(d->setup.workers, clock_fleet_ms());
    if (!live)
        return;
    if (now_ms - d->progress_ms >= 1000) {
        d->progress_ms = now_ms;
        struct tick t = {.d = d, .now = now_ms};
        workers_each(d->setup.workers, on_view, &t);
    }
}

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->list[i]);
    free(names->list);
    *names = (struct names){0};
}

static void names_add(struct names *names, const char *op_id)
{
    if (names->n == LIMIT_RUNNING)
        return; /* the orchestrator sends those again, and hears Accepted */
    names->list = xrealloc(names->list, (names->n + 1) * sizeof *names->list);
    names->list[names->n++] = xstrdup(op_id);
}

static void add_view(void *arg, const struct step_view *v)
{
    names_add(arg, v->op_id);
}

size_t dispatch_running(struct dispatch *d, char ***ret)
{
    names_clear(&d->running);
    workers_each(d->setup.workers, add_view, &d->running);
    *ret = d->running.list;
    return d->running.n;
}

size_t dispatch_finished(struct dispatch *d, char ***ret)
{
    names_clear(&d->finished);
    for (const struct outgoing *o = d->outgoing; o; o = o->next)
        names_add(&d->finished, o->op_id);
    *ret = d->finished.list;
    return d->finished.n;
}

static int add_row(void *arg, const struct oplog_row *row)
{
    outbox_add(arg, row->op_id, NULL, 0);
    return 0;
}

int dispatch_new(const struct dispatch_setup *setup, struct dispatch **ret)
{
    CLEANUP(dispatch_free) struct dispatch *d = xcalloc(1, sizeof *d);
    d->setup = *setup;
    int rc = oplog_each(setup->log, OPLOG_FINISHED, add_row, d);
    if (rc < 0)
        return rc;
    *ret = d;
    d = NULL;
    return 0;
}

struct dispatch *dispatch_free(struct dispatch *d)
{
    if (!d)
        return NULL;
    while (d->outgoing)
        outbox_remove(d, d->outgoing->op_id);
    while (d->watches)
        watch_remove(d, d->watches->op_id);
    names_clear(&d->running);
    names_clear(&d->finished);
    free(d);
    return NULL;
}

void dispatch_set_host(struct dispatch *d, const char *host)
{
    d->setup.host = host;
}
