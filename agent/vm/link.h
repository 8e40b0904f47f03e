/* link: what a machine's interface hangs on at this host: a bridge, the bridge of a network, a
 * device. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "proto/vm.pb-c.h"

/* Its name as the kernel has it; "": it has none, or nobody can tell. Borrowed. */
const char *link_of(const Godwit__VmHost *h, const Godwit__VmInterface *i);
/* Is there such a one? file: something that it has to have ("bridge"); "": it alone. */
bool link_is_there(const char *name, const char *file);
uint32_t link_mtu(const char *name); /* 0: it is not there */
