/* key: the commands about the orchestrator's own keys. Main thread. */
#include "common/base/fault.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/serve/serve.h"

#define OVERLAP_DEFAULT_MS (INT64_C(7) * 86400 * 1000)

static void list(struct serve *s, struct serve_reply *ret)
{
    ret->json = json_pack("{s:i,s:o}", "schema", 1, "keys", fleet_keys(s->fleet));
}

static void key_list(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    if (serve_args(req, "", 0, ret))
        list(s, ret);
}

static void key_rotate(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault f = {.err = 0};
    int64_t overlap = 0;
    if (!serve_args(req, "overlap", 0, ret) ||
        !serve_arg_ms(req, "overlap", OVERLAP_DEFAULT_MS, &overlap, ret))
        return;
    int rc = fleet_rotate_server(s->fleet, overlap, &f);
    if (rc < 0)
        serve_fault(ret, rc, &f);
    else
        list(s, ret);
}

static void key_retire(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fault f = {.err = 0};
    if (!serve_args(req, "", 0, ret))
        return;
    int rc = fleet_retire_server(s->fleet, &f);
    if (rc < 0)
        serve_fault(ret, rc, &f);
    else
        list(s, ret);
}

const struct serve_command serve_key_commands[] = {
    {"key list",   key_list  },
    {"key rotate", key_rotate},
    {"key retire", key_retire},
    {NULL,         NULL      },
};
