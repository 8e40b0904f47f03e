/* cmd_vm_move: `godwit vm plan`, `migrate`, `moves` and `rollback`. Main thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "orchestrator/console/cmd_vm.h"
#include "orchestrator/console/progress.h"
#include "orchestrator/console/report.h"
#include "orchestrator/console/show.h"
#include "orchestrator/console/vm_plans.h"
#include "orchestrator/console/watch.h"

#define OPT(field) offsetof(struct vm_move_opts, field)
#define TYPES "live|live-vsm|quick|warm-quick|san|warm|cold|live-storage|quick-storage"

#define MOVE_ROWS                                                                                  \
    {.name = "host",                                                                               \
     .kind = OPT_STRING,                                                                           \
     .off = OPT(host),                                                                             \
     .value = "HOST",                                                                              \
     .help = "The host that the machines are on. Default: whoever has one of that name."},         \
        {.name = "max-outage",                                                                     \
         .kind = OPT_DURATION,                                                                     \
         .off = OPT(max_outage_ms),                                                                \
         .value = "TIME",                                                                          \
         .help = "The longest that a machine may be silent. Default: as long as it takes."},       \
        {.name = "max-duration",                                                                   \
         .kind = OPT_DURATION,                                                                     \
         .off = OPT(max_duration_ms),                                                              \
         .value = "TIME",                                                                          \
         .help = "The longest that a move may take. Default: as long as it takes."},               \
        {.name = "pool",                                                                           \
         .kind = OPT_STRING,                                                                       \
         .off = OPT(pool),                                                                         \
         .value = "POOL",                                                                          \
         .help = "The destination's storage pool for the disks. Default: the same paths."},        \
        {.name = "device",                                                                         \
         .kind = OPT_STRING,                                                                       \
         .off = OPT(device),                                                                       \
         .value = "DISK=PATH",                                                                     \
         .repeat = true,                                                                           \
         .help = "A blank device of the destination for this disk, such as vda=/dev/vg0/web. May " \
                 "be given more than once."},                                                      \
        {.name = "type",                                                                           \
         .kind = OPT_STRING,                                                                       \
         .off = OPT(type),                                                                         \
         .value = "TYPE",                                                                          \
         .help = "Only this way: " TYPES ". Default: the best that is possible."},                 \
        {.name = "stop",                                                                           \
         .kind = OPT_BOOL,                                                                         \
         .off = OPT(stop),                                                                         \
         .help = "A machine that runs may be shut down, or started anew, when no better way is "   \
                 "possible."},                                                                     \
        {.name = "stop-timeout",                                                                   \
         .kind = OPT_DURATION,                                                                     \
         .off = OPT(stop_ms),                                                                      \
         .value = "TIME",                                                                          \
         .help = "How long a machine may take to shut down. Default: 2m."},                        \
        {.name = "force-off",                                                                      \
         .kind = OPT_BOOL,                                                                         \
         .off = OPT(force_off),                                                                    \
         .help = "Switch a machine off that does not shut down in time."},                         \
        {.name = "postcopy",                                                                       \
         .kind = OPT_BOOL,                                                                         \
         .off = OPT(postcopy),                                                                     \
         .help = "Allow post-copy as a last resort. A link that is lost then costs the machine."}, \
        {.name = "answers",                                                                        \
         .kind = OPT_STRING,                                                                       \
         .off = OPT(answers),                                                                      \
         .value = "HOW",                                                                           \
         .help = "How a machine that has come up is seen from outside: tcp ADDRESS:PORT or arp "   \
                 "ADDRESS. Default: it runs."},                                                    \
        {.name = "own-tcp",                                                                        \
         .kind = OPT_BOOL,                                                                         \
         .off = OPT(own_tcp),                                                                      \
         .help = "Live moves by libvirt's own TCP with TLS, with its ports and its certificates, " \
                 "in place of lanes."},                                                            \
        {.name = "streams",                                                                        \
         .kind = OPT_UINT,                                                                         \
         .off = OPT(streams),                                                                      \
         .max = 16,                                                                                \
         .value = "N",                                                                             \
         .help = "Live moves send memory through so many streams, compressed; 1: through one, as " \
                 "it is. Default: 4 where link and processors allow."},                            \
        {.name = "keep",                                                                           \
         .kind = OPT_DURATION,                                                                     \
         .off = OPT(keep_ms),                                                                      \
         .def = "1d",                                                                              \
         .value = "TIME",                                                                          \
         .help = "How long the source keeps its images afterwards; 0: not at all."},               \
        {.name = "flatten",                                                                        \
         .kind = OPT_BOOL,                                                                         \
         .off = OPT(flatten),                                                                      \
         .help =                                                                                   \
             "Make one image of each disk and those below it, in place of taking them along."},    \
    {                                                                                              \
        .name = "override", .kind = OPT_STRING, .off = OPT(override), .value = "CHECK",            \
        .repeat = true,                                                                            \
        .help = "Go on although this check did not pass. May be given more than once."             \
    }

#define RATE_ROW(text)                                                                             \
    {                                                                                              \
        .name = "rate", .kind = OPT_STRING, .off = OPT(rate), .value = "RATE", .help = (text)      \
    }

const struct option_row vm_plan_options[] = {
    {.name = "to",
     .kind = OPT_STRING,
     .off = OPT(to),
     .value = "HOST",
     .help = "Where the machines are to go."},
    MOVE_ROWS,
    RATE_ROW("What all of them may send together, such as 200MiB/s: time and outage are reckoned "
             "under it, and it holds for vm migrate --plan. Default: no limit."),
    {.name = "save",
     .kind = OPT_STRING,
     .off = OPT(save),
     .value = "FILE",
     .help = "Write the plan into this file, for vm migrate --plan."},
    {.name = NULL},
};

#define RUN_ROWS                                                                                   \
    {.name = "name",                                                                               \
     .kind = OPT_STRING,                                                                           \
     .off = OPT(name),                                                                             \
     .value = "NAME",                                                                              \
     .help = "Name of the job. Default: vm- and the time."},                                       \
        {.name = "at-once",                                                                        \
         .kind = OPT_UINT,                                                                         \
         .off = OPT(at_once),                                                                      \
         .max = 1000,                                                                              \
         .value = "N",                                                                             \
         .help = "How many machines move at once; the others wait in their order. Default: 2."},   \
        RATE_ROW("What all of them may send together, such as 200MiB/s. Default: no limit."),      \
    {                                                                                              \
        .name = "detach", .kind = OPT_BOOL, .off = OPT(detach),                                    \
        .help = "Do not wait for the end: godwit job watch shows it."                              \
    }

const struct option_row vm_migrate_options[] = {
    {.name = "to",
     .kind = OPT_STRING,
     .off = OPT(to),
     .value = "HOST",
     .help = "Where the machines are to go."},
    {.name = "plan",
     .kind = OPT_STRING,
     .off = OPT(plan),
     .value = "FILE",
     .help = "Move as this plan says. It is refused when it does not hold any more (exit code 5)."},
    MOVE_ROWS,
    RUN_ROWS,
    {.name = NULL},
};

const struct option_row vm_evacuate_options[] = {
    {.name = "to",
     .kind = OPT_STRING,
     .off = OPT(to),
     .value = "HOST",
     .help = "The only host that may take machines. Default: every host that answers."},
    {.name = "plan-only",
     .kind = OPT_BOOL,
     .off = OPT(plan_only),
     .help = "Say where each machine would go, and move none."},
    {.name = "partial",
     .kind = OPT_BOOL,
     .off = OPT(partial),
     .help = "Move what can be moved, also when some machines have to stay."},
    MOVE_ROWS,
    RUN_ROWS,
    {.name = NULL                                                              },
};

const struct option_row vm_copy_options[] = {
    {.name = "to",
     .kind = OPT_STRING,
     .off = OPT(to),
     .value = "HOST",
     .help = "The host that has the library."},
    {.name = "library",
     .kind = OPT_STRING,
     .off = OPT(library),
     .value = "FOLDER",
     .help = "The library's folder there: each machine has a folder of its name in it."},
    {.name = "host",
     .kind = OPT_STRING,
     .off = OPT(host),
     .value = "HOST",
     .help = "The host that the machines are on. Default: whoever has one of that name."},
    {.name = "flatten",
     .kind = OPT_BOOL,
     .off = OPT(flatten),
     .help = "Make one image of each disk and those below it."},
    {.name = "override",
     .kind = OPT_STRING,
     .off = OPT(override),
     .value = "CHECK",
     .repeat = true,
     .help = "Go on although this check did not pass. May be given more than once."},
    {.name = "plan-only",
     .kind = OPT_BOOL,
     .off = OPT(plan_only),
     .help = "Say what would be copied and what is against it, and copy nothing."},
    RUN_ROWS,
    {.name = NULL                                                                    },
};

char *vm_words(const struct run *r)
{
    char *all = xstrdup("");
    for (int i = 0; i < r->nwords; i++) {
        char *more = xasprintf("%s%s%s", all, i ? "\n" : "", r->words[i]);
        free(all);
        all = more;
    }
    return all;
}

int vm_plan_command(struct run *r)
{
    const struct vm_move_opts *o = r->opts;
    CLEANUP(mem_free) char *machines = vm_words(r);
    json_t *doc = NULL;
    uint64_t rate = 0;
    if (!o->to)
        return run_fail(EXIT_USAGE, "say where to: --to HOST");
    if (o->rate && rate_parse(o->rate, &rate) < 0)
        return run_fail(EXIT_USAGE, "--rate: say a rate such as 200MiB/s");
    json_t *options = vm_plans_options(o);
    int rc = vm_plans_ask(r, machines, o->host, o->to, options, &doc);
    json_decref(options);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        vm_plans_show(doc);
    rc = o->save ? vm_plans_save(doc, o->save) : EXIT_DONE;
    if (rc == EXIT_DONE && !show_flag(doc, "ok"))
        rc = EXIT_PREFLIGHT;
    json_decref(doc);
    return rc;
}

/* ── moving ── */

