/* report: the command about keys that sign. Reports themselves are asked of the job. Main thread.
 */
#include "common/base/text.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/serve/serve.h"
#include "orchestrator/store/store.h"

static void report_keys(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    char hex[65];
    if (!serve_args(req, "", 0, ret))
        return;
    json_t *keys = fleet_sign_keys(s->fleet);
    if (s->sign_key) {
        text_hex(s->sign_key, 32, hex);
        (void)json_array_insert_new(keys, 0,
                                    json_pack("{s:s,s:s,s:s}", "role", "orchestrator", "name",
                                              store_realm(s->store), "key", hex));
    }
    ret->json = json_pack("{s:i,s:o}", "schema", 1, "keys", keys);
}

const struct serve_command serve_report_commands[] = {
    {"report keys", report_keys},
    {NULL,          NULL       },
};
