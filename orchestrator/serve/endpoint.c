/* endpoint: the commands about servers without an agent and their credentials. The engine decides;
 * this only reads arguments. Main thread. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/serve/serve.h"

static void endpoint_add(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "endpoint address credentials proxy", 3, ret))
        return;
    const char *const args[4] = {serve_arg(req, "endpoint"), serve_arg(req, "address"),
                                 serve_arg(req, "credentials"), serve_arg(req, "proxy")};
    int rc = engine_endpoint_add(s->engine, args, &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void endpoint_list(struct serve *s, const Godwit__ConsoleRequest *req,
                          struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "", 0, ret))
        return;
    int rc = engine_endpoint_list(s->engine, &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void endpoint_show(struct serve *s, const Godwit__ConsoleRequest *req,
                          struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "endpoint", 1, ret))
        return;
    int rc = engine_endpoint_show(s->engine, serve_arg(req, "endpoint"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void endpoint_remove(struct serve *s, const Godwit__ConsoleRequest *req,
                            struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "endpoint", 1, ret))
        return;
    int rc = engine_endpoint_remove(s->engine, serve_arg(req, "endpoint"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

/* First which endpoint, then what was asked, until there is an answer. */
static void endpoint_shares(struct serve *s, const Godwit__ConsoleRequest *req,
                            struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "endpoint proxy ask", 1, ret))
        return;
    const char *ask = serve_arg(req, "ask"), *name = serve_arg(req, "endpoint");
    int rc = ask && *ask
                 ? engine_endpoint_answer(s->engine, ask, &json, &why)
                 : engine_endpoint_ask(s->engine, name, serve_arg(req, "proxy"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

/* The secret comes in hex: a request holds text only. */
static void credential_add(struct serve *s, const Godwit__ConsoleRequest *req,
                           struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "credential kind user secret", 4, ret))
        return;
    const char *hex = serve_arg(req, "secret");
    size_t len = strlen(hex) / 2;
    CLEANUP(mem_free) uint8_t *secret = xmalloc(len + 1);
    int rc = text_unhex(hex, secret, len);
    struct engine_credential c = {serve_arg(req, "credential"), serve_arg(req, "kind"),
                                  serve_arg(req, "user"), secret, len};
    if (rc == 0)
        rc = engine_credential_add(s->engine, &c, &json, &why);
    explicit_bzero(secret, len);
    serve_answer(ret, rc, json, &why);
}

static void credential_list(struct serve *s, const Godwit__ConsoleRequest *req,
                            struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "", 0, ret))
        return;
    int rc = engine_credential_list(s->engine, &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void credential_remove(struct serve *s, const Godwit__ConsoleRequest *req,
                              struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "credential", 1, ret))
        return;
    int rc = engine_credential_remove(s->engine, serve_arg(req, "credential"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

const struct serve_command serve_endpoint_commands[] = {
    {"endpoint add",      endpoint_add     },
    {"endpoint list",     endpoint_list    },
    {"endpoint show",     endpoint_show    },
    {"endpoint remove",   endpoint_remove  },
    {"endpoint shares",   endpoint_shares  },
    {"credential add",    credential_add   },
    {"credential list",   credential_list  },
    {"credential remove", credential_remove},
    {NULL,                NULL             },
};
