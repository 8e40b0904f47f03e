/* enrol: how a stranger's key becomes a host. One-time, host-scoped, expiring tokens; no passwords.
 * Main thread. */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"
#include "common/wire/envelope.h"
#include "common/wire/limits.h"
#include "common/wire/token.h"
#include "common/wire/zap.h"
#include "orchestrator/fleet/enrol_rate.h"
#include "orchestrator/fleet/fleet_priv.h"

#define TTL_MAX_MS (INT64_C(30) * 86400 * 1000)
#define USES_MAX 100

/* What one request comes to. */
struct outcome {
    Godwit__EnrolReply__State state;
    const char *reason;
    const struct agent_row *row; /* NULL: nobody */
};

static struct outcome outcome_of(const struct agent_row *row)
{
    switch (row->state) {
    case AGENT_APPROVED:
        return (struct outcome){GODWIT__ENROL_REPLY__STATE__ADMITTED, "", row};
    case AGENT_PENDING:
        return (struct outcome){GODWIT__ENROL_REPLY__STATE__PENDING, "an operator has to approve",
                                row};
    case AGENT_DENIED:
        return (struct outcome){GODWIT__ENROL_REPLY__STATE__DENIED, row->reason, row};
    case AGENT_REVOKED:
    default:
        return (struct outcome){GODWIT__ENROL_REPLY__STATE__DENIED, "this key was revoked", row};
    }
}

static struct outcome denied(const char *reason)
{
    return (struct outcome){GODWIT__ENROL_REPLY__STATE__DENIED, reason, NULL};
}

/* Looks the same to a guesser whether the id or the secret is wrong. */
static bool token_is(struct fleet *f, const Godwit__EnrolRequest *req, struct token_row *ret)
{
    uint8_t hash[SHA256_LEN];
    struct token_row t = {.uses_left = 0};
    bool known = tokens_get(f->store, req->token_id, &t) == 0;
    sha256_of(req->secret.data, req->secret.len, hash);
    bool same = bytes_equal_secret(hash, t.secret_hash, sizeof hash);
    *ret = t;
    return known && same && req->secret.len == 32;
}

static void learn_facts(struct agent_row *row, const Godwit__HostFacts *facts)
{
    if (!facts)
        return;
    (void)snprintf(row->os, sizeof row->os, "%s", facts->os);
    (void)snprintf(row->kernel, sizeof row->kernel, "%s", facts->kernel);
    (void)snprintf(row->machine, sizeof row->machine, "%s", facts->machine);
    (void)snprintf(row->hostname, sizeof row->hostname, "%s", facts->hostname);
    row->cpus = facts->cpus;
    row->memory_bytes = facts->memory_bytes;
}

/* Row, key and the token's use are one transaction. A taken name makes a denied row, so that
 * somebody sees it; the name's owner is untouched. */
static struct outcome redeem(struct fleet *f, const struct arrival *from, struct token_row *t,
                             const Godwit__EnrolRequest *req)
{
    uint8_t key[32];
    struct agent_row row = {.created_ms = clock_wall_ms()};
    bool taken = registry_live(f->reg, t->host);
    row.state = taken ? AGENT_DENIED : f->conf->approve ? AGENT_PENDING : AGENT_APPROVED;
    (void)snprintf(row.reason, sizeof row.reason, "%s",
                   taken ? "another host has enrolled under this name" : "");
    text_new_id(row.agent_id);
    memcpy(row.host, t->host, sizeof row.host);
    memcpy(row.token_id, t->id, sizeof row.token_id);
    learn_facts(&row, req->facts);
    t->uses_left--;
    (void)curve_from_z85(from->user, key);
    int rc = registry_add(f->reg, &row, key, t);
    if (rc < 0) {
        log_error("cannot keep the enrolment of %s: %s", t->host, strerror(-rc));
        return denied("the orchestrator cannot write its state; try again later");
    }
    if (row.state == AGENT_APPROVED)
        zap_allow(f->zap, DOMAIN_AGENTS, key);
    log_line(taken ? LOG_WARNING : LOG_INFO, &(struct log_about){.host = row.host},
             "host %s enrolled from %s: %s", row.host, from->address,
             taken                        ? "denied, the name is taken"
             : row.state == AGENT_PENDING ? "waits for approval"
                                          : "admitted");
    return outcome_of(&registry_key(f->reg, from->user)->agent->row);
}

