/* files_failed: asks a pair's source for the list of what failed, a page at a time. Main thread. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/files_priv.h"

#define CODE_MAX 31

int files_plan_failures(const struct pair_view *p, const struct failed_ask *ask,
                        struct planned_step *ret)
{
    char pair[32];
    Godwit__FailuresOrder o = GODWIT__FAILURES_ORDER__INIT;
    files_pair_name(p, pair);
    o.pair = pair;
    o.from = ask->from;
    o.list = ask->list;
    text_new_id(ret->op_id);
    files_plan_step(ret, SIDE_SOURCE, "files.failures", &o.base);
    return 1;
}

static json_t *item_json(const Godwit__FailedItem *x)
{
    CLEANUP(mem_free) char *path = text_printable((const char *)x->path.data, x->path.len);
    CLEANUP(mem_free) char *code = text_printable(x->code, strnlen(x->code, CODE_MAX));
    return json_pack("{s:s,s:s}", "code", code, "path", path);
}

/* Numbers as texts: JSON's are no 64 bits everywhere. */
static void put_number(json_t *o, const char *name, uint64_t n)
{
    CLEANUP(mem_free) char *text = xasprintf("%llu", (unsigned long long)n);
    (void)json_object_set_new(o, name, json_string(text));
}

json_t *files_failures_json(const Godwit__Result *r)
{
    Godwit__FailuresResult *body = godwit__failures_result__unpack(NULL, r->body.len, r->body.data);
    if (!body)
        return NULL;
    json_t *o = json_object(), *items = json_array();
    for (size_t i = 0; i < body->n_items; i++)
        (void)json_array_append_new(items, item_json(body->items[i]));
    (void)json_object_set_new(o, "failures", items);
    (void)json_object_set_new(o, "kept", json_boolean(!body->none));
    put_number(o, "next", body->next);
    put_number(o, "list", body->list);
    godwit__failures_result__free_unpacked(body, NULL);
    return o;
}
