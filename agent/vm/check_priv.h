/* check_priv: what the files of the step "vm.check" share. Worker threads. */
#pragma once
#include "agent/vm/virt.h"
#include "common/base/fault.h"
#include "proto/vm_look.pb-c.h"

#define PASS GODWIT__VM_FINDING__RESULT__PASS
#define WARN GODWIT__VM_FINDING__RESULT__WARN
#define UNKNOWN GODWIT__VM_FINDING__RESULT__UNKNOWN
#define FAIL GODWIT__VM_FINDING__RESULT__FAIL

struct checking {
    struct virt *v;
    const Godwit__VmCheckOrder *o;
    const Godwit__VmMachine *m;
    const Godwit__VmDomain *d;
    Godwit__VmCheck *ret;
    char *capabilities; /* NULL: such a machine cannot be had here */
    struct fault why;   /* of that */
};

/* One finding of a row of the table; target: what it is about. */
__attribute__((format(printf, 5, 6))) void check_say(struct checking *c, const char *check,
                                                     const char *target,
                                                     Godwit__VmFinding__Result result,
                                                     const char *fmt, ...);
/* ── check_net.c ── */
void check_networks(struct checking *c);