#define AT_ONCE 2

static json_t *spec_of(const json_t *plans, const char *name, const char *rate,
                       const struct vm_move_opts *o)
{
    json_t *limits = json_pack("{s:i}", "pairs", (int)(o->at_once ? o->at_once : AT_ONCE));
    json_t *pairs = json_array(), *plan;
    if (rate)
        (void)json_object_set_new(limits, "rate", json_string(rate));
    size_t i;
    json_array_foreach(plans, i, plan)
    {
        const char *machine = show_str(plan, "machine");
        (void)json_array_append_new(pairs, json_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "source", "host",
                                                     show_str(plan, "from"), "path", machine,
                                                     "destination", "host", show_str(plan, "to"),
                                                     "path", machine));
    }
    return json_pack("{s:s,s:s,s:o,s:{s:O},s:o}", "name", name, "workload", "vm", "pairs", pairs,
                     "options", "plans", plans, "limits", limits);
}

static char *job_name(const struct vm_move_opts *o)
{
    char at[24];
    if (o->name)
        return xstrdup(o->name);
    clock_format(clock_wall_ms(), at);
    for (char *p = at; *p; p++)
        if (*p == ':')
            *p = '-';
    return xasprintf("vm-%s", at);
}

static int ask_job(struct run *r, const char *command, const char *job, json_t **ret)
{
    const struct arg args[] = {
        {"job", job},
        ARGS_END
    };
    return run_ask(r, command, args, ret);
}

