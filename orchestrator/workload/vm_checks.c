/* vm_checks: the rows: what is asked, of whom, and what helps. Main thread, pure. */
#include "orchestrator/workload/vm_checks.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/vm_checks_priv.h"

void vm_say(struct vm_ctx *c, enum vm_result result, const char *fmt, ...)
{
    va_list ap;
    char text[280];
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (result < c->result)
        return;
    if (result > c->result || c->text[0] == '\0') {
        c->result = result;
        (void)snprintf(c->text, sizeof c->text, "%s", text);
        return;
    }
    size_t len = strlen(c->text);
    if (result != VM_PASS && len + 4 < sizeof c->text)
        (void)snprintf(c->text + len, sizeof c->text - len, "; %s", text);
}

/* ── reading facts ── */

const char *vm_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

uint64_t vm_number(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));
    return n > 0 ? (uint64_t)n : 0;
}

bool vm_flag(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

size_t vm_count(const json_t *o, const char *key)
{
    return json_array_size(json_object_get(o, key));
}

const json_t *vm_machine(const struct vm_facts *f)
{
    return json_object_get(f->look, "machine");
}

const json_t *vm_domain(const struct vm_facts *f)
{
    return json_object_get(vm_machine(f), "domain");
}

static const json_t *of_target(const json_t *list, const char *target)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        if (strcmp(vm_text(one, "target"), target) == 0)
            return one;
    }
    return NULL;
}

const json_t *vm_arrival(const struct vm_facts *f, const char *target)
{
    return of_target(json_object_get(f->check, "arrivals"), target);
}

const json_t *vm_images(const struct vm_facts *f, const json_t *disk)
{
    return json_object_get(
        of_target(json_object_get(vm_machine(f), "disks"), vm_text(disk, "target")), "images");
}

bool vm_is_disk(const json_t *disk)
{
    const char *device = vm_text(disk, "device");
    return strcmp(device, "cdrom") != 0 && strcmp(device, "floppy") != 0 &&
           *vm_text(disk, "source") != '\0';
}

bool vm_to_library(const struct vm_facts *f)
{
    return *vm_text(f->options, "library") != '\0';
}

bool vm_is_shared(const struct vm_facts *f, const json_t *disk)
{
    const json_t *own = json_array_get(vm_images(f, disk), 0);
    const json_t *there = vm_arrival(f, vm_text(disk, "target"));
    if (vm_to_library(f))
        return false;
    if (strcmp(vm_text(disk, "storage"), "network") == 0)
        return true; /* named by protocol and server, for every host the same */
    const char *device = vm_text(json_object_get(f->options, "devices"), vm_text(disk, "target"));
    if (*device && strcmp(device, vm_text(disk, "source")) != 0)
        return false;
    /* A disk whose place was asked for moves there, also when both hosts see it. */
    if (*vm_text(f->options, "pool") &&
        strcmp(vm_text(there, "path"), vm_text(disk, "source")) != 0)
        return false;
    return vm_flag(there, "seen") && (vm_flag(own, "shared") || vm_flag(own, "block"));
}

/* ── the list ── */

static const char *const results[] = {[VM_NONE] = "unknown",
                                      [VM_PASS] = "pass",
                                      [VM_WARN] = "warn",
                                      [VM_UNKNOWN] = "unknown",
                                      [VM_FAIL] = "fail"};

bool vm_check_overridden(const struct vm_facts *f, const char *id)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(f->options, "override"), i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), id) == 0)
            return true;
    }
    return false;
}

/* What the destination found for this row. */
static void by_findings(struct vm_ctx *c, const char *id)
{
    static const struct {
        const char *name;
        enum vm_result result;
    } known[] = {
        {"pass", VM_PASS},
        {"warn", VM_WARN},
        {"fail", VM_FAIL},
    };
    size_t i;
    const json_t *one;
    if (!c->f->check)
        vm_say(c, VM_UNKNOWN, "%s did not answer", c->f->to);
    /* There it is found itself, and its firmware's variables where they belong. */
    if ((strcmp(id, "absent") == 0 || strcmp(id, "firmware") == 0) &&
        strcmp(c->f->from, c->f->to) == 0) {
        vm_say(c, VM_PASS, "the machine stays on its host");
        return;
    }
    json_array_foreach(json_object_get(c->f->check, "findings"), i, one)
    {
        enum vm_result r = VM_UNKNOWN;
        if (strcmp(vm_text(one, "check"), id) != 0)
            continue;
        for (size_t k = 0; k < ARRAY_SIZE(known); k++)
            if (strcmp(known[k].name, vm_text(one, "result")) == 0)
                r = known[k].result;
        vm_say(c, r, "%s", vm_text(one, "text"));
    }
}

static json_t *run_one(const struct vm_facts *f, const struct vm_check_row *r)
{
    struct vm_ctx c = {.f = f, .result = VM_NONE, .text = ""};
    if (r->run)
        r->run(&c);
    else
        by_findings(&c, r->id);
    if (c.result == VM_NONE)
        vm_say(&c, r->run ? VM_PASS : VM_UNKNOWN, "%s",
               r->run ? r->good : "the destination did not tell");
    bool bad = c.result == VM_FAIL || c.result == VM_UNKNOWN;
    json_t *text = json_string(c.text);
    json_t *o = json_pack("{s:s,s:i,s:s,s:s,s:o,s:s,s:b}", "id", r->id, "point", (int)r->point,
                          "from", r->from, "result", results[c.result], "evidence",
                          text ? text : json_string("(not printable)"), "remedy",
                          bad || c.result == VM_WARN ? r->remedy : "", "stops", r->stops);
    if (bad && vm_check_overridden(f, r->id))
        (void)json_object_set_new(o, "overridden", json_true());
    return o;
}

/* A copy is to be whole; whether it could run there nobody asks. */
static bool is_asked(const struct vm_facts *f, const char *id)
{
    static const char *const of_copies[] = {
        "hypervisors",  "known",     "storage", "folder", "disk-absent", "space", "chain",
        "image-header", "snapshots", "path",    "trust",  "quiet",       "errors"};
    if (!vm_to_library(f))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(of_copies); i++)
        if (strcmp(of_copies[i], id) == 0)
            return true;
    return false;
}

json_t *vm_checks_run(const struct vm_facts *f)
{
    json_t *list = json_array();
    const struct vm_check_row *r;
    /* When one of them is silent the first row says so, and the rest would be guesses. */
    bool both = vm_machine(f) && f->check;
    for (size_t i = 0; (r = vm_check_row(i)) != NULL && (both || i == 0); i++)
        if (is_asked(f, r->id))
            (void)json_array_append_new(list, run_one(f, r));
    return list;
}

static bool is_good(const json_t *check)
{
    const char *r = vm_text(check, "result");
    return strcmp(r, "pass") == 0 || strcmp(r, "warn") == 0 || vm_flag(check, "overridden");
}

const json_t *vm_checks_stop(const json_t *checks)
{
    size_t i;
    const json_t *one;
    json_array_foreach(checks, i, one)
    {
        if (vm_flag(one, "stops") && !is_good(one))
            return one;
    }
    return NULL;
}

const json_t *vm_check_of(const json_t *checks, const char *id)
{
    size_t i;
    const json_t *one;
    json_array_foreach(checks, i, one)
    {
        if (strcmp(vm_text(one, "id"), id) == 0)
            return one;
    }
    return NULL;
}

bool vm_check_good(const json_t *checks, const char *id)
{
    return is_good(vm_check_of(checks, id));
}
