/* vm_plan: "vm plan": asks the hosts for the machines, then the destination whether they may come,
 * then has workload/vm_plan.h decide. Put again until all have answered. Main thread. */
#include "orchestrator/workload/vm_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/serve/serve.h"
#include "orchestrator/serve/serve_priv.h"
#include "orchestrator/workload/vm_ask.h"
#include "proto/vm_move.pb-c.h"

#define ANSWER_MS 25000 /* a console waits for 30 s */
#define MACHINES_MAX 64

struct planning {
    struct serve *s;
    const char *to, *host; /* host NULL: whoever has it */
    json_t *options;
    json_t *words;
    struct serve_reply *ret;
    json_t *plans;
    bool out; /* somebody has not answered yet */
    bool ok;
    uint64_t arriving, arriving_disk;
};

static char *about_of(const struct planning *g, const char *word)
{
    CLEANUP(mem_free) char *devices = json_dumps(json_object_get(g->options, "devices"), 0);
    return xasprintf("%s\n%s\n%s\n%s\n%s\n%s", g->to, g->host ? g->host : "",
                     vm_text(g->options, "pool"), vm_text(g->options, "library"),
                     devices ? devices : "", word);
}

/* *ret NULL: it is still out. New reference. */
static int ask(struct planning *g, const struct engine_asking *a, json_t **ret)
{
    struct fault why = {.err = 0};
    *ret = NULL;
    int rc = engine_ask_once(g->s->engine, a, ret, &why);
    g->out = g->out || rc == 1;
    if (rc < 0)
        serve_fault(g->ret, rc, &why);
    return rc;
}

static int look(struct planning *g, const char *host, const char *word, const char *about,
                json_t **ret)
{
    size_t n = 0;
    const struct fleet_host *to = strcmp(host, g->to) != 0 ? fleet_find(g->s->fleet, g->to) : NULL;
    json_t *reach = to ? vm_reach_of(to, vm_flag(g->options, "own_tcp")) : NULL;
    CLEANUP(mem_free) uint8_t *args = vm_look_order(word, true, reach, &n);
    const struct engine_asking a = {
        .name = "vm look", .host = host, .about = about, .args = args, .args_len = n};
    return ask(g, &a, ret);
}

/* ── who has it ── */

struct found {
    json_t *host;  /* its name */
    json_t *reply; /* of that host; NULL: none has it */
    unsigned n;    /* how many have it */
    json_t *silent;
};

static void found_done(struct found *f)
{
    json_decref(f->host);
    json_decref(f->reply);
    json_decref(f->silent);
}

static void take_look(struct found *f, json_t *host, json_t *reply)
{
    const json_t *answer = json_object_get(reply, "answer");
    if (!answer)
        (void)json_array_append(f->silent, reply);
    if (!json_is_object(json_object_get(answer, "machine")))
        return;
    f->n++;
    json_decref(f->host);
    json_decref(f->reply);
    f->host = json_incref(host);
    f->reply = json_incref(reply);
}

static int find(struct planning *g, const char *word, struct found *f)
{
    CLEANUP(mem_free) char *about = about_of(g, word);
    json_t *hosts = g->host ? json_pack("[s]", g->host) : engine_ask_hosts(g->s->engine), *host;
    size_t i;
    int rc = 0;
    *f = (struct found){.silent = json_array()};
    json_array_foreach(hosts, i, host)
    {
        json_t *reply = NULL;
        rc = look(g, json_string_value(host), word, about, &reply);
        if (rc < 0)
            break;
        if (rc == 0)
            take_look(f, host, reply);
        json_decref(reply);
    }
    json_decref(hosts);
    return rc < 0 ? rc : 0;
}

/* ── what comes of it ── */

static const char *why_of(const json_t *reply)
{
    return vm_text(reply, "why");
}

static void add_disks(struct planning *g, const json_t *plan)
{
    const json_t *disk;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(plan, "move"), "disks"), i, disk)
    {
        int how = (int)vm_number(disk, "how");
        if (how == GODWIT__VM_MOVE_DISK__HOW__COPY || how == GODWIT__VM_MOVE_DISK__HOW__SEEDED)
            g->arriving_disk += vm_number(disk, "virtual_bytes");
    }
}

static void put_plan(struct planning *g, const char *word, const char *from, const json_t *look,
                     const json_t *check)
{
    const json_t *a = json_object_get(look, "answer"), *b = json_object_get(check, "answer");
    struct vm_question q = {
        .word = word,
        .facts = {.look = a,
                  .check = b,
                  .why = !a ? why_of(look) : why_of(check),
                  .options = g->options,
                  .from = from,
                  .to = g->to,
                  .arriving = g->arriving,
                  .arriving_disk = g->arriving_disk},
        .rate = engine_best_between(g->s->engine, "vm", from, g->to, vm_plan_rate),
        .now_s = clock_wall_ms() / 1000
    };
    json_t *plan = vm_plan(&q);
    g->ok = g->ok && vm_flag(plan, "ok");
    if (vm_flag(plan, "ok")) {
        g->arriving += vm_number(plan, "memory_bytes");
        add_disks(g, plan);
    }
    (void)json_array_append_new(g->plans, plan);
}

