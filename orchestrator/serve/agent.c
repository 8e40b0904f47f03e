/* agent: the commands about hosts and enrolment tokens. Main thread. */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/serve/serve.h"

#define TTL_DEFAULT_MS (INT64_C(15) * 60 * 1000)
#define OVERLAP_DEFAULT_MS (INT64_C(3600) * 1000)

static void token_create(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    int64_t ttl = 0, uses = 1, expires = 0;
    CLEANUP(mem_free) char *line = NULL;
    struct fault f = {.err = 0};
    char when[24];
    if (!serve_args(req, "host ttl uses", 1, ret) ||
        !serve_arg_ms(req, "ttl", TTL_DEFAULT_MS, &ttl, ret) ||
        !serve_arg_ms(req, "uses", 1, &uses, ret))
        return;
    unsigned n = uses > UINT16_MAX ? UINT16_MAX : (unsigned)uses; /* more is refused either way */
    const struct fleet_token ask = {serve_arg(req, "host"), ttl, n};
    int rc = fleet_token_new(s->fleet, &ask, &line, &expires, &f);
    if (rc < 0) {
        serve_fault(ret, rc, &f);
        return;
    }
    clock_format(expires, when);
    CLEANUP(mem_free) char *command = xasprintf("sudo godwit-agent enrol <<< '%s'", line);
    ret->json = json_pack("{s:i,s:s,s:s,s:s,s:s}", "schema", 1, "token", line, "command", command,
                          "expires", when, "host", ask.host);
    explicit_bzero(command, strlen(command));
    explicit_bzero(line, strlen(line));
}

static void agent_list(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    if (serve_args(req, "", 0, ret))
        ret->json = json_pack("{s:i,s:o}", "schema", 1, "agents", fleet_list(s->fleet));
}

/* The host as it stands after a command, or as asked for. */
static void show(struct serve *s, const char *who, struct serve_reply *ret)
{
    json_t *doc = fleet_show(s->fleet, who);
    if (!doc) {
        serve_refuse(ret, SERVE_NOT_FOUND, "no host is called '%.64s'", who);
        return;
    }
    (void)json_object_set_new(doc, "schema", json_integer(1));
    ret->json = doc;
}

static void agent_show(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    if (serve_args(req, "host", 1, ret))
        show(s, serve_arg(req, "host"), ret);
}

static void decide(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret,
                   int (*act)(struct fleet *f, const char *who, struct fault *reterr))
{
    struct fault f = {.err = 0};
    if (!serve_args(req, "host", 1, ret))
        return;
    int rc = act(s->fleet, serve_arg(req, "host"), &f);
    if (rc < 0)
        serve_fault(ret, rc, &f);
    else
        show(s, serve_arg(req, "host"), ret);
}

static void agent_approve(struct serve *s, const Godwit__ConsoleRequest *req,
                          struct serve_reply *ret)
{
    decide(s, req, ret, fleet_approve);
}

static void agent_deny(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    decide(s, req, ret, fleet_deny);
}

static void agent_revoke(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    decide(s, req, ret, fleet_revoke);
}

static bool job_has_host(struct serve *s, const char *job, const char *host)
{
    json_t *doc = NULL, *pair = NULL;
    size_t i = 0;
    bool found = false;
    if (engine_job_show(s->engine, job, &doc, NULL) < 0)
        return false;
    json_array_foreach(json_object_get(doc, "pairs"), i, pair)
    {
        const char *from = NULL, *to = NULL;
        (void)json_unpack(pair, "{s:{s:s},s:{s:s}}", "source", "host", &from, "destination", "host",
                          &to);
        found = found || (from && strcmp(from, host) == 0) || (to && strcmp(to, host) == 0);
    }
    json_decref(doc);
    return found;
}

/* Jobs name hosts: under another name a host would be missed in the middle of one. */
static bool is_in_motion(struct serve *s, const char *host, struct serve_reply *ret)
{
    static const char at_rest[] = " created stopped done partial failed ";
    json_t *doc = NULL, *row = NULL;
    size_t i = 0;
    bool found = false;
    if (engine_job_list(s->engine, &doc, NULL) < 0)
        return false;
    json_array_foreach(json_object_get(doc, "jobs"), i, row)
    {
        const char *job = "", *state = "";
        (void)json_unpack(row, "{s:s,s:s}", "job", &job, "state", &state);
        if (found || strstr(at_rest, state) || !job_has_host(s, job, host))
            continue;
        found = true;
        serve_refuse(ret, SERVE_CONFLICT, "job '%s' is %s and uses host '%s': stop it first", job,
                     state, host);
    }
    json_decref(doc);
    return found;
}

static void agent_rename(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    struct fault f = {.err = 0};
    if (!serve_args(req, "host to", 2, ret) || is_in_motion(s, serve_arg(req, "host"), ret))
        return;
    int rc = fleet_rename(s->fleet, serve_arg(req, "host"), serve_arg(req, "to"), &f);
    if (rc == 0)
        rc = engine_host_renamed(s->engine, serve_arg(req, "host"), serve_arg(req, "to"), &f);
    if (rc < 0)
        serve_fault(ret, rc, &f);
    else
        show(s, serve_arg(req, "to"), ret);
}

static void agent_rotate(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    struct fault f = {.err = 0};
    int64_t overlap = 0;
    if (!serve_args(req, "host overlap", 1, ret) ||
        !serve_arg_ms(req, "overlap", OVERLAP_DEFAULT_MS, &overlap, ret))
        return;
    int rc = fleet_rotate_agent(s->fleet, serve_arg(req, "host"), overlap, &f);
    if (rc < 0)
        serve_fault(ret, rc, &f);
    else
        show(s, serve_arg(req, "host"), ret);
}

const struct serve_command serve_agent_commands[] = {
    {"token create",  token_create },
    {"agent list",    agent_list   },
    {"agent show",    agent_show   },
    {"agent approve", agent_approve},
    {"agent deny",    agent_deny   },
    {"agent revoke",  agent_revoke },
    {"agent rename",  agent_rename },
    {"agent rotate",  agent_rotate },
    {NULL,            NULL         },
};
