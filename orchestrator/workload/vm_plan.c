/* vm_plan: goes through the ways, best first; the first that nothing speaks against is taken. Main
 * thread, pure. */
#include "orchestrator/workload/vm_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"
#include "orchestrator/workload/vm_chain.h"
#include "orchestrator/workload/vm_checks_priv.h"
#include "orchestrator/workload/vm_streams.h"
#include "orchestrator/workload/vm_types.h"

#define STOP_S 120   /* for a guest to shut down */
#define KEEP_S 86400 /* the source's images */
#define YEAR_S UINT64_C(31536000)
#define WHY_MAX 240

struct planning {
    const struct vm_question *q;
    const struct vm_facts *f;
    json_t *checks;
    struct vm_load load;
    bool here, runs, saved;
    size_t disks, shared, own;
    char why[WHY_MAX]; /* what speaks against a type */
};

__attribute__((format(printf, 2, 3))) static bool against(struct planning *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(g->why, sizeof g->why, fmt, ap);
    va_end(ap);
    return true;
}

static const json_t *disks_of(const struct planning *g)
{
    return json_object_get(vm_domain(g->f), "disks");
}

/* Of the image that is written; of all in its chain where they become one. */
static uint64_t real_bytes(const struct planning *g, const json_t *disk)
{
    size_t i, k;
    const json_t *facts, *image;
    uint64_t sum = 0;
    json_array_foreach(json_object_get(vm_machine(g->f), "disks"), i, facts)
    {
        if (strcmp(vm_text(facts, "target"), vm_text(disk, "target")) != 0)
            continue;
        json_array_foreach(json_object_get(facts, "images"), k, image)
        {
            if (k == 0 || !vm_chain_goes_along(g->f, disk))
                sum += vm_number(image, "real_bytes");
        }
    }
    return sum ? sum : vm_number(disk, "real_bytes");
}

static bool has_place(const struct planning *g)
{
    return *vm_text(g->f->options, "pool") != '\0';
}

static bool is_shared(const struct planning *g, const json_t *disk)
{
    return vm_is_shared(g->f, disk);
}

static void weigh(struct planning *g)
{
    size_t i;
    const json_t *disk, *m = vm_machine(g->f);
    json_array_foreach(disks_of(g), i, disk)
    {
        if (!vm_is_disk(disk))
            continue;
        g->disks++;
        if (is_shared(g, disk)) {
            g->shared++;
            continue;
        }
        g->own++;
        g->load.disk_bytes += real_bytes(g, disk);
    }
    g->saved = vm_flag(vm_domain(g->f), "managed_save");
    g->load.disk_bytes += vm_chain_lacking(g->f, NULL) + vm_number(m, "saved_bytes");
    const char *state = vm_text(vm_domain(g->f), "state");
    g->runs = strcmp(state, "running") == 0 || strcmp(state, "blocked") == 0;
    g->here = strcmp(g->f->from, g->f->to) == 0;
    g->load.runs = g->runs;
    g->load.rate = g->q->rate ? g->q->rate : VM_PLAN_RATE_ASSUMED;
    g->load.limit = vm_number(g->f->options, "rate");
    g->load.memory_bytes = vm_number(vm_domain(g->f), "memory_now_bytes");
    if (!g->load.memory_bytes)
        g->load.memory_bytes = vm_number(vm_domain(g->f), "memory_bytes");
    g->load.dirty_rate = vm_flag(m, "dirty_known") ? vm_number(m, "dirty_rate") : 0;
}

/* ── what speaks against a type ── */