static int plan_found(struct planning *g, const char *word, const struct found *f)
{
    const char *from = json_string_value(f->host);
    CLEANUP(mem_free) char *about = about_of(g, word);
    size_t n = 0;
    json_t *check = NULL;
    CLEANUP(mem_free)
    uint8_t *args = vm_check_order(json_object_get(f->reply, "answer"), g->options, &n);
    const struct engine_asking a = {
        .name = "vm check", .host = g->to, .about = about, .args = args, .args_len = n};
    int rc = ask(g, &a, &check);
    if (rc == 0)
        put_plan(g, word, from, f->reply, check);
    json_decref(check);
    return rc;
}

static int plan_one(struct planning *g, const char *word)
{
    struct found f;
    int rc = find(g, word, &f);
    const json_t *silent = json_array_get(f.silent, 0);
    if (rc < 0 || g->out) {
        found_done(&f);
        return rc;
    }
    if (f.n > 1) {
        serve_refuse(g->ret, SERVE_CONFLICT, "%u hosts have a machine %.64s: say which with --host",
                     f.n, word);
        rc = -EEXIST;
    } else if (f.n == 1) {
        rc = plan_found(g, word, &f);
    } else if (silent && g->host) {
        put_plan(g, word, g->host, silent, NULL);
    } else {
        serve_refuse(g->ret, silent ? SERVE_FAILED : SERVE_NOT_FOUND,
                     "no host that answered has a machine %.64s%s%s%s%s", word, silent ? "; " : "",
                     silent ? vm_text(silent, "host") : "", silent ? ": " : "",
                     silent ? why_of(silent) : "");
        rc = -ENOENT;
    }
    found_done(&f);
    return rc < 0 ? rc : 0;
}

static json_t *split(const char *lines)
{
    CLEANUP(mem_free) char *copy = xstrdup(lines);
    char *save = NULL;
    json_t *list = json_array();
    for (char *one = strtok_r(copy, "\n", &save); one; one = strtok_r(NULL, "\n", &save))
        (void)json_array_append_new(list, json_string(one));
    return list;
}

/* What other jobs are bringing there takes its memory and its space, though it is not there yet. */
static void add_coming(void *arg, const json_t *options, unsigned n)
{
    struct planning *g = arg;
    const json_t *plan = json_array_get(json_object_get(options, "plans"), n - 1);
    if (strcmp(vm_text(plan, "from"), vm_text(plan, "to")) == 0)
        return;
    g->arriving += vm_number(plan, "memory_bytes");
    add_disks(g, plan);
}

static bool read_request(struct planning *g, const Godwit__ConsoleRequest *req)
{
    const char *options = serve_arg(req, "options");
    struct fault why = {.err = 0};
    g->to = serve_arg(req, "to");
    g->host = serve_arg(req, "host");
    g->words = split(serve_arg(req, "machines"));
    g->options = options ? json_loads(options, JSON_REJECT_DUPLICATES, NULL) : json_object();
    if (json_array_size(g->words) < 1 || json_array_size(g->words) > MACHINES_MAX)
        serve_refuse(g->ret, SERVE_USAGE, "name 1 to %d machines", MACHINES_MAX);
    else if (!json_is_object(g->options) || vm_plan_check_options(g->options, &why) < 0)
        serve_refuse(g->ret, SERVE_USAGE, "%s", why.err ? why.text : "the options are no object");
    else {
        g->arriving = vm_number(g->options, "arriving_memory");
        g->arriving_disk = vm_number(g->options, "arriving_disk");
        engine_each_coming(g->s->engine, "vm", g->to, add_coming, g);
        return true;
    }
    return false;
}

static void forget_all(struct planning *g)
{
    size_t i;
    const json_t *word;
    json_array_foreach(g->words, i, word)
    {
        CLEANUP(mem_free) char *about = about_of(g, json_string_value(word));
        engine_ask_forget(g->s->engine, about);
    }
}

static void plan_all(struct planning *g)
{
    size_t i;
    const json_t *word;
    int rc = 0;
    g->ok = true;
    g->plans = json_array();
    /* All are asked before any is waited for. */
    json_array_foreach(g->words, i, word)
    {
        bool before = g->out;
        g->out = false;
        rc = plan_one(g, json_string_value(word));
        g->out = g->out || before;
        if (rc < 0)
            return;
    }
    if (!g->out) {
        g->ret->json = json_pack("{s:i,s:s,s:I,s:b,s:O,s:O}", "schema", 1, "to", g->to, "made_ms",
                                 (json_int_t)clock_wall_ms(), "ok", g->ok, "options", g->options,
                                 "plans", g->plans);
        return;
    }
    g->ret->later = g->s->waited_ms >= 0 && g->s->waited_ms < ANSWER_MS;
    if (!g->ret->later)
        serve_refuse(g->ret, SERVE_TIMED_OUT, "not all hosts have answered in time");
}

void serve_vm_plan(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    struct planning g = {.s = s, .ret = ret};
    if (!serve_args(req, "machines to host options", 2, ret))
        return;
    if (read_request(&g, req)) {
        if (s->waited_ms <= 0)
            forget_all(&g);
        plan_all(&g);
    }
    json_decref(g.words);
    json_decref(g.options);
    json_decref(g.plans);
}
