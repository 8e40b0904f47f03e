/* virt: a host of virtual machines as this agent sees it: the one seam between what decides and
 * libvirt. virt_libvirt.c speaks to the real one; a test's fake can fail at each call. A connection
 * belongs to one worker thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"
#include "proto/vm.pb-c.h"

#define VIRT_URI "qemu:///system"
#define VIRT_POOLS_MAX 256
#define VIRT_NETWORKS_MAX 256
#define VIRT_XML_MAX (1U << 20) /* a definition that is longer is not read */

struct virt;

/* One machine; texts are malloc'd. */
struct virt_domain {
    char *name, *uuid;
    char *xml;      /* as it is now: of the run when it runs */
    unsigned state; /* VmDomain.State */
    bool autostart, persistent, managed_save;
    unsigned snapshots, checkpoints;
    char *trouble; /* NULL, or what could not be asked */
};
void virt_domain_done(struct virt_domain *d);

/* Errors: -errno with a fault of one sentence. */
struct virt_ops {
    int (*host)(struct virt *v, Godwit__VmHost *ret, struct fault *reterr);
    /* Each machine to take(), ordered by name; what take() returns below 0 ends it. */
    int (*domains)(struct virt *v, int (*take)(void *arg, struct virt_domain *d), void *arg,
                   struct fault *reterr);
    /* Sizes of a disk of a machine by its target; 0 where nobody knows. */
    int (*disk_size)(struct virt *v, const char *uuid, const char *target, uint64_t *retvirtual,
                     uint64_t *retreal);
    void (*close)(struct virt *v);
};
struct virt {
    const struct virt_ops *ops;
};

/* uri: VIRT_URI, or a test's. -ECONNREFUSED: nothing answers there; read only. */
int virt_open(struct virt **ret, const char *uri, struct fault *reterr);
struct virt *virt_close(struct virt *v); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(virt_close, struct virt *)
