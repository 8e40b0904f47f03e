/* device: block devices as disks of machines: which one it is, whether it is blank, out of reach.
 * Nothing that is not blank is ever written over. Worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/fault.h"

bool device_is(const char *path); /* a block device, also by a link to it */
/* By which it is the same one on another host: what its maker or its volume group wrote into it.
 * malloc'd; "": nobody can tell. */
char *device_identity(dev_t dev);
/* Bytes that it takes at once: 512 or 4096; 0: nobody can tell. home: of the device in sysfs. */
uint32_t device_sector(dev_t dev);
uint32_t device_sector_at(const char *home);
/* SHA-256 of its beginning, hex; malloc'd. */
char *device_head(const void *head, size_t n);

/* Its ends and places between are zeros and nobody uses it: 0, and its size. -errno with the fault.
 */
int device_blank(const char *path, uint64_t *retbytes, struct fault *reterr);
/* Which device path is in this run of the kernel; malloc'd. After a new start names may change. */
char *device_now(const char *path);
/* Its ends are zeros again, and what lies between is given back where the device can; 0 also where
 * path is not what now says any more: then nothing is touched. */
int device_wipe(const char *path, const char *now);
/* Nobody writes to it from now on, or may again. likewise. */
int device_lock(const char *path, const char *now, bool lock);
bool device_is_locked(const char *path);
