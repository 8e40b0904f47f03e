/* files_quotas: the stage that puts the source's limits of users, groups and projects on the
 * destination's file system. Main thread. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/message_json.h"
#include "proto/quota.pb-c.h"

#define GRACES_MAX 3U /* kinds of quotas */

bool files_wants_quotas(const struct pair_view *p)
{
    const char *how = json_string_value(json_object_get(p->options, "quotas"));
    const json_t *quotas = json_object_get(p->facts, "quotas");
    return !p->endpoint && !p->to_endpoint && (!how || strcmp(how, "keep") == 0) &&
           (json_array_size(json_object_get(quotas, "list")) > 0 ||
            json_object_get(p->facts, "quotas_moved"));
}

static uint64_t num(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

int files_plan_quotas(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    char pair[32];
    (void)reterr;
    const json_t *list = json_object_get(json_object_get(p->facts, "quotas"), "list"), *row;
    size_t n = json_array_size(list), i;
    CLEANUP(mem_free) Godwit__QuotaRow *rows = xcalloc(n + 1, sizeof *rows);
    CLEANUP(mem_free) Godwit__QuotaRow **at = xcalloc(n + 1, sizeof(Godwit__QuotaRow *));
    Godwit__QuotaOrder o = GODWIT__QUOTA_ORDER__INIT;
    json_array_foreach(list, i, row)
    {
        godwit__quota_row__init(&rows[i]);
        rows[i].kind = (uint32_t)num(row, "kind");
        rows[i].id = (uint32_t)num(row, "id");
        rows[i].soft_bytes = num(row, "soft_bytes");
        rows[i].hard_bytes = num(row, "hard_bytes");
        rows[i].soft_files = num(row, "soft_files");
        rows[i].hard_files = num(row, "hard_files");
        at[i] = &rows[i];
    }
    Godwit__QuotaGrace graces[GRACES_MAX], *grace_at[GRACES_MAX];
    json_array_foreach(json_object_get(json_object_get(p->facts, "quotas"), "graces"), i, row)
    {
        if (i == GRACES_MAX || n == 0) /* what was set stays where nobody is limited any more */
            break;
        godwit__quota_grace__init(&graces[i]);
        graces[i].kind = (uint32_t)num(row, "kind");
        graces[i].bytes_s = num(row, "bytes_s");
        graces[i].files_s = num(row, "files_s");
        grace_at[o.n_graces++] = &graces[i];
    }
    o.graces = grace_at;
    CLEANUP(mem_free) char *map = files_map_text(p);
    files_pair_name(p, pair);
    o.path = files_bytes(p->destination, strlen(p->destination));
    o.pair = pair;
    o.dry_run = files_is_dry(p);
    o.map = files_bytes(map, strlen(map));
    o.n_list = n;
    o.list = at;
    files_plan_step(&ret[0], SIDE_DESTINATION, "quotas.apply", &o.base);
    return 1;
}

enum verdict files_judge_quotas(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr)
{
    enum verdict v = files_verdict(results[0], reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    Godwit__QuotaResult *r =
        godwit__quota_result__unpack(NULL, results[0]->body.len, results[0]->body.data);
    if (!r) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "what became of quotas is not readable");
        return VERDICT_FAIL;
    }
    json_t *o = message_json(&r->base);
    (void)json_object_set_new(o, "run", json_integer(p->run));
    (void)json_object_set_new(p->facts, "quotas_moved", o);
    godwit__quota_result__free_unpacked(r, NULL);
    return v;
}
