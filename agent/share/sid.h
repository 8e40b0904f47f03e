/* sid: share descriptors whose entries name accounts of the source machine, for this one. Worker
 * threads. */
#pragma once
#include "agent/share/server.h"
#include "proto/shares.pb-c.h"

/* The share's descriptor with entries of local accounts named by this server's accounts of the same
 * names; malloc'd. Those that are not here keep their SID; say() names them. */
char *sid_translate(const struct server *v, const Godwit__SharesInventory *from,
                    const Godwit__Share *s, void (*say)(void *arg, const char *text), void *arg);
/* The name of entry n of "NAME:TYPE/FLAGS/MASK,…"; malloc'd, NULL: there is none. */
char *sid_name(const char *acl, unsigned n);
