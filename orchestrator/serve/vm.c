/* vm: the commands about virtual machines. The hosts are asked anew each time; this only waits for
 * them. Main thread. */
#include "common/base/fault.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/serve/serve_priv.h"

#define ANSWER_MS 15000 /* a console waits for 30 s */

static void vm_inventory(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    bool out = false;
    if (!serve_args(req, "host", 0, ret))
        return;
    struct engine_question ask = {
        .name = "vm", .host = serve_arg(req, "host"), .begin = s->waited_ms <= 0};
    int rc = engine_ask(s->engine, &ask, &out, &json, &why);
    if (rc == 0 && out && s->waited_ms >= 0 && s->waited_ms < ANSWER_MS) {
        json_decref(json);
        ret->later = true;
        return;
    }
    serve_answer(ret, rc, json, &why);
}

static void vm_start(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job", 1, ret))
        return;
    int rc = engine_job_enter(s->engine, serve_arg(req, "job"), "move", NULL, &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void vm_back(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job settings", 1, ret))
        return;
    int rc = engine_job_back(s->engine, serve_arg(req, "job"), "rollback",
                             serve_arg(req, "settings"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void vm_moves(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "job", 1, ret))
        return;
    int rc = engine_job_outline(s->engine, serve_arg(req, "job"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

const struct serve_command serve_vm_commands[] = {
    {"vm inventory", vm_inventory },
    {"vm plan",      serve_vm_plan},
    {"vm start",     vm_start     },
    {"vm moves",     vm_moves     },
    {"vm back",      vm_back      },
    {NULL,           NULL         },
};
