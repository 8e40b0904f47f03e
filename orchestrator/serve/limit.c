/* limit: the commands about bandwidth limits and sites. The engine decides; this only reads
 * arguments. Main thread. */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/serve/serve.h"

#define SITE_HOSTS_MAX 10000

static void limit_set(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "scope name rate calendar", 2, ret))
        return;
    struct engine_limit l = {serve_arg(req, "scope"), serve_arg(req, "name"),
                             serve_arg(req, "rate"), serve_arg(req, "calendar")};
    int rc = engine_limit_set(s->engine, &l, &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void limit_remove(struct serve *s, const Godwit__ConsoleRequest *req,
                         struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "scope name", 2, ret))
        return;
    int rc = engine_limit_remove(s->engine, serve_arg(req, "scope"), serve_arg(req, "name"), &json,
                                 &why);
    serve_answer(ret, rc, json, &why);
}

static void limit_list(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "", 0, ret))
        return;
    int rc = engine_limit_list(s->engine, &json, &why);
    serve_answer(ret, rc, json, &why);
}

/* One host a line: a request has few arguments. */
static size_t split(char *text, char **ret)
{
    size_t n = 0;
    for (char *p = text; *p && n < SITE_HOSTS_MAX; n++) {
        size_t len = strcspn(p, "\n");
        ret[n] = p;
        p += len;
        if (*p)
            *p++ = '\0';
    }
    return n;
}

static void site_set(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "site hosts", 2, ret))
        return;
    CLEANUP(mem_free) char *text = xstrdup(serve_arg(req, "hosts"));
    CLEANUP(mem_free) char **hosts = xcalloc(SITE_HOSTS_MAX, sizeof *hosts);
    size_t n = split(text, hosts);
    int rc = engine_site_set(s->engine, serve_arg(req, "site"), hosts, n, &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void site_remove(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "site", 1, ret))
        return;
    int rc = engine_site_remove(s->engine, serve_arg(req, "site"), &json, &why);
    serve_answer(ret, rc, json, &why);
}

static void site_list(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (!serve_args(req, "", 0, ret))
        return;
    int rc = engine_site_list(s->engine, &json, &why);
    serve_answer(ret, rc, json, &why);
}

const struct serve_command serve_limit_commands[] = {
    {"limit set",    limit_set   },
    {"limit remove", limit_remove},
    {"limit list",   limit_list  },
    {"site set",     site_set    },
    {"site remove",  site_remove },
    {"site list",    site_list   },
    {NULL,           NULL        },
};
