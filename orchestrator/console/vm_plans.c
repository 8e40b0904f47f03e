/* vm_plans: the table of plans for people, and plans as files. Main thread. */
#include "orchestrator/console/vm_plans.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "orchestrator/console/show.h"
#include "orchestrator/workload/vm_plan.h"

#define PLAN_FILE_MAX (8U << 20)

static const struct column columns[] = {
    {"MACHINE", "machine", CELL_TEXT },
    {"FROM",    "from",    CELL_TEXT },
    {"TO",      "to",      CELL_TEXT },
    {"STATE",   "state",   CELL_TEXT },
    {"TYPE",    "name",    CELL_TEXT },
    {"BYTES",   "bytes",   CELL_BYTES},
    {"TIME",    "time",    CELL_TEXT },
    {"OUTAGE",  "outage",  CELL_TEXT },
    {"WHY",     "why",     CELL_TEXT },
    {NULL,      NULL,      CELL_TEXT },
};

static void put_number(json_t *o, const char *key, uint64_t v)
{
    if (v)
        (void)json_object_set_new(o, key, json_integer((json_int_t)v));
}

static void put_text(json_t *o, const char *key, const char *v)
{
    if (v && *v)
        (void)json_object_set_new(o, key, json_string(v));
}

static void put_flag(json_t *o, const char *key, bool v)
{
    if (v)
        (void)json_object_set_new(o, key, json_true());
}

static void put_folder(json_t *o, const char *library)
{
    size_t n = library ? strlen(library) : 0;
    while (n > 1 && library[n - 1] == '/')
        n--;
    if (n > 0)
        (void)json_object_set_new(o, "library", json_stringn(library, n));
}

/* "vda=/dev/vg/web" on a line each. What is none is given on as it is: the orchestrator refuses it.
 */
static void put_devices(json_t *o, const char *lines)
{
    CLEANUP(mem_free) char *copy = xstrdup(lines ? lines : "");
    char *save = NULL;
    json_t *devices = json_object();
    for (char *one = strtok_r(copy, "\n", &save); one; one = strtok_r(NULL, "\n", &save)) {
        char *path = strchr(one, '=');
        if (path)
            *path++ = '\0';
        (void)json_object_set_new(devices, one, json_string(path ? path : ""));
    }
    if (json_object_size(devices) > 0)
        (void)json_object_set(o, "devices", devices);
    json_decref(devices);
}

json_t *vm_plans_options(const struct vm_move_opts *o)
{
    json_t *j = json_object(), *list = json_array();
    CLEANUP(mem_free) char *copy = xstrdup(o->override ? o->override : "");
    char *save = NULL;
    for (char *one = strtok_r(copy, "\n", &save); one; one = strtok_r(NULL, "\n", &save))
        (void)json_array_append_new(list, json_string(one));
    if (json_array_size(list) > 0)
        (void)json_object_set(j, "override", list);
    json_decref(list);
    put_number(j, "max_outage_ms", o->max_outage_ms);
    put_number(j, "max_duration_s", o->max_duration_ms / 1000);
    put_number(j, "stop_s", o->stop_ms / 1000);
    (void)json_object_set_new(j, "keep_s", json_integer((json_int_t)(o->keep_ms / 1000)));
    put_text(j, "pool", o->pool);
    put_folder(j, o->library);
    put_devices(j, o->device);
    put_text(j, "type", o->type);
    put_text(j, "answers", o->answers);
    put_flag(j, "stop", o->stop);
    put_flag(j, "flatten", o->flatten);
    put_flag(j, "force_off", o->force_off);
    put_flag(j, "postcopy", o->postcopy);
    put_flag(j, "own_tcp", o->own_tcp);
    put_number(j, "streams", o->streams);
    uint64_t rate = RATE_UNLIMITED;
    /* One that cannot be read is refused with the job. */
    if (o->rate && rate_parse(o->rate, &rate) == 0 && rate != RATE_UNLIMITED)
        put_number(j, "rate", rate);
    return j;
}

