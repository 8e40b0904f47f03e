/* bases: the images that a machine's disks stand on, at both ends of a move. Worker threads. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/vm/stage.h"
#include "common/base/sha256.h"

/* The stage. */
int vm_bases(struct vm_stage_run *r);
int vm_bases_undo(struct vm_stage_run *r);

/* Of a file's whole content. -EINVAL: it is no file; -ECANCELED when cancel_fd becomes readable. */
int vm_base_digest(const char *path, int cancel_fd, uint8_t ret[SHA256_LEN], uint64_t *retbytes);
/* Does it keep standing on other images? */
bool vm_has_bases(const struct vm_stage_run *r, const Godwit__VmMoveDisk *d);
const Godwit__VmMoveBase *vm_first_base(const struct vm_stage_run *r,
                                        const Godwit__VmMoveDisk *d); /* NULL: it stands alone */
/* Does the image at path stand on the plan's bases at the destination, all of them? -EBADMSG. */
int vm_chain_verify(struct vm_stage_run *r, const Godwit__VmMoveDisk *d, const char *path);
