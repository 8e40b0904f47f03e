/* fake_virt: hosts of machines in memory behind virt.h, for tests: fails at any call, also after it
 * was done. One thread. */
#pragma once
#include "agent/vm/virt.h"

#define FAKE_MACHINES_MAX 8

struct fake_machine {
    char uuid[40], name[40];
    enum virt_is is;
    const char *reason; /* NULL: none */
    bool defined, autostart;
    char *xml;
    unsigned snapshots; /* that were put here */
    bool mirrored;      /* its disk is being copied, to the file mirror_to if it is one */
    char mirror_to[200];
    unsigned falls; /* looks until it is off, saved in a hurry */
};

struct fake_host {
    struct fake_machine machines[FAKE_MACHINES_MAX];
    size_t n;
    unsigned calls;         /* of acts, so far */
    unsigned fail_at;       /* this act fails; 0: none */
    const char *fail_named; /* every act or look of this name fails; NULL: none */
    bool done_anyway;       /* what fails was done */
    const char *pool;       /* where its pool "images" is; NULL: nowhere */
    const char *network;    /* that it has; NULL: "default" */
    const char *bridge;     /* of that; NULL: "" */
    bool poor_cpu;          /* its processor has not what machines want */
    unsigned looks;         /* at a copy until it is ready */
    unsigned falls;         /* looks until what is saved in a hurry is off; 0: it is at once */
    unsigned went_on;       /* times that a machine went on from saved memory */
};

/* Borrows the host; closed with virt_close(). */
struct virt *fake_virt(struct fake_host *h);
struct fake_machine *fake_machine(struct fake_host *h, const char *uuid); /* NULL: none */
/* Defined and off; xml is copied. */
struct fake_machine *fake_define(struct fake_host *h, const char *uuid, const char *xml);
void fake_done(struct fake_host *h);
