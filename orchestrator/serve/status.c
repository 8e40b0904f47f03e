/* status: the orchestrator in one document. Main thread. */
#include "common/base/clock.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/serve/serve.h"
#include "orchestrator/store/store.h"

static void status(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct fleet_counts n;
    if (!serve_args(req, "", 0, ret))
        return;
    fleet_count(s->fleet, &n);
    json_t *hosts =
        json_pack("{s:i,s:i,s:i,s:i,s:i}", "online", (int)n.online, "lost", (int)n.lost, "pending",
                  (int)n.pending, "denied", (int)n.denied, "revoked", (int)n.revoked);
    const char *trouble = engine_trouble(s->engine);
    ret->json = json_pack(
        "{s:i,s:s,s:I,s:s,s:I,s:o,s:o,s:{s:I,s:I},s:s?}", "schema", 1, "version", GODWIT_VERSION,
        "epoch", (json_int_t)store_epoch(s->store), "realm", store_realm(s->store), "uptime_ms",
        (json_int_t)(clock_mono_ms() - s->started_mono_ms), "hosts", hosts, "jobs",
        engine_job_counts(s->engine), "refused", "dropped_messages", (json_int_t)n.dropped,
        "cut_connections", (json_int_t)n.cut, "trouble", trouble);
}

const struct serve_command serve_status_commands[] = {
    {"status", status},
    {NULL,     NULL  },
};