static bool by_state(struct planning *g, const struct vm_type *t)
{
    if (vm_type_is(t, VM_COPIES) != vm_to_library(g->f))
        return against(g, vm_to_library(g->f) ? "it is to stay where it is: a copy is to be made"
                                              : "no library was named");
    if (vm_type_is(t, VM_COPIES) && g->here)
        return against(g, "the library is to be on another host than the machine");
    if (vm_type_is(t, VM_WITHIN) && !g->here)
        return against(g, "the machine goes to another host");
    if (!vm_type_is(t, VM_WITHIN) && g->here)
        return against(g, "the machine stays on its host");
    if (g->runs && !vm_type_is(t, VM_FOR_RUNNING))
        return against(g, "the machine is running");
    if (!g->runs && !vm_type_is(t, VM_FOR_OFF))
        return against(g, "the machine is off");
    if (g->here && !has_place(g))
        return against(g, "no other place was asked for (--pool)");
    return false;
}

static bool by_storage(struct planning *g, const struct vm_type *t)
{
    size_t i;
    const json_t *disk;
    if (vm_type_is(t, VM_WITHIN))
        return json_object_size(json_object_get(g->f->options, "devices")) > 0 &&
               against(g, "storage changes into pools alone (--pool)");
    if (vm_type_is(t, VM_ON_SHARED) && g->own > 0)
        return against(g, "%zu of its %zu disks are seen by the source alone", g->own, g->disks);
    if (vm_type_is(t, VM_ON_SHARED) && g->saved)
        return against(g, "its saved memory is on the source alone");
    if (!vm_type_is(t, VM_ON_SHARED) && g->own == 0 && g->disks > 0 && !g->saved)
        return against(g, "both hosts see all of its disks: nothing is to be copied");
    if (!vm_type_has(t, "seed") && t->type != GODWIT__VM_MOVE_TYPE__VM_MOVE_COLD &&
        json_object_size(json_object_get(g->f->options, "devices")) > 0)
        return against(g, "a device of its own for a disk is written only by the ways of Network "
                          "and the warm ones");
    json_array_foreach(disks_of(g), i, disk)
    {
        if (vm_type_has(t, "seed") && vm_chain_goes_along(g->f, disk))
            return against(g,
                           "%s stands on other images, which do not go this way: --flatten would "
                           "make them one",
                           vm_text(disk, "target"));
    }
    return false;
}

static bool failed_check(struct planning *g, const char *id)
{
    if (vm_check_good(g->checks, id))
        return false;
    return against(g, "%s (%s)", vm_text(vm_check_of(g->checks, id), "evidence"), id);
}

static bool warned(const struct planning *g, const char *id)
{
    return strcmp(vm_text(vm_check_of(g->checks, id), "result"), "warn") == 0;
}

static bool by_machine(struct planning *g, const struct vm_type *t)
{
    if ((vm_type_is(t, VM_WITH_MEMORY) || g->saved) && !vm_type_is(t, VM_WITHIN) &&
        (failed_check(g, "cpu") || failed_check(g, "versions")))
        return true;
    if (vm_type_is(t, VM_WITH_MEMORY) && vm_number(vm_domain(g->f), "snapshots") > 0)
        return against(g, "it has snapshots, which do not move while it runs");
    if (vm_type_is(t, VM_WITH_MEMORY) && !vm_type_is(t, VM_WITHIN) &&
        vm_count(vm_domain(g->f), "host_devices") > 0)
        return against(g, "a device of its host is passed through to it");
    if (vm_type_is(t, VM_WITH_MEMORY) && vm_type_is(t, VM_ON_SHARED) && warned(g, "cache"))
        return against(g, "%s (cache)", vm_text(vm_check_of(g->checks, "cache"), "evidence"));
    if (vm_type_has(t, "migrate") && vm_streams_lack(g->f))
        return against(g, "libvirt or QEMU of %s is too old for streams (--streams)",
                       vm_streams_lack(g->f));
    if (!vm_type_is(t, VM_WITH_MEMORY) && !vm_flag(vm_domain(g->f), "persistent"))
        return against(g, "it has no definition that outlives its run");
    if (vm_type_is(t, VM_STARTS_ANEW) && g->runs && !vm_flag(g->f->options, "stop"))
        return against(g, "it would be shut down or started anew, which --stop would allow");
    return false;
}

static bool has_stage(const json_t *said, const char *stage)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(said, "stages"), i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), stage) == 0)
            return true;
    }
    return false;
}