#define AT_ONCE 64 /* machines that the orchestrator plans in one answer */

static int ask_some(struct run *r, const char *machines, const char *host, const char *to,
                    const json_t *options, json_t **ret)
{
    CLEANUP(mem_free) char *text = json_dumps(options, JSON_COMPACT);
    const struct arg args[] = {
        {"machines", machines},
        {"to",       to      },
        {"host",     host    },
        {"options",  text    },
        ARGS_END
    };
    return run_ask(r, "vm plan", args, ret);
}

/* Up to so many lines of *rest; malloc'd, "": there are none. *rest stands behind them. */
static char *some_lines(const char **rest)
{
    const char *end = *rest;
    for (unsigned n = 0; n < AT_ONCE && *end; n++) {
        end += strcspn(end, "\n");
        if (n + 1 < AT_ONCE && *end)
            end++;
    }
    char *some = xasprintf("%.*s", (int)(end - *rest), *rest);
    *rest = *end ? end + 1 : end;
    return some;
}

static void add_number(json_t *o, const char *key, uint64_t more)
{
    json_int_t was = json_integer_value(json_object_get(o, key));
    (void)json_object_set_new(o, key, json_integer(was + (json_int_t)more));
}

/* What these plans bring is there when the next ones are made. */
static void take_in(json_t *options, const json_t *doc)
{
    size_t i, k;
    const json_t *plan, *disk;
    json_array_foreach(json_object_get(doc, "plans"), i, plan)
    {
        if (!show_flag(plan, "ok"))
            continue;
        add_number(options, "arriving_memory", (uint64_t)show_int(plan, "memory_bytes"));
        json_array_foreach(show_find(plan, "move.disks"), k, disk)
            add_number(options, "arriving_disk", (uint64_t)show_int(disk, "virtual_bytes"));
    }
}

static void append(json_t **all, json_t *more)
{
    if (!*all) {
        *all = more;
        return;
    }
    (void)json_array_extend(json_object_get(*all, "plans"), json_object_get(more, "plans"));
    if (!show_flag(more, "ok"))
        (void)json_object_set_new(*all, "ok", json_false());
    json_decref(more);
}

int vm_plans_ask(struct run *r, const char *machines, const char *host, const char *to,
                 const json_t *options, json_t **ret)
{
    json_t *own = json_deep_copy(options), *all = NULL;
    int rc = EXIT_DONE;
    while (rc == EXIT_DONE && (*machines || !all)) {
        CLEANUP(mem_free) char *some = some_lines(&machines);
        json_t *doc = NULL;
        rc = ask_some(r, some, host, to, own, &doc);
        if (rc == EXIT_DONE) {
            take_in(own, doc);
            append(&all, doc);
        }
    }
    json_decref(own);
    if (rc == EXIT_DONE) {
        /* What was asked for, without what was added up: the plan is made anew from it. */
        (void)json_object_set_new(all, "options", json_deep_copy(options));
        *ret = all;
    } else {
        json_decref(all);
    }
    return rc;
}

/* ── shown ── */

static json_t *row_of(const json_t *plan)
{
    json_t *row = json_copy((json_t *)(uintptr_t)plan);
    char time[32] = "-", outage[32] = "-";
    if (*show_str(plan, "type")) {
        show_duration((uint64_t)show_int(plan, "seconds") * 1000, time);
        show_duration((uint64_t)show_int(plan, "outage_ms"), outage);
    } else {
        (void)json_object_set_new(row, "name", json_string("none"));
        (void)json_object_set_new(row, "why", json_string("every way is refused"));
    }
    const char *stop = show_str(plan, "stopped_by");
    if (*stop) {
        (void)json_object_set_new(row, "name", json_string("none"));
        (void)json_object_set_new(row, "why", json_sprintf("stopped by %s", stop));
    }
    (void)json_object_set_new(row, "time", json_string(time));
    (void)json_object_set_new(row, "outage", json_string(outage));
    return row;
}

