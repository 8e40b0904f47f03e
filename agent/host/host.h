/* host: what this host is and has, read from /proc, /sys and files, never from a program. Every
 * list is bounded. Worker threads. */
#pragma once
#include "common/base/cleanup.h"
#include "proto/host.pb-c.h"

#define HOST_VOLUMES_MAX 64
#define HOST_DISKS_MAX 64
#define HOST_INTERFACES_MAX 64
#define HOST_ADDRESSES_MAX 16 /* of one interface */

/* root: "" for this host; a test's folder that stands for /. Interfaces' addresses are always this
 * host's. Freed with host_free(). */
Godwit__HostInventory *host_look(const char *root);
Godwit__HostInventory *host_free(Godwit__HostInventory *h); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(host_free, Godwit__HostInventory *)
