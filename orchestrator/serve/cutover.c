/* cutover: the commands about cutovers. The engine decides; this only reads arguments. Main thread.
 */
#include "orchestrator/engine/engine.h"
#include "orchestrator/serve/serve.h"

static void cutover_show(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job", 1, ret))
        return;
    int rc = engine_job_outline(s->engine, serve_arg(req, "job"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void enter(struct serve *s, const Godwit__ConsoleRequest *req, const char *phase,
                  struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job settings", 1, ret))
        return;
    int rc = engine_job_enter(s->engine, serve_arg(req, "job"), phase, serve_arg(req, "settings"),
                              &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void cutover_prepare(struct serve *s, const Godwit__ConsoleRequest *req,
                            struct serve_reply *ret)
{
    enter(s, req, "prepare", ret);
}

static void cutover_rehearse(struct serve *s, const Godwit__ConsoleRequest *req,
                             struct serve_reply *ret)
{
    enter(s, req, "rehearse", ret);
}

static void cutover_run(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    enter(s, req, "cutover", ret);
}

static void cutover_commit(struct serve *s, const Godwit__ConsoleRequest *req,
                           struct serve_reply *ret)
{
    enter(s, req, "commit", ret);
}

static void cutover_rollback(struct serve *s, const Godwit__ConsoleRequest *req,
                             struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job settings", 1, ret))
        return;
    int rc = engine_job_back(s->engine, serve_arg(req, "job"), "rollback",
                             serve_arg(req, "settings"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

const struct serve_command serve_cutover_commands[] = {
    {"cutover show",     cutover_show    },
    {"cutover prepare",  cutover_prepare },
    {"cutover rehearse", cutover_rehearse},
    {"cutover run",      cutover_run     },
    {"cutover commit",   cutover_commit  },
    {"cutover rollback", cutover_rollback},
    {NULL,               NULL            },
};
