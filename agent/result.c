/* result: packs what a step leaves behind. Any thread. */
#include "agent/result.h"

#include <stdlib.h>
#include <string.h>

#include "agent/step.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "proto/control.pb-c.h"

/* 32 groups of 5 examples of 4 KiB and a body of 256 KiB stay below LIMIT_CONTROL_BYTES. */
#define EXAMPLE_MAX 4096
#define BODY_MAX (256 << 10)

void counters_to_wire(const struct counters *c, Godwit__Counters *ret)
{
    *ret = (Godwit__Counters)GODWIT__COUNTERS__INIT;
    ret->files = c->files;
    ret->bytes = c->bytes;
    ret->entries = c->entries;
    ret->sent_bytes = c->sent_bytes;
    ret->wire_bytes = c->wire_bytes;
    ret->unchanged_files = c->unchanged_files;
    ret->unchanged_bytes = c->unchanged_bytes;
    ret->deleted = c->deleted;
    ret->failed = c->failed;
    ret->total_files = c->total_files;
    ret->total_bytes = c->total_bytes;
    ret->skipped_meta = c->skipped_meta;
    ret->again_bytes = c->again_bytes;
    ret->elapsed_ms = c->elapsed_ms;
    ret->lanes = c->lanes;
    ret->total_known = c->total_known;
    ret->changed_meta = c->changed_meta;
    ret->changed_folders = c->changed_folders;
    ret->next_pass_ms = c->next_pass_ms;
    ret->delta_saved = c->delta_saved;
    ret->renamed = c->renamed;
    ret->parts_bytes = c->parts_bytes;
}

/* Cuts at a character, so that what is left is still text. */
static char *shortened(const char *text)
{
    size_t n = strlen(text);
    if (n > EXAMPLE_MAX)
        for (n = EXAMPLE_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
            ;
    char *copy = xmalloc(n + 1);
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

struct wire_group {
    Godwit__FailureGroup group;
    char what[sizeof((struct failure_group *)0)->what + 1];
    char *examples[LIMIT_FAILURE_EXAMPLES];
};

static void group_to_wire(const struct failure_group *g, struct wire_group *ret)
{
    ret->group = (Godwit__FailureGroup)GODWIT__FAILURE_GROUP__INIT;
    ret->group.err = g->err > 0 ? (uint32_t)g->err : 0;
    ret->group.count = g->count;
    memcpy(ret->what, g->what, sizeof g->what);
    ret->group.what = ret->what;
    for (size_t i = 0; i < g->nexamples && i < LIMIT_FAILURE_EXAMPLES; i++)
        if (g->examples[i])
            ret->examples[ret->group.n_examples++] = shortened(g->examples[i]);
    ret->group.examples = ret->examples;
    ret->group.remedy =
        (char *)(uintptr_t)fault_remedy_of(g->err, ret->what); /* packing only reads */
}

static void pack(const Godwit__Result *m, void **ret, size_t *retlen)
{
    *retlen = godwit__result__get_packed_size(m);
    *ret = xmalloc(*retlen ? *retlen : 1);
    (void)godwit__result__pack(m, *ret);
}

static void fault_to_wire(const struct fault *f, Godwit__FaultInfo *ret)
{
    *ret = (Godwit__FaultInfo)GODWIT__FAULT_INFO__INIT;
    ret->what_next = (uint32_t)f->what_next;
    ret->err = f->err > 0 ? (uint32_t)f->err : 0;
    ret->text = (char *)(uintptr_t)f->text; /* packing only reads */
}

void result_pack_plain(const struct fault *fault, void **ret, size_t *retlen)
{
    Godwit__FaultInfo info;
    Godwit__Result m = GODWIT__RESULT__INIT;
    m.status = fault ? GODWIT__RESULT__STATUS__FAILED : GODWIT__RESULT__STATUS__STOPPED;
    if (fault) {
        fault_to_wire(fault, &info);
        m.fault = &info;
    }
    pack(&m, ret, retlen);
}

static Godwit__Result__Status status_to_wire(enum step_status s)
{
    switch (s) {
    case STEP_DONE:
        return GODWIT__RESULT__STATUS__DONE;
    case STEP_PARTIAL:
        return GODWIT__RESULT__STATUS__PARTIAL;
    case STEP_STOPPED:
        return GODWIT__RESULT__STATUS__STOPPED;
    case STEP_FAILED:
    default: /* a step that forgot to say */
        return GODWIT__RESULT__STATUS__FAILED;
    }
}

static void pack_groups(Godwit__Result *m, const struct step_result *r, void **ret, size_t *retlen)
{
    size_t n = r->ngroups < LIMIT_FAILURE_GROUPS ? r->ngroups : LIMIT_FAILURE_GROUPS;
    CLEANUP(mem_free) struct wire_group *groups = xcalloc(n ? n : 1, sizeof *groups);
    CLEANUP(mem_free) Godwit__FailureGroup **list = xcalloc(n ? n : 1, sizeof(void *));
    for (size_t i = 0; i < n; i++) {
        group_to_wire(&r->groups[i], &groups[i]);
        list[i] = &groups[i].group;
    }
    m->n_failures = n;
    m->failures = list;
    pack(m, ret, retlen);
    for (size_t i = 0; i < n; i++)
        for (size_t e = 0; e < groups[i].group.n_examples; e++)
            free(groups[i].examples[e]);
}

void result_pack(const struct step_result *r, void **ret, size_t *retlen)
{
    if (r->body_len > BODY_MAX) {
        struct fault f;
        (void)fault_set(&f, FAULT_STOP_JOB, 0, "the step's result has %zu bytes; at most %d fit",
                        r->body_len, BODY_MAX);
        result_pack_plain(&f, ret, retlen);
        return;
    }
    Godwit__FaultInfo info;
    Godwit__Counters counters;
    Godwit__Result m = GODWIT__RESULT__INIT;
    m.status = status_to_wire(r->status);
    if (m.status == GODWIT__RESULT__STATUS__FAILED) {
        fault_to_wire(&r->fault, &info);
        m.fault = &info;
    }
    counters_to_wire(&r->counters, &counters);
    m.counters = &counters;
    m.scan = (char *)(uintptr_t)r->scan; /* packing only reads */
    m.body = (ProtobufCBinaryData){.len = r->body ? r->body_len : 0, .data = r->body};
    pack_groups(&m, r, ret, retlen);
}