/* For programs: nothing is said until it is over. */
static int wait_for(struct run *r, const char *job)
{
    for (;;) {
        json_t *doc = NULL;
        const struct arg args[] = {
            {"job", job   },
            {"ms",  "5000"},
            ARGS_END
        };
        int rc = run_ask(r, "job wait", args, &doc);
        const char *state = show_str(doc, "state");
        int end = rc ? rc : progress_over(state) ? report_exit(state) : -1;
        json_decref(doc);
        if (end >= 0)
            return end;
    }
}

static int create(struct run *r, const json_t *plans, const char *name, const char *rate,
                  json_t **ret)
{
    const struct vm_move_opts *o = r->opts;
    json_t *spec = spec_of(plans, name, rate, o), *doc = NULL;
    CLEANUP(mem_free) char *text = json_dumps(spec, JSON_COMPACT);
    const struct arg args[] = {
        {"spec", text},
        ARGS_END
    };
    json_decref(spec);
    int rc = run_ask(r, "job create", args, &doc);
    json_decref(doc);
    return rc ? rc : ask_job(r, "vm start", name, ret);
}

int vm_move(struct run *r, const json_t *plans, const char *rate)
{
    const struct vm_move_opts *o = r->opts;
    const struct watch_opts watch = {.timeout_ms = 0};
    CLEANUP(mem_free) char *name = job_name(o);
    json_t *doc = NULL;
    int rc = create(r, plans, name, rate, &doc);
    if (rc == EXIT_DONE && o->detach && run_json(r))
        run_print_json(doc);
    json_decref(doc);
    if (rc)
        return rc;
    run_say("job %s %s %zu machine%s", name, o->library ? "copies" : "moves",
            json_array_size(plans), json_array_size(plans) == 1 ? "" : "s");
    if (o->detach)
        return EXIT_DONE;
    rc = run_json(r) ? wait_for(r, name) : watch_job(r, name, &watch);
    if (rc == EXIT_TIMED_OUT)
        return rc;
    doc = NULL;
    if (ask_job(r, "vm moves", name, &doc) == EXIT_DONE)
        vm_moves_show(r, doc);
    json_decref(doc);
    return rc;
}

