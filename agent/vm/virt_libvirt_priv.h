/* virt_libvirt_priv: what the files that know libvirt share. They alone know its calls, handles and
 * errors. Worker threads. */
#pragma once
#include <libvirt/libvirt.h>

#include "agent/vm/virt.h"

struct real {
    struct virt base;
    virConnectPtr conn;
};

virConnectPtr real_conn(struct virt *v);
/* Machine types of the host's own architecture (h->arch), each once, as libvirt's XML has them. */
void real_take_types(const char *capabilities, Godwit__VmHost *h);
/* libvirt's last error as a fault; -errno. */
int real_failed(struct fault *reterr, const char *doing);
/* By UUID or name; NULL: real_failed() says why. */
virDomainPtr real_machine(struct virt *v, const char *word);
/* Somebody waits for its hypervisor's answer: who asks too is told after half a minute, in vain,
 * where that hangs. */
bool real_hangs(virDomainPtr p);

/* virt_libvirt_act.c: the acts among virt_ops. */
int real_define(struct virt *v, const char *xml, struct fault *reterr);
int real_undefine(struct virt *v, const char *uuid, struct fault *reterr);
int real_start(struct virt *v, const char *uuid, struct fault *reterr);
int real_shutdown(struct virt *v, const char *uuid, struct fault *reterr);
int real_destroy(struct virt *v, const char *uuid, struct fault *reterr);
int real_suspend(struct virt *v, const char *uuid, struct fault *reterr);
int real_resume(struct virt *v, const char *uuid, struct fault *reterr);
int real_autostart(struct virt *v, const char *uuid, bool on, struct fault *reterr);
int real_snapshots(struct virt *v, const char *uuid,
                   int (*take)(void *arg, const char *xml, bool current), void *arg,
                   struct fault *reterr);
int real_put_snapshot(struct virt *v, const char *uuid, const char *xml, bool current,
                      struct fault *reterr);
int real_refresh(struct virt *v, const char *pool);

/* virt_libvirt_disks.c */
int real_volume_path(struct virt *v, const char *pool, const char *volume, char **ret,
                     bool *retblock);
int real_disk_errors(struct virt *v, const char *uuid,
                     void (*take)(void *arg, const char *target, const char *error), void *arg);

/* virt_libvirt_move.c: those of live moves. */
int real_migrate(struct virt *v, const char *uuid, const struct virt_migration *m,
                 struct fault *reterr);
int real_progress(struct virt *v, const char *uuid, bool ended, struct virt_progress *ret);
int real_set_speed(struct virt *v, const char *uuid, uint64_t mib_s);
int real_set_downtime(struct virt *v, const char *uuid, uint64_t ms);
int real_post_copy(struct virt *v, const char *uuid);
int real_abort(struct virt *v, const char *uuid);
int real_yank(struct virt *v, const char *uuid, const char *target);

/* virt_libvirt_save.c */
int real_save(struct virt *v, const char *uuid, const char *path, bool hurry, struct fault *reterr);
/* virt_libvirt_store.c: memory in files, copies of disks. */
int real_saved(struct virt *v, const char *path, char **ret, struct fault *reterr);
int real_restore(struct virt *v, const char *path, const char *xml, struct fault *reterr);
int real_mirror(struct virt *v, const char *uuid, const char *target, const char *disk,
                uint64_t bytes_s, struct fault *reterr);
int real_mirrored(struct virt *v, const char *uuid, const char *target, struct virt_mirror *ret);
int real_mirror_speed(struct virt *v, const char *uuid, const char *target, uint64_t bytes_s);
int real_mirror_end(struct virt *v, const char *uuid, const char *target, bool pivot,
                    struct fault *reterr);
