/* job: the commands about jobs. The engine decides; this only reads arguments. Main thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/serve/serve.h"

/* rc and fault of a call into the engine. A document comes along even with a refusal: the checks of
 * a job that is not ready. */
static bool number_arg(const Godwit__ConsoleRequest *req, const char *name, uint64_t max,
                       uint64_t *retn, struct serve_reply *ret)
{
    const char *text = serve_arg(req, name);
    char *end = NULL;
    *retn = 0;
    if (!text || !*text)
        return true;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *end || *text == '-' || n > max) {
        serve_refuse(ret, SERVE_USAGE, "%s must be a number", name);
        return false;
    }
    *retn = n;
    return true;
}

static void job_create(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "spec", 1, ret))
        return;
    int rc = engine_job_create(s->engine, serve_arg(req, "spec"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void job_list(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "", 0, ret))
        return;
    int rc = engine_job_list(s->engine, &json, &why);
    serve_answer(ret, rc, json, &why);
}

typedef int (*job_call)(struct engine *e, const char *job, json_t **ret, struct fault *reterr);

/* All that take a job and nothing else. */
static void call_job(struct serve *s, const Godwit__ConsoleRequest *req, job_call call,
                     struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job", 1, ret))
        return;
    int rc = call(s->engine, serve_arg(req, "job"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void job_show(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    call_job(s, req, engine_job_show, ret);
}

#define WAIT_MAX_MS 60000

/* Answered when the job is over, or with its state when the time is up. */
static void job_wait(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int64_t ms = 0;
    bool over = false;
    if (!serve_args(req, "job ms", 1, ret) || !serve_arg_ms(req, "ms", WAIT_MAX_MS, &ms, ret))
        return;
    int rc = engine_job_over(s->engine, serve_arg(req, "job"), &over, &json, &why);
    if (rc == 0 && !over && s->waited_ms >= 0 && s->waited_ms < ms && s->waited_ms < WAIT_MAX_MS) {
        json_decref(json);
        ret->later = true;
        return;
    }
    serve_answer(ret, rc, json, &why);
}

static void job_validate(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job probe override", 1, ret))
        return;
    const char *probe = serve_arg(req, "probe");
    const struct engine_check how = {.probe = probe && strcmp(probe, "yes") == 0,
                                     .override = serve_arg(req, "override")};
    int rc = engine_job_check(s->engine, serve_arg(req, "job"), &how, &json, &why);
    serve_answer(ret, rc, json, &why);
}

/* Answered when the source has said it. */
static void job_map(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job pair after token", 4, ret))
        return;
    const struct engine_map how = {.pair = (unsigned)strtoul(serve_arg(req, "pair"), NULL, 10),
                                   .after = serve_arg(req, "after"),
                                   .token = serve_arg(req, "token")};
    int rc = engine_job_map(s->engine, serve_arg(req, "job"), &how, &json, &why);
    if (rc == 0 && !json && s->waited_ms >= 0 && s->waited_ms < WAIT_MAX_MS) {
        ret->later = true;
        return;
    }
    if (rc == 0 && !json)
        rc = fault_set(&why, FAULT_RETRY, ETIMEDOUT, "the source does not answer");
    serve_answer(ret, rc, json, &why);
}

/* users: names, newline between them. */
static json_t *access_request(const char *users, uint64_t paths, uint64_t most, uint64_t seed)
{
    CLEANUP(mem_free) char *copy = xstrdup(users ? users : "");
    char *save = NULL;
    json_t *list = json_array();
    for (char *one = strtok_r(copy, "\n", &save); one; one = strtok_r(NULL, "\n", &save))
        (void)json_array_append_new(list, json_string(one));
    return json_pack("{s:o,s:I,s:I,s:I}", "users", list, "count", (json_int_t)paths, "most_users",
                     (json_int_t)most, "seed", (json_int_t)seed);
}

#define ACCESS_PATHS 40
#define ACCESS_PATHS_MAX 200
#define ACCESS_USERS 5
#define ACCESS_USERS_MAX 20

/* With begin it is asked; without, told what came of it. */
static void job_access(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    uint64_t paths = 0, most = 0, seed = 0;
    bool out = false;
    if (!serve_args(req, "job begin user paths users seed", 1, ret) ||
        !number_arg(req, "paths", ACCESS_PATHS_MAX, &paths, ret) ||
        !number_arg(req, "users", ACCESS_USERS_MAX, &most, ret) ||
        !number_arg(req, "seed", INT32_MAX, &seed, ret))
        return;
    json_t *request = serve_arg(req, "begin")
                          ? access_request(serve_arg(req, "user"), paths ? paths : ACCESS_PATHS,
                                           most                     ? most
                                           : serve_arg(req, "user") ? ACCESS_USERS_MAX
                                                                    : ACCESS_USERS,
                                           seed)
                          : NULL;
    int rc = engine_job_access(s->engine, serve_arg(req, "job"), request, &out, &json, &why);
    json_decref(request);
    serve_answer(ret, rc, json, &why);
}

static void job_start(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job phase dry_run accept_loss override", 1, ret))
        return;
    const char *dry = serve_arg(req, "dry_run");
    if (dry && strcmp(dry, "yes") != 0 && strcmp(dry, "no") != 0) {
        serve_refuse(ret, SERVE_USAGE, "dry_run must be yes or no");
        return;
    }
    struct engine_start how = {.phase = serve_arg(req, "phase"),
                               .accept_loss = serve_arg(req, "accept_loss"),
                               .override = serve_arg(req, "override"),
                               .dry_run = dry && strcmp(dry, "yes") == 0};
    int rc = engine_job_start(s->engine, serve_arg(req, "job"), &how, &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void job_pause(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    call_job(s, req, engine_job_pause, ret);
}

static void job_resume(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    call_job(s, req, engine_job_resume, ret);
}

static void job_stop(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    call_job(s, req, engine_job_stop, ret);
}

static void job_retry(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job cause", 1, ret))
        return;
    const char *cause = serve_arg(req, "cause");
    if (cause && !text_is_name(cause, LIMIT_CAUSE)) {
        serve_refuse(ret, SERVE_USAGE, "cause is one of those that job report names");
        return;
    }
    int rc = engine_job_retry_cause(s->engine, serve_arg(req, "job"), cause, &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void job_delete(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    call_job(s, req, engine_job_delete, ret);
}

static void job_report(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    uint64_t run = 0;
    if (!serve_args(req, "job run", 1, ret) || !number_arg(req, "run", UINT32_MAX, &run, ret))
        return;
    int rc = engine_job_report(s->engine, serve_arg(req, "job"), (unsigned)run, &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void job_journal(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    uint64_t after = 0;
    if (!serve_args(req, "job after", 1, ret) || !number_arg(req, "after", INT64_MAX, &after, ret))
        return;
    int rc = engine_job_journal(s->engine, serve_arg(req, "job"), after, &json, &why);
    serve_answer(ret, rc, json, &why);
}

#define PAGE_WAIT_MS 20000

static void job_failures(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    uint64_t pair = 0, from = 0, list = 0;
    bool later = false;
    if (!serve_args(req, "job pair from list", 2, ret) ||
        !number_arg(req, "pair", LIMIT_PAIRS, &pair, ret) ||
        !number_arg(req, "from", INT64_MAX, &from, ret) ||
        !number_arg(req, "list", UINT64_MAX, &list, ret))
        return;
    const struct engine_failed which = {serve_arg(req, "job"), (unsigned)pair, from, list};
    int rc = engine_job_failures(s->engine, &which, &later, &json, &why);
    ret->later = later && s->waited_ms >= 0 && s->waited_ms < PAGE_WAIT_MS;
    if (later && !ret->later)
        serve_refuse(ret, SERVE_TIMED_OUT, "the source's host does not answer; ask again");
    else if (!later)
        serve_answer(ret, rc, json, &why);
}

static void inventory_show(struct serve *s, const Godwit__ConsoleRequest *req,
                           struct serve_reply *ret)
{
    call_job(s, req, engine_inventory, ret);
}

const struct serve_command serve_job_commands[] = {
    {"job create",     job_create    },
    {"job list",       job_list      },
    {"job show",       job_show      },
    {"job wait",       job_wait      },
    {"job map",        job_map       },
    {"job validate",   job_validate  },
    {"job access",     job_access    },
    {"job start",      job_start     },
    {"job pause",      job_pause     },
    {"job resume",     job_resume    },
    {"job stop",       job_stop      },
    {"job retry",      job_retry     },
    {"job delete",     job_delete    },
    {"job report",     job_report    },
    {"job journal",    job_journal   },
    {"job failures",   job_failures  },
    {"inventory show", inventory_show},
    {NULL,             NULL          },
};
