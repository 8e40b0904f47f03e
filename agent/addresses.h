/* addresses: the kernel's word that an address of this host went away. Main thread. */
#pragma once
#include <stdbool.h>

/* Readable when something happened; the caller closes it. -errno: nobody will tell. */
int addresses_watch(void);
/* Takes what waits there. True: at least one address is gone. */
bool addresses_lost(int fd);