/* A key that we know has proved itself at the handshake: it asks how it stands. */
static struct outcome judge(struct fleet *f, const struct arrival *from,
                            const Godwit__EnrolRequest *req)
{
    struct token_row t;
    struct agent_key *k = registry_key(f->reg, from->user);
    if (k)
        return outcome_of(&k->agent->row);
    if (!token_is(f, req, &t)) {
        log_warning("enrolment from %s refused: no such token", from->address);
        return denied("this token is not valid");
    }
    if (t.expires_ms <= clock_wall_ms())
        return denied("this token has expired: make a new one");
    if (t.uses_left == 0)
        return denied("this token was used already: make a new one");
    return redeem(f, from, &t, req);
}

static void answer(struct fleet *f, const struct arrival *from, const struct outcome *o)
{
    Godwit__ServerKeys keys;
    Godwit__EnrolReply r = GODWIT__ENROL_REPLY__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    bool in = o->state == GODWIT__ENROL_REPLY__STATE__ADMITTED;
    server_keys(f, &keys);
    r.state = o->state;
    r.reason = wire_text(o->reason);
    if (o->row) {
        r.agent_id = wire_text(o->row->agent_id);
        r.host = wire_text(o->row->host);
    }
    r.keys = in ? &keys : NULL;
    e.body_case = GODWIT__ENVELOPE__BODY_ENROL_REPLY;
    e.enrol_reply = &r;
    arrival_answer(from, &e);
    server_keys_done(&keys);
}

void enrol_arrival(struct fleet *f, const struct arrival *from)
{
    CLEANUP(wire_free) Godwit__Envelope *e = NULL;
    const struct enrol_limits limits = {f->conf->enrol_rate, f->conf->enrol_rate_address};
    if (!enrol_rate_take(f->enrol_rate, &limits, from->address, clock_mono_ms())) {
        arrival_refuse(from, GODWIT__REFUSAL__CODE__RATE, "too many enrolments: try again later");
        return;
    }
    int rc = wire_unpack(from->data, from->len, WIRE_ENROLEE, &e);
    if (rc < 0) {
        arrival_refuse_unpacked(from, rc);
        return;
    }
    struct outcome o = judge(f, from, e->enrol_request);
    answer(f, from, &o);
}

static int check_ask(struct fleet *f, const struct fleet_token *ask, struct fault *reterr)
{
    if (!text_is_name(ask->host, LIMIT_HOST_NAME))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "'%.64s' is not a host name", ask->host);
    if (ask->ttl_ms < 1000 || ask->ttl_ms > TTL_MAX_MS)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "a token lives between 1 s and 30 days");
    if (ask->uses < 1 || ask->uses > USES_MAX)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "a token is used between 1 and %d times",
                         USES_MAX);
    if (registry_live(f->reg, ask->host))
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST,
                         "host '%s' is enrolled already: revoke it first", ask->host);
    return 0;
}

static void public_name(struct fleet *f, char *ret, size_t size)
{
    bool any = strcmp(f->conf->listen, "*") == 0 || strcmp(f->conf->listen, "0.0.0.0") == 0;
    if (f->conf->public_name && *f->conf->public_name)
        (void)snprintf(ret, size, "%s", f->conf->public_name);
    else if (!any)
        (void)snprintf(ret, size, "%s", f->conf->listen);
    else if (gethostname(ret, size) < 0)
        (void)snprintf(ret, size, "localhost");
    ret[size - 1] = '\0';
}

static void fill_token(struct fleet *f, const char *host, struct token *ret)
{
    char name[200];
    *ret = (struct token){.endpoint = ""};
    public_name(f, name, sizeof name);
    (void)snprintf(ret->endpoint, sizeof ret->endpoint, "tcp://%s:%u", name,
                   f->gates[0]->enrol_port);
    (void)snprintf(ret->host, sizeof ret->host, "%s", host);
    memcpy(ret->server_key, f->gates[0]->key.public_key, sizeof ret->server_key);
    text_new_id(ret->id);
    (void)text_random(ret->secret, sizeof ret->secret);
}

int fleet_token_new(struct fleet *f, const struct fleet_token *ask, char **retline,
                    int64_t *retexpires_ms, struct fault *reterr)
{
    struct token t;
    int rc = check_ask(f, ask, reterr);
    if (rc < 0)
        return rc;
    fill_token(f, ask->host, &t);
    struct token_row row = {.created_ms = clock_wall_ms(), .uses_left = ask->uses};
    row.expires_ms = row.created_ms + ask->ttl_ms;
    memcpy(row.id, t.id, sizeof row.id);
    memcpy(row.host, t.host, sizeof row.host);
    sha256_of(t.secret, sizeof t.secret, row.secret_hash);
    rc = tokens_put(f->store, &row);
    if (rc == 0) {
        *retline = token_format(&t);
        *retexpires_ms = row.expires_ms;
    }
    explicit_bzero(&t, sizeof t);
    return rc == 0 ? 0 : fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot keep the token");
}
