/* vm_show: a pair's move as JSON: every act, what became of it, what was promised beside what was.
 * Reads only. Main thread. */
#include <string.h>

#include "common/base/clock.h"
#include "orchestrator/workload/vm_checks.h"
#include "orchestrator/workload/vm_move_priv.h"

static void copy(json_t *to, const json_t *from, const char *key)
{
    json_t *v = json_object_get(from, key);
    if (v)
        (void)json_object_set(to, key, v);
}

static bool is_now(const struct pair_view *p, unsigned row)
{
    return p->stage && vm_row_of(p->stage) == row && vm_deed_of(p->stage) == VM_DEED_DO;
}

static json_t *row_json(const struct pair_view *p, const json_t *facts, unsigned row)
{
    static const char *const sides[] = {"", "source", "destination", "both"};
    const struct vm_row *r = &vm_rows[row];
    const json_t *kept = vm_kept(facts, row);
    const char *state = kept ? vm_text(kept, "state") : "open";
    json_t *o = json_pack("{s:s,s:i,s:s,s:s,s:s,s:b}", "id", r->id, "percent", (int)r->percent,
                          "stage", r->text, "on", sides[r->on], "state",
                          is_now(p, row) ? "running" : state, "undo", (r->traits & VM_UNDOES) != 0);
    copy(o, kept, "at_ms");
    copy(o, kept, "took_ms");
    copy(o, kept, "before");
    copy(o, kept, "after");
    return o;
}

static int64_t at(const json_t *facts, const char *id)
{
    return (int64_t)vm_number(vm_kept(facts, vm_row_find(id)), "at_ms");
}

static int64_t end_of(const json_t *facts, const char *id)
{
    const json_t *kept = vm_kept(facts, vm_row_find(id));
    return (int64_t)(vm_number(kept, "at_ms") + vm_number(kept, "took_ms"));
}

/* What the machine was silent for: as a host saw it, else from when it was held until it answered.
 */
static int64_t outage_ms(const json_t *facts)
{
    static const char *const held[] = {"stop", "pause", "save"};
    const json_t *figures = json_object_get(facts, "figures");
    /* From its saved memory it goes on at once; one that starts anew has to come up. */
    const char *back = at(facts, "save") ? "start" : "answers";
    if (vm_number(figures, "outage_us"))
        return (int64_t)vm_number(figures, "outage_us") / 1000;
    if (vm_number(figures, "downtime_us"))
        return (int64_t)vm_number(figures, "downtime_us") / 1000;
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++)
        if (at(facts, held[i]))
            return end_of(facts, back) > at(facts, held[i])
                       ? end_of(facts, back) - at(facts, held[i])
                       : clock_wall_ms() - at(facts, held[i]);
    return 0;
}

static json_t *fact_json(const json_t *facts)
{
    const json_t *figures = json_object_get(facts, "figures");
    int64_t begun = at(facts, "look");
    int64_t end =
        vm_is_done(facts, vm_row_find("forget")) ? end_of(facts, "forget") : clock_wall_ms();
    json_t *o = json_pack("{s:I,s:I,s:I}", "bytes", (json_int_t)vm_number(figures, "bytes"),
                          "seconds", (json_int_t)(begun ? (end - begun + 999) / 1000 : 0),
                          "outage_ms", (json_int_t)outage_ms(facts));
    copy(o, figures, "downtime_us");
    copy(o, figures, "outage_us");
    copy(o, figures, "disk_bytes");
    copy(o, figures, "memory_bytes");
    return o;
}

json_t *vm_outline(const struct pair_view *p)
{
    static const char *const promised[] = {"bytes", "seconds", "outage_ms"};
    static const char *const shown[] = {"why", "sights", "ladder", "state", "remedy", "left"};
    static const char *const planned[] = {"machine", "uuid", "from", "to", "type", "name"};
    const json_t *facts = json_object_get(p->facts, "vm"), *plan = vm_plan_of(p);
    const struct vm_type *t = vm_type_of_plan(plan);
    const struct vm_row_case c = vm_case_of(plan);
    json_t *o = json_object(), *promise = json_object(), *stages = json_array();
    for (size_t i = 0; i < sizeof planned / sizeof planned[0]; i++)
        copy(o, plan, planned[i]);
    for (size_t i = 0; i < sizeof promised / sizeof promised[0]; i++)
        copy(promise, plan, promised[i]);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        copy(o, facts, shown[i]);
    for (unsigned i = 0; t && i < VM_ROWS; i++)
        if (vm_row_applies(&vm_rows[i], t, &c) && strcmp(vm_rows[i].id, "judge") != 0)
            (void)json_array_append_new(stages, row_json(p, facts, i));
    (void)json_object_set_new(o, "promise", promise);
    (void)json_object_set_new(o, "fact", fact_json(facts));
    (void)json_object_set_new(o, "stages", stages);
    return o;
}