static void print_clean(const char *indent, const char *a, const char *b)
{
    CLEANUP(mem_free) char *text = xasprintf("%s%s%s", indent, a, b);
    CLEANUP(mem_free) char *clean = show_clean(text);
    (void)puts(clean);
}

static void show_check(const json_t *check)
{
    const char *result = show_str(check, "result");
    if (strcmp(result, "pass") == 0)
        return;
    CLEANUP(mem_free)
    char *head =
        xasprintf("%s%s, %s: ", result, show_flag(check, "overridden") ? " (overridden)" : "",
                  show_str(check, "id"));
    print_clean("  ", head, show_str(check, "evidence"));
    if (*show_str(check, "remedy") && strcmp(result, "warn") != 0)
        print_clean("    ", "remedy: ", show_str(check, "remedy"));
}

static void show_reasons(const json_t *plan)
{
    size_t i;
    const json_t *one;
    (void)printf("\n");
    print_clean("", show_str(plan, "machine"), ":");
    json_array_foreach(json_object_get(plan, "refused"), i, one)
    {
        CLEANUP(mem_free) char *head = xasprintf("not %s: ", show_str(one, "name"));
        print_clean("  ", head, show_str(one, "why"));
    }
    if (show_int(json_object_get(plan, "move"), "streams") > 1)
        (void)printf("  its memory goes through %lld streams, compressed (--streams)\n",
                     (long long)show_int(json_object_get(plan, "move"), "streams"));
    json_array_foreach(json_object_get(plan, "measures"), i, one)
        print_clean("  ", "", json_is_string(one) ? json_string_value(one) : "");
    json_array_foreach(json_object_get(plan, "checks"), i, one) show_check(one);
    if (!show_flag(plan, "rate_measured"))
        (void)puts(
            "  time and outage are for 100 MiB/s: nothing was measured between these hosts yet");
}

void vm_plans_show(const json_t *doc)
{
    size_t i;
    const json_t *plan;
    json_t *rows = json_array();
    json_array_foreach(json_object_get(doc, "plans"), i, plan)(void)
        json_array_append_new(rows, row_of(plan));
    show_table(stdout, columns, rows);
    json_array_foreach(json_object_get(doc, "plans"), i, plan) show_reasons(plan);
    json_decref(rows);
}

/* ── files ── */

int vm_plans_save(const json_t *doc, const char *path)
{
    CLEANUP(mem_free) char *text = json_dumps(doc, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    int rc = text ? file_write(path, 0644, text, strlen(text)) : -EINVAL;
    return rc < 0 ? run_fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(-rc)) : EXIT_DONE;
}

int vm_plans_load(const char *path, json_t **ret)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t n = 0;
    int rc = file_read(path, PLAN_FILE_MAX, &text, &n);
    if (rc < 0)
        return run_fail(rc == -ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, "cannot read %s: %s", path,
                        strerror(-rc));
    json_error_t at;
    json_t *doc = json_loadb(text, n, JSON_REJECT_DUPLICATES, &at);
    bool good = json_is_object(doc) && show_int(doc, "schema") == 1 &&
                json_array_size(json_object_get(doc, "plans")) > 0 && *show_str(doc, "to") &&
                json_is_object(json_object_get(doc, "options"));
    if (good) {
        *ret = doc;
        return EXIT_DONE;
    }
    json_decref(doc);
    return run_fail(EXIT_USAGE, "%s is no plan of godwit vm plan%s%s", path, doc ? "" : ": ",
                    doc ? "" : at.text);
}

int vm_plans_compare(const json_t *old, const json_t *now)
{
    size_t i;
    const json_t *a;
    int rc = EXIT_DONE;
    json_array_foreach(json_object_get(old, "plans"), i, a)
    {
        char why[160] = "";
        const json_t *b = json_array_get(json_object_get(now, "plans"), i);
        if (vm_plan_stale(a, b, why, sizeof why))
            rc = run_fail(EXIT_CONFLICT, "%s: the plan is stale: %s; make a new one",
                          show_str(a, "machine"), why);
    }
    return rc;
}
