/* vm_checks_priv: what the files of the checks of machines share. Main thread, pure. */
#pragma once
#include "orchestrator/workload/vm_checks.h"

enum vm_result { VM_NONE, VM_PASS, VM_WARN, VM_UNKNOWN, VM_FAIL }; /* the worst last */

struct vm_ctx {
    const struct vm_facts *f;
    enum vm_result result; /* the worst so far */
    char text[480];        /* what those of that result say */
};

struct vm_check_row {
    const char *id;
    unsigned point; /* of the list of points in docs/MACHINES.md */
    const char *from;
    bool stops;                    /* every type; else it only rules some out */
    void (*run)(struct vm_ctx *c); /* NULL: the destination's findings of this id */
    const char *good;              /* when run() had nothing to say */
    const char *remedy;
};
const struct vm_check_row *vm_check_row(size_t i); /* NULL beyond the last */

__attribute__((format(printf, 3, 4))) void vm_say(struct vm_ctx *c, enum vm_result result,
                                                  const char *fmt, ...);
const json_t *vm_images(const struct vm_facts *f, const json_t *disk);

/* ── vm_check_disks.c ── */
void vm_check_storage(struct vm_ctx *c);
void vm_check_physical(struct vm_ctx *c);
void vm_check_space(struct vm_ctx *c);
void vm_check_cache(struct vm_ctx *c);
void vm_check_sector(struct vm_ctx *c);
void vm_check_shared(struct vm_ctx *c);
void vm_check_reach(struct vm_ctx *c);
void vm_check_chain(struct vm_ctx *c);
void vm_check_header(struct vm_ctx *c);
void vm_check_errors(struct vm_ctx *c);