static bool is_unknown(struct planning *g, const char *stage)
{
    if (!has_stage(g->f->look, stage))
        return against(g, "the agent of %s does not know how (%s)", g->f->from, stage);
    return !has_stage(g->f->check, stage) &&
           against(g, "the agent of %s does not know how (%s)", g->f->to, stage);
}

static bool has_chain(const struct planning *g)
{
    size_t i;
    const json_t *disk;
    json_array_foreach(disks_of(g), i, disk)
    {
        if (vm_chain_goes_along(g->f, disk))
            return true;
    }
    return false;
}

static bool by_agents(struct planning *g, const struct vm_type *t)
{
    for (size_t i = 0; t->stages[i]; i++) {
        if (!g->runs && (strcmp(t->stages[i], "stop") == 0 || strcmp(t->stages[i], "start") == 0 ||
                         strcmp(t->stages[i], "answers") == 0))
            continue;
        if (is_unknown(g, t->stages[i]))
            return true;
    }
    return !vm_type_is(t, VM_WITHIN) && has_chain(g) && is_unknown(g, "bases");
}

static bool by_promise(struct planning *g, const struct vm_type *t)
{
    const json_t *o = g->f->options;
    struct vm_cost c = vm_type_cost(t, &g->load);
    uint64_t outage = vm_number(o, "max_outage_ms"), duration = vm_number(o, "max_duration_s");
    char dirty[16], rate[16];
    text_bytes(g->load.dirty_rate, dirty);
    text_bytes(g->load.rate, rate);
    if (!c.ends && !vm_flag(o, "postcopy") && !vm_check_overridden(g->f, "convergence"))
        return against(g,
                       "it writes %s of its memory a second, %s a second can be sent: it would "
                       "not come to an end, with its processors slowed to a half either",
                       dirty, rate);
    if (outage && c.outage_ms > outage)
        return against(g, "its outage would be about %llu ms, %llu ms are allowed",
                       (unsigned long long)c.outage_ms, (unsigned long long)outage);
    if (duration && c.seconds > duration)
        return against(g, "it would take about %llu s, %llu s are allowed",
                       (unsigned long long)c.seconds, (unsigned long long)duration);
    return false;
}

static bool by_wish(struct planning *g, const struct vm_type *t)
{
    const char *wish = vm_text(g->f->options, "type");
    if (*wish && strcmp(wish, t->id) != 0)
        return against(g, "another one was asked for (--type %.32s)", wish);
    return false;
}

static bool speaks_against(struct planning *g, const struct vm_type *t)
{
    g->why[0] = '\0';
    return by_state(g, t) || by_storage(g, t) || by_machine(g, t) || by_agents(g, t) ||
           by_promise(g, t) || by_wish(g, t);
}

/* ── the plan ── */

static json_t *plan_disk(const struct planning *g, const json_t *disk)
{
    const json_t *there = vm_arrival(g->f, vm_text(disk, "target"));
    int how = !vm_is_disk(disk)                             ? GODWIT__VM_MOVE_DISK__HOW__EJECT
              : is_shared(g, disk)                          ? GODWIT__VM_MOVE_DISK__HOW__SHARED
              : !g->here && vm_chain_goes_along(g->f, disk) ? GODWIT__VM_MOVE_DISK__HOW__SEEDED
                                                            : GODWIT__VM_MOVE_DISK__HOW__COPY;
    bool flat = how == GODWIT__VM_MOVE_DISK__HOW__COPY && vm_chain_depth(g->f, disk) > 0;
    const char *path = *vm_text(there, "path") ? vm_text(there, "path") : vm_text(disk, "source");
    bool to_device = vm_flag(there, "device");
    bool device =
        vm_flag(json_array_get(vm_images(g->f, disk), 0), "block") || vm_flag(there, "block");
    return json_pack("{s:s,s:i,s:s,s:s,s:s,s:s,s:I,s:I,s:b,s:b,s:o,s:b,s:b}", "target",
                     vm_text(disk, "target"), "how", how, "source", vm_text(disk, "source"), "path",
                     path, "pool", vm_text(there, "pool"), "format", vm_text(disk, "format"),
                     "virtual_bytes", (json_int_t)vm_number(disk, "virtual_bytes"), "real_bytes",
                     (json_int_t)real_bytes(g, disk), "read_only", vm_flag(disk, "read_only"),
                     "flatten", flat, "bases", vm_chain_names(g->f, disk), "device", device,
                     "to_device", to_device);
}

