/* virt: a host of virtual machines as this agent sees it: the one seam between what decides and
 * libvirt. virt_libvirt*.c speak to the real one; a test's fake can fail at each call. A connection
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
#define VIRT_TYPES_MAX 256
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

/* Where a machine is in its life, as the hypervisor says it. */
enum virt_is {
    VIRT_ABSENT,
    VIRT_OFF,
    VIRT_RUNNING,
    VIRT_PAUSED,
    VIRT_MIGRATED, /* off, or paused for good, since it went elsewhere */
    VIRT_SAVED,
    VIRT_STUCK,
};
#define VIRT_SHUT_DOWN "shut down" /* reasons: a person's, of one that is off */
#define VIRT_SWITCHED_OFF "switched off"
struct virt_sight {
    enum virt_is is;
    bool defined;    /* its definition outlives its run */
    char reason[64]; /* "migrated", "postcopy failed" … */
    char job[32];    /* that runs on it; "": none */
};

enum virt_xml {
    VIRT_XML_NOW = 1,  /* of the run, as the other host would get it */
    VIRT_XML_KEPT = 2, /* of the next start */
    VIRT_XML_WITH_SECRETS = 4,
};

/* What kind of machine; NULL: the host's default. */
struct virt_kind {
    const char *emulator, *arch, *machine, *hypervisor;
};

/* A live move, as the source's hypervisor makes it. */
struct virt_migration {
    const char *peer;           /* URI of the other libvirt */
    const char *memory, *disks; /* URIs of the streams; NULL: its own choice */
    const char *live, *kept;    /* definitions there: of the run, of the next start */
    const char *const *targets; /* disks whose content goes along */
    size_t ntargets;
    bool overlays;    /* of those with a chain the topmost image alone: the rest is there */
    uint64_t mib_s;   /* at most; 0: no limit */
    unsigned streams; /* of memory at once, compressed; 0: one, as it is */
    bool post_copy;   /* may be switched to */
    bool tls;         /* the hypervisors' own, with certificates of their own */
};

/* How far a job on a machine is. */
struct virt_progress {
    bool runs;
    uint64_t memory_left, memory_done, disk_left, disk_done, dirty_rate, bytes_s;
    uint64_t rounds, downtime_ms, elapsed_ms;
};

/* A disk whose content is being copied elsewhere while it is written. */
struct virt_mirror {
    bool runs, ready; /* ready: what is written goes to both */
    uint64_t done, total;
};

/* Errors: -errno with a fault of one sentence. */
struct virt_ops {
    int (*host)(struct virt *v, Godwit__VmHost *ret, struct fault *reterr);
    /* Each machine to take(), ordered by name; what take() returns below 0 ends it. */
    int (*domains)(struct virt *v, int (*take)(void *arg, struct virt_domain *d), void *arg,
                   struct fault *reterr);
    /* Sizes of a disk of a machine by its target; 0 where nobody knows. */
    int (*disk_size)(struct virt *v, const char *uuid, const char *target, uint64_t *retvirtual,
                     uint64_t *retreal);
    /* Where a volume of a pool is; malloc'd. -ENOENT: no such one that is a file or a device. */
    int (*volume_path)(struct virt *v, const char *pool, const char *volume, char **ret,
                       bool *retblock);
    /* Disks of a machine that runs whose last input or output failed, to take(). */
    int (*disk_errors)(struct virt *v, const char *uuid,
                       void (*take)(void *arg, const char *target, const char *error), void *arg);

    /* A machine that is not there is VIRT_ABSENT, no error. */
    int (*sight)(struct virt *v, const char *uuid, struct virt_sight *ret, struct fault *reterr);
    /* One machine by UUID or name; -ENOENT. */
    int (*find)(struct virt *v, const char *word, struct virt_domain *ret, struct fault *reterr);
    /* flags: enum virt_xml. malloc'd; may hold secrets: wipe it. */
    int (*definition)(struct virt *v, const char *uuid, unsigned flags, char **ret,
                      struct fault *reterr);
    /* May a processor of this <cpu> run here? 1, 0 with the reason in reterr, -errno. */
    int (*compare_cpu)(struct virt *v, const struct virt_kind *k, const char *cpu,
                       struct fault *reterr);
    /* What such machines may have here: libvirt's XML of domain capabilities; malloc'd. */
    int (*capabilities)(struct virt *v, const struct virt_kind *k, char **ret,
                        struct fault *reterr);
    int (*dirty_rate)(struct virt *v, const char *uuid, uint64_t *ret, struct fault *reterr);

