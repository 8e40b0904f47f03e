/* leftover: takes away what a killed run left under a temporary name. Any thread. */
#pragma once
#include <stdint.h>

/* name below dir: anything but a folder, or a folder that may be one of ours with its files.
 * *retremoved counts on what went. 0, -ENOENT, -EBUSY: it is a folder of somebody else's, and
 * stays (without its files, if only folders in it were not ours), -errno. */
int leftover_remove(int dir, const char *name, uint64_t *retremoved);