/* A medium that both hosts have stays in its drive. */
static bool is_left_as_it_is(const struct planning *g, const json_t *disk)
{
    return !vm_is_disk(disk) && (!*vm_text(disk, "source") || !warned(g, "media"));
}

/* What is saved of its memory goes with its disks, as one of them. */
static json_t *plan_saved(const struct planning *g)
{
    const char *path = vm_text(vm_machine(g->f), "saved");
    return json_pack("{s:s,s:i,s:s,s:s,s:s,s:s,s:I,s:i}", "target", "saved", "how",
                     (int)GODWIT__VM_MOVE_DISK__HOW__COPY, "source", path, "path", path, "pool", "",
                     "format", "raw", "virtual_bytes",
                     (json_int_t)vm_number(vm_machine(g->f), "saved_bytes"), "kind",
                     (int)GODWIT__VM_MOVE_DISK__KIND__SAVED);
}

static json_t *plan_move(const struct planning *g, const struct vm_type *t)
{
    const json_t *o = g->f->options, *d = vm_domain(g->f), *disk;
    size_t i;
    json_t *disks = json_array();
    json_array_foreach(disks_of(g), i, disk)
    {
        if (!is_left_as_it_is(g, disk))
            (void)json_array_append_new(disks, plan_disk(g, disk));
    }
    if (g->saved)
        (void)json_array_append_new(disks, plan_saved(g));
    json_t *bases = vm_type_is(t, VM_WITHIN) ? json_array() : vm_chain_bases(g->f);
    uint64_t stop = vm_number(o, "stop_s");
    uint64_t keep = json_object_get(o, "keep_s") ? vm_number(o, "keep_s") : KEEP_S;
    return json_pack(
        "{s:i,s:s,s:s,s:b,s:o,s:s,s:I,s:I,s:I,s:b,s:I,s:s,s:I,s:b,s:o,s:b,s:s}", "type",
        (int)t->type, "uuid", vm_text(d, "uuid"), "name", vm_text(d, "name"), "runs", g->runs,
        "disks", disks, "definition", vm_text(vm_machine(g->f), "digest"), "max_outage_ms",
        (json_int_t)vm_number(o, "max_outage_ms"), "max_duration_s",
        (json_int_t)vm_number(o, "max_duration_s"), "shutdown_s",
        (json_int_t)(stop ? stop : STOP_S), "postcopy", vm_flag(o, "postcopy"), "seed_s",
        (json_int_t)keep, "answers", vm_text(o, "answers"), "streams",
        (json_int_t)vm_streams(g->f, t, &g->load), "force_off", vm_flag(o, "force_off"), "bases",
        bases, "own_tcp", vm_flag(o, "own_tcp"), "library", vm_text(o, "library"));
}

/* Disks whose storage a mark has to prove to be shared. A device is known by its identity. */
static json_t *marks(const struct planning *g)
{
    json_t *list = json_array();
    size_t i;
    const json_t *disk;
    json_array_foreach(disks_of(g), i, disk)
    {
        if (vm_is_disk(disk) && is_shared(g, disk) && strcmp(vm_text(disk, "storage"), "file") == 0)
            (void)json_array_append_new(list, json_string(vm_text(disk, "target")));
    }
    return list;
}