    /* Acts, each on a machine by its UUID. */
    int (*define)(struct virt *v, const char *xml, struct fault *reterr);
    /* Variables of the firmware and the TPM's state stay; what is known of snapshots goes. */
    int (*undefine)(struct virt *v, const char *uuid, struct fault *reterr);
    int (*start)(struct virt *v, const char *uuid, struct fault *reterr);
    int (*shutdown)(struct virt *v, const char *uuid, struct fault *reterr); /* asks, no more */
    int (*destroy)(struct virt *v, const char *uuid, struct fault *reterr);
    int (*suspend)(struct virt *v, const char *uuid, struct fault *reterr);
    int (*resume)(struct virt *v, const char *uuid, struct fault *reterr);
    int (*autostart)(struct virt *v, const char *uuid, bool on, struct fault *reterr);
    /* Definitions of its snapshots, parents first; what take() returns below 0 ends it. */
    int (*snapshots)(struct virt *v, const char *uuid,
                     int (*take)(void *arg, const char *xml, bool current), void *arg,
                     struct fault *reterr);
    int (*put_snapshot)(struct virt *v, const char *uuid, const char *xml, bool current,
                        struct fault *reterr); /* its definition alone */
    int (*refresh)(struct virt *v, const char *pool);

    /* Returns when it is over; the rest is for another connection meanwhile. What is true then,
     * both hosts' sights say, not its return. */
    int (*migrate)(struct virt *v, const char *uuid, const struct virt_migration *m,
                   struct fault *reterr);
    /* ended: of the job that was. */
    int (*progress)(struct virt *v, const char *uuid, bool ended, struct virt_progress *ret);
    int (*set_speed)(struct virt *v, const char *uuid, uint64_t mib_s); /* 0: no limit */
    int (*set_downtime)(struct virt *v, const char *uuid, uint64_t ms);
    int (*post_copy)(struct virt *v, const char *uuid);
    int (*abort)(struct virt *v, const char *uuid);
    /* A disk's stream that is stuck is torn, whatever the hypervisor waits for. */
    int (*yank)(struct virt *v, const char *uuid, const char *target);

    /* Its memory goes to a file, and it is off; hurry: the file is whole, and the machine, which
     * stands still, is off a moment later. */
    int (*save)(struct virt *v, const char *uuid, const char *path, bool hurry,
                struct fault *reterr);
    /* The definition that such a file has in it; malloc'd, may hold secrets: wipe it. */
    int (*saved)(struct virt *v, const char *path, char **ret, struct fault *reterr);
    /* It runs on from such a file. xml: with this definition; NULL: with that of the file. */
    int (*restore)(struct virt *v, const char *path, const char *xml, struct fault *reterr);

    /* A disk of a machine that runs is copied to where disk (its XML) says, into what is there. The
     * call only begins it. bytes_s: at most; 0: no limit. */
    int (*mirror)(struct virt *v, const char *uuid, const char *target, const char *disk,
                  uint64_t bytes_s, struct fault *reterr);
    int (*mirrored)(struct virt *v, const char *uuid, const char *target, struct virt_mirror *ret);
    int (*mirror_speed)(struct virt *v, const char *uuid, const char *target, uint64_t bytes_s);
    /* pivot: the machine uses the copy from now on; else it is left as it is. */
    int (*mirror_end)(struct virt *v, const char *uuid, const char *target, bool pivot,
                      struct fault *reterr);

    void (*close)(struct virt *v);
};
struct virt {
    const struct virt_ops *ops;
};

/* uri: VIRT_URI, or a test's. act: not only to read (processors and capabilities are told to such
 * alone as well). -ECONNREFUSED: nothing answers there. */
int virt_open(struct virt **ret, const char *uri, bool act, struct fault *reterr);
struct virt *virt_close(struct virt *v); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(virt_close, struct virt *)
