/* cutover_show: a pair's cutover as JSON: every row of the table, whether it applies, and what
 * became of it. Reads only. Main thread. */
#include <string.h>

#include "common/base/clock.h"
#include "orchestrator/workload/cutover.h"
#include "orchestrator/workload/cutover_runbook.h"

static const char *const sides[] = {"", "source", "destination", "both", "witness"};

static void copy(json_t *to, const json_t *from, const char *key)
{
    json_t *v = json_object_get(from, key);
    if (v)
        (void)json_object_set(to, key, v);
}

/* The rollback has the same rows: what it takes back is none of this one's. */
static bool is_live(const struct pair_view *p, const char *id)
{
    return p->stage && p->stage->apart && strcmp(p->stage->phase, "cutover") == 0 &&
           strcmp(p->stage->name, cutover_rows[cutover_find(id)].text) == 0;
}

static json_t *row_json(const struct pair_view *p, const json_t *facts, unsigned row)
{
    const struct cutover_row *r = &cutover_rows[row];
    enum cutover_method m = cutover_method_of(facts);
    bool known = json_object_get(facts, "plan") != NULL;
    const json_t *kept = cutover_kept(facts, row);
    const char *why = known ? cutover_not(facts, row) : cutover_why_not(r, m, true);
    const char *state = json_string_value(json_object_get(kept, "state"));
    json_t *o = json_object();
    if (why)
        state = "skipped";
    else if (!state)
        state = "open";
    (void)json_object_set_new(o, "id", json_string(r->id));
    (void)json_object_set_new(o, "percent", json_integer((json_int_t)cutover_percent(r, m)));
    (void)json_object_set_new(o, "seed_percent",
                              r->own ? json_null() : json_integer((json_int_t)r->seed));
    (void)json_object_set_new(o, "stage", json_string(r->text));
    (void)json_object_set_new(o, "on", json_string(sides[r->on]));
    (void)json_object_set_new(o, "state", json_string(state));
    (void)json_object_set_new(o, "reason", json_string(why ? why : ""));
    (void)json_object_set_new(o, "limit_s", json_integer((json_int_t)r->limit_s));
    (void)json_object_set_new(o, "still_s", json_integer((json_int_t)r->still_s));
    (void)json_object_set_new(o, "undo", json_boolean(r->undo));
    (void)json_object_set_new(o, "commit", json_boolean(r->commit));
    copy(o, kept, "at_ms");
    copy(o, kept, "took_ms");
    copy(o, kept, "before");
    copy(o, kept, "after");
    copy(o, kept, "by");
    if (!why) {
        const json_t *options = p->options;
        const char *had = json_string_value(json_object_get(options, "pre_existing"));
        const struct runbook b = {.facts = facts,
                                  .source_host = p->source_host,
                                  .destination_host = p->destination_host,
                                  .source = p->source,
                                  .destination = p->destination,
                                  .mirror = json_is_true(json_object_get(options, "delete")) ||
                                            (had && strcmp(had, "mirror") == 0)};
        (void)json_object_set_new(o, "commands", runbook_commands(&b, row));
    }
    if (!why && is_live(p, r->id) && strcmp(state, "begun") == 0)
        (void)json_object_set_new(o, "state", json_string("running"));
    return o;
}

json_t *cutover_outline(const struct pair_view *p)
{
    static const char *const shown[] = {"settings",
                                        "checks",
                                        "plan",
                                        "why",
                                        "outage",
                                        "source",
                                        "destination",
                                        "findings",
                                        "findings_before",
                                        "source.collect",
                                        "after",
                                        "identity",
                                        "hold",
                                        "left",
                                        "carry",
                                        "written"};
    const json_t *facts = json_object_get(p->facts, "cutover");
    enum cutover_method m = cutover_method_of(facts);
    unsigned order[CUTOVER_ROWS];
    json_t *o = json_object(), *stages = json_array();
    cutover_order(m, order);
    for (unsigned i = 0; i < CUTOVER_ROWS; i++)
        (void)json_array_append_new(stages, row_json(p, facts, order[i]));
    (void)json_object_set_new(o, "method", json_string(cutover_method_name(m)));
    (void)json_object_set_new(o, "cutover", json_string(cutover_state_of(facts)));
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        copy(o, facts, shown[i]);
    (void)json_object_set_new(o, "stages", stages);
    (void)json_object_set_new(o, "now_ms", json_integer((json_int_t)clock_wall_ms()));
    return o;
}
