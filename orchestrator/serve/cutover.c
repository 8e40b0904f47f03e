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

const struct serve_command serve_cutover_commands[] = {
    {"cutover show", cutover_show},
    {NULL,           NULL        },
};
