/* cmd_vm_evacuate: `godwit vm evacuate`: every machine of a host to others that may take it. Main
 * thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/console/cmd_vm.h"
#include "orchestrator/console/show.h"
#include "orchestrator/console/vm_plans.h"
#include "orchestrator/console/vm_spread.h"

struct emptying {
    struct run *r;
    struct spread spread;
    json_t *plans;  /* that hold */
    json_t *placed; /* all, for people: those without a place are the last one that was tried */
    bool whole;
};

static json_t *options_for(const struct emptying *e, const struct spread_host *h)
{
    json_t *o = vm_plans_options(e->r->opts);
    (void)json_object_set_new(o, "arriving_disk", json_integer((json_int_t)h->disk));
    (void)json_object_set_new(o, "arriving_memory", json_integer((json_int_t)h->memory));
    return o;
}

static void take_place(struct emptying *e, struct spread_host *h, json_t *machine, json_t *plan)
{
    json_t *disk;
    size_t i;
    h->free -= (uint64_t)show_int(machine, "memory_bytes");
    h->memory += (uint64_t)show_int(machine, "memory_bytes");
    json_array_foreach(show_find(plan, "move.disks"), i, disk) h->disk +=
        (uint64_t)show_int(disk, "virtual_bytes");
    (void)json_array_append(e->plans, plan);
    (void)json_array_append(e->placed, plan);
}

/* EXIT_DONE also when nobody can take it. */
static int place_one(struct emptying *e, json_t *machine)
{
    uint64_t memory = (uint64_t)show_int(machine, "memory_bytes");
    struct spread_host *h;
    json_t *last = NULL;
    spread_begin(&e->spread);
    while ((h = spread_next(&e->spread, memory)) != NULL) {
        json_t *doc = NULL, *options = options_for(e, h);
        int rc =
            vm_plans_ask(e->r, show_str(machine, "name"), e->r->words[0], h->name, options, &doc);
        json_decref(options);
        json_decref(last);
        if (rc)
            return rc;
        last = json_incref(json_array_get(json_object_get(doc, "plans"), 0));
        bool ok = show_flag(doc, "ok");
        json_decref(doc);
        if (ok) {
            take_place(e, h, machine, last);
            json_decref(last);
            return EXIT_DONE;
        }
    }
    e->whole = false;
    run_say("%s: no host can take it%s", show_str(machine, "name"),
            last ? "" : ": none has so much memory free");
    if (last)
        (void)json_array_append_new(e->placed, last);
    return EXIT_DONE;
}

static int place_all(struct emptying *e)
{
    size_t i;
    json_t *machine;
    int rc = EXIT_DONE;
    json_array_foreach(e->spread.machines, i, machine)
    {
        rc = place_one(e, machine);
        if (rc)
            return rc;
    }
    return rc;
}

static int begin(struct run *r, struct emptying *e)
{
    const struct vm_move_opts *o = r->opts;
    const struct arg args[] = {ARGS_END};
    json_t *doc = NULL;
    int rc = run_ask(r, "vm inventory", args, &doc);
    if (rc)
        return rc;
    *e = (struct emptying){.r = r, .plans = json_array(), .placed = json_array(), .whole = true};
    if (spread_new(doc, r->words[0], o->to, &e->spread) < 0)
        rc = run_fail(EXIT_NOT_FOUND, "%s did not say which machines it has", r->words[0]);
    else
        rc = place_all(e);
    spread_done(&e->spread);
    json_decref(doc);
    return rc;
}

static int finish(struct emptying *e)
{
    const struct vm_move_opts *o = e->r->opts;
    json_t *doc = json_pack("{s:i,s:b,s:O}", "schema", 1, "ok", e->whole, "plans", e->placed);
    bool go = !o->plan_only && json_array_size(e->plans) > 0 && (e->whole || o->partial);
    int rc = e->whole ? EXIT_DONE : EXIT_PREFLIGHT;
    if (!go && run_json(e->r))
        run_print_json(doc);
    else if (!run_json(e->r))
        vm_plans_show(doc);
    json_decref(doc);
    if (!go) {
        if (json_array_size(e->placed) == 0 && e->whole)
            run_say("%s has no machines", e->r->words[0]);
        return rc;
    }
    rc = vm_move(e->r, e->plans, o->rate);
    return rc == EXIT_DONE && !e->whole ? EXIT_PARTLY : rc;
}

int vm_evacuate_command(struct run *r)
{
    struct emptying e = {.plans = NULL};
    int rc = begin(r, &e);
    if (rc == EXIT_DONE)
        rc = finish(&e);
    json_decref(e.plans);
    json_decref(e.placed);
    return rc;
}
