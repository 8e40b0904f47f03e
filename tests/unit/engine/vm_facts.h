/* vm_facts: what two hosts say of one machine, all as it should be but what a case is about, and
 * the plan that comes of it. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What a case is about; all else is as it should be. */
struct vm_case {
    const char *state;           /* NULL: "running" */
    const char *from_fs, *to_fs; /* NULL: "ext4" */
    bool same, block, to_block;  /* both hosts see the same; its disk is a device */
    const char *patch;           /* JSON laid over the look: {"machine": …} */
    const char *patch_check;     /* and over the destination's answer */
    const char *options;         /* JSON */
    const char *to;              /* NULL: "kvm2" */
    uint64_t rate;
};

#define VM_FACTS_NOW_S 1000000 /* when plans are made: 1970-01-12T13:46:40Z */

/* New references. */
json_t *vm_facts_look(const struct vm_case *m);
json_t *vm_facts_plan(const struct vm_case *m);
/* Why a plan refuses a type; NULL: it does not. */
const char *vm_facts_refusal(const json_t *plan, const char *type);
