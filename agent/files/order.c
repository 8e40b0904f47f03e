/* order: checks every field of a transfer's order before anything is opened. */
#include "agent/files/order.h"

#include <errno.h>
#include <string.h>

#include "agent/files/snapshot.h"
#include "agent/lane/ticket.h"
#include "agent/store/pairname.h"
#include "common/base/idmap.h"
#include "common/base/text.h"

#define ENDPOINTS_MAX 16
#define CAUSE_MAX 31
#define LATENCY_MS_MAX 600000U

static int common(const Godwit__Ticket *t, ProtobufCBinaryData pin, const char *pair,
                  struct transfer_spec *ret)
{
    if (!t || t->secret.len != LANE_SECRET_BYTES || pin.len != LANE_PIN_BYTES)
        return -EINVAL;
    size_t id = strlen(t->id);
    if (id == 0 || id > TICKET_ID_MAX || !pair_valid(pair))
        return -EINVAL;
    ret->ticket_id = t->id;
    ret->secret = t->secret.data;
    ret->not_after_ms = t->not_after_ms;
    ret->peer_pin = pin.data;
    ret->pair = pair;
    return 0;
}

static int path(ProtobufCBinaryData p, struct transfer_spec *ret)
{
    ret->path = (const char *)p.data;
    ret->path_len = p.len;
    return p.len > 0 && p.data[0] == '/' && !memchr(p.data, '\0', p.len) ? 0 : -EINVAL;
}

int order_filter(const Godwit__Filter *f, struct filter **ret, struct fault *reterr)
{
    *ret = NULL;
    if (!f)
        return 0;
    struct filter_conf conf = {.exclude = (const char *const *)f->exclude,
                               .nexclude = f->n_exclude,
                               .include = (const char *const *)f->include,
                               .ninclude = f->n_include,
                               .min_size = f->min_size,
                               .max_size = f->max_size,
                               .oldest_ms = f->oldest_ms,
                               .newest_ms = f->newest_ms};
    return filter_new(ret, &conf, reterr);
}

static int map_of(ProtobufCBinaryData text, struct idmap **ret)
{
    struct idmap_error e;
    return idmap_parse((const char *)text.data, text.len, ret, &e);
}

int order_options(const Godwit__TransferOptions *o, struct transfer_options *ret)
{
    *ret = (struct transfer_options){0};
    if (!o)
        return 0;
    if (o->compress > COMPRESS_OFF)
        return -EINVAL;
    ret->delete_extras = o->delete_extras;
    ret->dry_run = o->dry_run;
    ret->one_file_system = o->one_file_system;
    ret->only_failed = o->only_failed;
    ret->checksum = o->checksum;
    ret->evidence = o->evidence;
    ret->full_scan = o->full_scan;
    ret->any_root = o->any_root;
    ret->delta = o->delta;
    if (*o->only_cause && !text_is_name(o->only_cause, CAUSE_MAX))
        return -EINVAL;
    ret->only_cause = *o->only_cause ? o->only_cause : NULL;
    ret->compress = (enum compress_policy)o->compress;
    ret->lanes = o->lanes;
    ret->max_source_latency_ms =
        o->max_source_latency_ms < LATENCY_MS_MAX ? o->max_source_latency_ms : LATENCY_MS_MAX;
    ret->snapshot = o->snapshot;
    ret->delete_excluded = o->delete_excluded;
    if (!snapshot_policy_valid(ret->snapshot))
        return -EINVAL;
    int rc = map_of(o->map, &ret->map);
    return rc == 0 ? order_filter(o->filter, &ret->filter, NULL) : rc;
}

static int refuse(struct fault *reterr)
{
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                     "the order of this transfer is not well formed");
}

int order_of_send(const Godwit__SendOrder *o, struct transfer_spec *ret, struct fault *reterr)
{
    struct transfer_spec s = {.endpoints = o->peer_endpoints, .nendpoints = o->n_peer_endpoints};
    bool ok = s.nendpoints > 0 && s.nendpoints <= ENDPOINTS_MAX;
    ok = ok && common(o->ticket, o->peer_pin, o->pair, &s) == 0 && path(o->path, &s) == 0 &&
         order_options(o->options, &s.options) == 0;
    if (!ok) {
        order_done(&s);
        return refuse(reterr);
    }
    *ret = s;
    return 0;
}

int order_of_receive(const Godwit__ReceiveOrder *o, struct transfer_spec *ret, struct fault *reterr)
{
    struct transfer_spec s = {0};
    if (common(o->ticket, o->peer_pin, o->pair, &s) < 0 || path(o->path, &s) < 0 ||
        order_options(o->options, &s.options) < 0) {
        order_done(&s);
        return refuse(reterr);
    }
    *ret = s;
    return 0;
}

void order_done(struct transfer_spec *s)
{
    s->options.filter = filter_free(s->options.filter);
    s->options.map = idmap_free(s->options.map);
}
