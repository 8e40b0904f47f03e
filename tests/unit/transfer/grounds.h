/* grounds: real file systems in loop devices for the tests of whole transfers, mounted in a mount
 * namespace of the test's own: they go when it does, however it ends. */
#pragma once
#include <stdbool.h>

/* False with the reason printed: not root, no loop devices, or no mkfs. Once a process, at its
 * start: before there are threads. */
bool grounds_enter(void);
/* Makes the folder path and mounts a new file system there. kind: "ext4", "xfs", "btrfs", "tmpfs".
 * False with the reason printed. */
bool grounds_mount(const char *kind, const char *path, unsigned mib);
void grounds_unmount(const char *path); /* and removes what it lay in */
