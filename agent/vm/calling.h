/* calling: libvirt's call of a live move, and what is asked and told while it lasts, each in a
 * thread and with a connection of its own: a hypervisor that answers nobody keeps these waiting,
 * not the step. Any thread. */
#pragma once
#include <stdbool.h>

#include "agent/vm/virt.h"
#include "common/base/cleanup.h"

struct calling;

/* Takes both connections over, also when it fails; copies the rest. 0; -EAGAIN: no thread. */
int calling_new(struct virt *mover, struct virt *teller, const char *uuid,
                const struct virt_migration *what, struct calling **ret);

bool calling_is_over(struct calling *c);
/* How far it is, each news once. */
bool calling_news(struct calling *c, struct virt_progress *ret);
/* Why it failed; err 0 while it is not over, and when it did not. */
void calling_fault(struct calling *c, struct fault *ret);

/* Told as soon as libvirt listens. */
void calling_speed(struct calling *c, uint64_t mib_s);
void calling_downtime(struct calling *c, uint64_t ms);
void calling_post_copy(struct calling *c);
/* tear: the streams of its disks as well, whatever the hypervisor waits for. */
void calling_abort(struct calling *c, bool tear);

/* What is not over is left behind, and goes when libvirt's answer comes. NULL is fine; returns
 * NULL. */
struct calling *calling_free(struct calling *c);
DEFINE_CLEANUP(calling_free, struct calling *)
