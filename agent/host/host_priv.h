/* host_priv: what the files of this room share. Worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/host/host.h"

/* ── host_text.c ── */
/* The text of a small file below root; NULL when there is none or it is too large. malloc'd. */
char *host_read(const char *root, const char *path, size_t max);
/* The first line of it, printable and without blanks at its ends; "" for none. malloc'd. */
char *host_line(const char *root, const char *path);
uint64_t host_number(const char *root, const char *path); /* 0 when there is none */
/* Printable and no longer than a message may have; malloc'd. */
char *host_shown(const char *text);

/* Each fills its part. True: there was more than fits. */
bool host_volumes(const char *root, Godwit__HostInventory *h);
bool host_disks(const char *root, Godwit__HostInventory *h);
bool host_interfaces(const char *root, Godwit__HostInventory *h);
Godwit__HostSamba *host_samba(const char *root);