/* What is done to keep the promise, as far as it can be told before. */
static json_t *measures(const struct vm_type *t, const struct vm_cost *c, const struct vm_load *l)
{
    json_t *list = json_array();
    if (!vm_type_has(t, "migrate"))
        return list;
    if (c->lifted && l->dirty_rate > 0)
        (void)json_array_append_new(
            list, json_string("the limit (--rate) is lifted for the last rounds of its memory"));
    if (c->slowed)
        (void)json_array_append_new(
            list, json_string("it writes faster than can be sent: its processors are slowed until "
                              "it comes to an end"));
    if (!c->ends)
        (void)json_array_append_new(
            list,
            json_string("nothing says that it comes to an end: --max-duration says when it is "
                        "given up"));
    return list;
}

static void put_type(const struct planning *g, const struct vm_type *t, json_t *plan)
{
    struct vm_cost c = vm_type_cost(t, &g->load);
    char why[WHY_MAX];
    const char *how = vm_type_is(t, VM_COPIES)      ? "and stays: a copy goes into the library"
                      : vm_type_is(t, VM_WITHIN)    ? "its storage changes on its own host"
                      : vm_type_is(t, VM_ON_SHARED) ? "both hosts see all of its disks"
                      : g->saved && g->own == 0     ? "its saved memory goes along"
                                                    : "its disks go along";
    (void)snprintf(why, sizeof why, "it is %s, %s%s",
                   g->runs    ? "running"
                   : g->saved ? "saved"
                              : "off",
                   how,
                   json_array_size(json_object_get(plan, "refused")) == 0
                       ? ""
                       : "; nothing better is possible");
    (void)json_object_set_new(plan, "type", json_string(t->id));
    (void)json_object_set_new(plan, "name", json_string(t->name));
    (void)json_object_set_new(plan, "why", json_string(why));
    (void)json_object_set_new(plan, "bytes", json_integer((json_int_t)c.bytes));
    (void)json_object_set_new(plan, "seconds", json_integer((json_int_t)c.seconds));
    (void)json_object_set_new(plan, "outage_ms", json_integer((json_int_t)c.outage_ms));
    (void)json_object_set_new(plan, "measures", measures(t, &c, &g->load));
    (void)json_object_set_new(plan, "move", plan_move(g, t));
    (void)json_object_set_new(plan, "mark", marks(g));
}

/* Ways that are for machines in another state are no news to anybody. */
static bool is_told(const struct planning *g, const struct vm_type *t)
{
    if (vm_to_library(g->f) || vm_type_is(t, VM_COPIES))
        return vm_to_library(g->f) && vm_type_is(t, VM_COPIES);
    return vm_type_is(t, VM_WITHIN) == g->here &&
           (g->runs ? vm_type_is(t, VM_FOR_RUNNING) : vm_type_is(t, VM_FOR_OFF));
}

static void choose(struct planning *g, json_t *plan)
{
    const struct vm_type *t;
    json_t *refused = json_array();
    (void)json_object_set_new(plan, "refused", refused);
    for (size_t i = 0; (t = vm_type_at(i)) != NULL; i++) {
        if (!speaks_against(g, t)) {
            put_type(g, t, plan);
            return;
        }
        if (is_told(g, t))
            (void)json_array_append_new(
                refused, json_pack("{s:s,s:s,s:s}", "type", t->id, "name", t->name, "why", g->why));
    }
    (void)json_object_set_new(plan, "type", json_null());
}