/* What was planned before, planned anew: only if it is still the same it is done. A rate that is
 * given now is reckoned with in place of the plan's. */
static int plan_again(struct run *r, const char *file, json_t **ret)
{
    json_t *old = NULL, *now = NULL, *plan;
    CLEANUP(mem_free) char *machines = xstrdup("");
    size_t i;
    int rc = vm_plans_load(file, &old);
    if (rc)
        return rc;
    const json_t *plans = json_object_get(old, "plans");
    const char *host = show_str(json_array_get(plans, 0), "from");
    json_array_foreach(plans, i, plan)
    {
        char *more = xasprintf("%s%s%s", machines, i ? "\n" : "", show_str(plan, "machine"));
        free(machines);
        machines = more;
        if (host && strcmp(host, show_str(plan, "from")) != 0)
            host = NULL;
    }
    uint64_t rate = 0;
    const struct vm_move_opts *o = r->opts;
    if (o->rate && rate_parse(o->rate, &rate) == 0)
        (void)json_object_set_new(json_object_get(old, "options"), "rate",
                                  json_integer(rate == RATE_UNLIMITED ? 0 : (json_int_t)rate));
    rc =
        vm_plans_ask(r, machines, host, show_str(old, "to"), json_object_get(old, "options"), &now);
    if (rc == EXIT_DONE)
        rc = vm_plans_compare(old, now);
    json_decref(old);
    if (rc == EXIT_DONE)
        *ret = now;
    else
        json_decref(now);
    return rc;
}

static int plan_now(struct run *r, json_t **ret)
{
    const struct vm_move_opts *o = r->opts;
    CLEANUP(mem_free) char *machines = vm_words(r);
    if (!o->to || r->nwords == 0)
        return run_fail(EXIT_USAGE, "say which machines, and where to: --to HOST");
    json_t *options = vm_plans_options(o);
    int rc = vm_plans_ask(r, machines, o->host, o->to, options, ret);
    json_decref(options);
    return rc;
}

