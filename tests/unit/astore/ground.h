/* ground: a temporary folder on each file system that the store's tests run on. */
#pragma once

enum ground { GROUND_DISK, GROUND_TMPFS, GROUND_COUNT };

/* Makes the folder, mounting a tmpfs in a mount namespace of this process for the second. The
 * descriptor, or -1 with the reason printed: the test skips. */
int ground_open(enum ground g);
const char *ground_path(enum ground g);
void ground_remove(void); /* both, with all that is in them */