/* What changes by itself while a machine runs is no part of it. */
static void put_digest(json_t *plan)
{
    json_t *move = json_deep_copy(json_object_get(plan, "move")), *disk;
    size_t i;
    uint8_t digest[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    json_array_foreach(json_object_get(move, "disks"), i, disk)(void)
        json_object_del(disk, "real_bytes");
    json_t *all =
        json_pack("{s:s,s:s,s:O,s:o}", "from", vm_text(plan, "from"), "to", vm_text(plan, "to"),
                  "state", json_object_get(plan, "state"), "move", move ? move : json_null());
    CLEANUP(mem_free) char *text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(all);
    sha256_of(text ? text : "", text ? strlen(text) : 0, digest);
    text_hex(digest, sizeof digest, hex);
    (void)json_object_set_new(plan, "digest", json_string(hex));
}

static void put_verdict(const struct planning *g, json_t *plan)
{
    const json_t *stop = vm_checks_stop(g->checks);
    bool ok = !stop && json_is_string(json_object_get(plan, "type"));
    (void)json_object_set_new(plan, "ok", json_boolean(ok));
    if (stop)
        (void)json_object_set_new(plan, "stopped_by", json_string(vm_text(stop, "id")));
}

/* Of a live move: no other way needs more than lanes. */
static int64_t over_s(const struct planning *g)
{
    const struct vm_type *live = vm_type_of(GODWIT__VM_MOVE_TYPE__VM_MOVE_LIVE_VSM);
    uint64_t most = vm_number(g->f->options, "max_duration_s");
    uint64_t takes = most ? most : vm_type_cost(live, &g->load).seconds;
    return g->q->now_s ? g->q->now_s + (int64_t)(takes < YEAR_S ? takes : YEAR_S) : 0;
}

json_t *vm_plan(const struct vm_question *q)
{
    struct vm_facts facts = q->facts;
    struct planning g = {.q = q, .f = &facts};
    const json_t *d = vm_domain(&q->facts);
    json_t *plan = json_pack("{s:s,s:s,s:s,s:s,s:s}", "machine", d ? vm_text(d, "name") : q->word,
                             "uuid", vm_text(d, "uuid"), "from", q->facts.from, "to", q->facts.to,
                             "state", vm_text(d, "state"));
    weigh(&g);
    (void)json_object_set_new(
        plan, "memory_bytes",
        json_integer(vm_to_library(&q->facts) ? 0 : (json_int_t)vm_number(d, "memory_bytes")));
    facts.over_s = over_s(&g);
    g.checks = vm_checks_run(&facts);
    (void)json_object_set_new(plan, "rate", json_integer((json_int_t)g.load.rate));
    (void)json_object_set_new(plan, "rate_measured", json_boolean(q->rate != 0));
    (void)json_object_set_new(plan, "checks", g.checks);
    choose(&g, plan);
    put_verdict(&g, plan);
    put_digest(plan);
    return plan;
}

const char *vm_plan_digest(const json_t *plan)
{
    return vm_text(plan, "digest");
}

bool vm_plan_stale(const json_t *old, const json_t *now, char *ret, size_t size)
{
    const json_t *a = json_object_get(old, "move"), *b = json_object_get(now, "move");
    if (!vm_flag(now, "ok")) {
        (void)snprintf(ret, size, "it may not move any more (%.60s)", vm_text(now, "stopped_by"));
        return true;
    }
    if (strcmp(vm_plan_digest(old), vm_plan_digest(now)) == 0)
        return false;
    const char *what = strcmp(vm_text(old, "uuid"), vm_text(now, "uuid")) != 0
                           ? "another machine has its name now"
                       : strcmp(vm_text(old, "state"), vm_text(now, "state")) != 0
                           ? "it was started or stopped since"
                       : strcmp(vm_text(a, "definition"), vm_text(b, "definition")) != 0
                           ? "its definition was changed since"
                       : strcmp(vm_text(old, "type"), vm_text(now, "type")) != 0
                           ? "another way is the best one now"
                           : "its disks are others now, or would be at another place";
    (void)snprintf(ret, size, "%s", what);
    return true;
}

#define RATE_BYTES (UINT64_C(4) << 20) /* of less nothing can be told */

uint64_t vm_plan_rate(const json_t *facts)
{
    static const char *const acts[] = {"bases", "seed", "copy", "migrate"};
    const json_t *vm = json_object_get(facts, "vm"), *rows = json_object_get(vm, "rows");
    uint64_t bytes = vm_number(json_object_get(vm, "figures"), "bytes"), ms = 0;
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
        ms += vm_number(json_object_get(rows, acts[i]), "took_ms");
    return bytes >= RATE_BYTES && ms > 0 ? bytes / ms * 1000 : 0;
}
