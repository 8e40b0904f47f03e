/* admin: what an operator decides about a host. The row is written first, then it holds. Main
 * thread. */
#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/wire/envelope.h"
#include "common/wire/limits.h"
#include "common/wire/zap.h"
#include "orchestrator/fleet/fleet_priv.h"

#define KEYS_MAX 16

/* NULL with a fault: -ENOENT. */
static struct agent *find(struct fleet *f, const char *who, struct fault *reterr)
{
    struct agent *a = registry_any(f->reg, who);
    if (!a)
        (void)fault_set(reterr, FAULT_STOP_JOB, ENOENT, "no host is called '%.64s'", who);
    return a;
}

/* Every key of an agent, into or out of the domain. Returns when it holds. */
static void set_entry(struct fleet *f, const struct agent *a, bool in)
{
    struct agent_key *keys[KEYS_MAX];
    size_t n = registry_keys_of(f->reg, a, keys, KEYS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (in)
            zap_allow(f->zap, DOMAIN_AGENTS, keys[i]->row.key);
        else
            zap_deny(f->zap, DOMAIN_AGENTS, keys[i]->row.key);
    }
}

static int save(struct fleet *f, struct agent *a, enum agent_state state, const char *reason,
                struct fault *reterr)
{
    struct agent_row row = a->row;
    row.state = state;
    (void)snprintf(row.reason, sizeof row.reason, "%s", reason);
    int rc = registry_save(f->reg, a, &row);
    if (rc == -EEXIST)
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST,
                         "another agent has the name '%s': revoke or rename it first", row.host);
    return rc == 0 ? 0 : fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot keep '%s'", row.host);
}

int fleet_approve(struct fleet *f, const char *who, struct fault *reterr)
{
    struct agent *a = find(f, who, reterr);
    if (!a)
        return -ENOENT;
    if (a->row.state == AGENT_APPROVED)
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST, "'%s' is approved already", a->row.host);
    if (a->row.state == AGENT_REVOKED)
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST,
                         "'%s' was revoked: enrol it again with a new token", a->row.host);
    int rc = save(f, a, AGENT_APPROVED, "", reterr);
    if (rc == 0) {
        set_entry(f, a, true);
        log_info("host %s approved", a->row.host);
    }
    return rc;
}

int fleet_deny(struct fleet *f, const char *who, struct fault *reterr)
{
    struct agent *a = find(f, who, reterr);
    if (!a)
        return -ENOENT;
    if (a->row.state != AGENT_PENDING)
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST, "'%s' does not wait for approval",
                         a->row.host);
    int rc = save(f, a, AGENT_DENIED, "an operator denied it", reterr);
    if (rc == 0)
        log_info("host %s denied", a->row.host);
    return rc;
}

int fleet_revoke(struct fleet *f, const char *who, struct fault *reterr)
{
    struct agent *a = find(f, who, reterr);
    if (!a)
        return -ENOENT;
    if (a->row.state == AGENT_REVOKED)
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST, "'%s' is revoked already", a->row.host);
    int rc = save(f, a, AGENT_REVOKED, "an operator revoked it", reterr);
    if (rc < 0)
        return rc;
    set_entry(f, a, false);
    Godwit__Envelope e;
    Godwit__Refusal body;
    wire_refusal(&e, &body, GODWIT__REFUSAL__CODE__REVOKED, "an operator revoked your key");
    (void)session_send(a, &e);
    session_end(f, a, "revoked");
    log_info("host %s revoked", a->row.host);
    if (f->events.revoked)
        f->events.revoked(f->events.arg, a->row.host);
    return 0;
}

int fleet_rename(struct fleet *f, const char *who, const char *to, struct fault *reterr)
{
    struct agent *a = find(f, who, reterr);
    if (!a)
        return -ENOENT;
    if (!text_is_name(to, LIMIT_HOST_NAME))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "'%.64s' is not a host name", to);
    struct agent_row row = a->row;
    (void)snprintf(row.host, sizeof row.host, "%s", to);
    int rc = registry_save(f->reg, a, &row);
    if (rc == -EEXIST)
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST, "another host is called '%s'", to);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot keep '%s'", to);
    log_info("host %s is now called %s", who, to);
    session_welcome(f, a);
    return 0;
}
