/* beneath_priv: what beneath.c and remove.c share. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* openat2 that stays beneath dir, follows no link, and tries again after a race. resolve: more
 * flags. Descriptor or -errno; leaving the root is -ELOOP, another mount with RESOLVE_NO_XDEV
 * -EXDEV. */
int beneath_openat2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve);