int vm_migrate_command(struct run *r)
{
    const struct vm_move_opts *o = r->opts;
    json_t *doc = NULL;
    if (o->plan && r->nwords > 0)
        return run_fail(EXIT_USAGE, "the plan names the machines: give it alone");
    int rc = o->plan ? plan_again(r, o->plan, &doc) : plan_now(r, &doc);
    if (rc)
        return rc;
    if (!show_flag(doc, "ok")) {
        if (run_json(r))
            run_print_json(doc);
        else
            vm_plans_show(doc);
        json_decref(doc);
        return run_fail(EXIT_PREFLIGHT, "nothing was moved");
    }
    char planned[24];
    uint64_t rate = (uint64_t)show_int(doc, "options.rate");
    rate_text(rate, planned);
    rc = vm_move(r, json_object_get(doc, "plans"), o->rate || rate == 0 ? o->rate : planned);
    json_decref(doc);
    return rc;
}

int vm_copy_command(struct run *r)
{
    const struct vm_move_opts *o = r->opts;
    CLEANUP(mem_free) char *machines = vm_words(r);
    json_t *doc = NULL;
    if (!o->to || !o->library)
        return run_fail(EXIT_USAGE, "say where to: --to HOST --library FOLDER");
    json_t *options = vm_plans_options(o);
    int rc = vm_plans_ask(r, machines, o->host, o->to, options, &doc);
    json_decref(options);
    if (rc)
        return rc;
    bool ok = show_flag(doc, "ok");
    if ((o->plan_only || !ok) && run_json(r))
        run_print_json(doc);
    else if (o->plan_only || !ok)
        vm_plans_show(doc);
    if (!ok)
        rc = run_fail(EXIT_PREFLIGHT, "nothing was copied");
    else if (!o->plan_only)
        rc = vm_move(r, json_object_get(doc, "plans"), o->rate);
    json_decref(doc);
    return rc;
}

int vm_moves_command(struct run *r)
{
    json_t *doc = NULL;
    int rc = ask_job(r, "vm moves", r->words[0], &doc);
    if (rc == EXIT_DONE)
        vm_moves_show(r, doc);
    json_decref(doc);
    return rc;
}

/* What is half done goes forth; what failed or went back is done once more, as it was planned. */
int vm_resume_command(struct run *r)
{
    const struct watch_opts watch = {.timeout_ms = 0};
    const char *name = r->words[0];
    json_t *doc = NULL;
    int rc = ask_job(r, "vm start", name, &doc);
    json_decref(doc);
    if (rc)
        return rc;
    rc = run_json(r) ? wait_for(r, name) : watch_job(r, name, &watch);
    doc = NULL;
    if (rc != EXIT_TIMED_OUT && ask_job(r, "vm moves", name, &doc) == EXIT_DONE)
        vm_moves_show(r, doc);
    json_decref(doc);
    return rc;
}

const struct option_row vm_rollback_options[] = {
    {.name = "destination-is-off",
     .kind = OPT_BOOL,
     .off = OPT(destination_off),
     .help =
         "A destination that does not answer is switched off for certain: the machine comes back "
         "without it."},
    {.name = NULL },
};

int vm_rollback_command(struct run *r)
{
    const struct vm_move_opts *o = r->opts;
    json_t *doc = NULL;
    const struct arg args[] = {
        {"job",      r->words[0]                                             },
        {"settings", o->destination_off ? "{\"destination_off\":true}" : NULL},
        ARGS_END
    };
    int rc = run_ask(r, "vm back", args, &doc);
    if (rc == EXIT_DONE && run_json(r))
        run_print_json(doc);
    else if (rc == EXIT_DONE && o->destination_off)
        run_say(
            "job %s goes back without the destinations that do not answer; a host that somebody "
            "reaches all the same is not taken for off: godwit vm moves %s",
            r->words[0], r->words[0]);
    else if (rc == EXIT_DONE)
        run_say("job %s goes back", r->words[0]);
    json_decref(doc);
    return rc;
}
