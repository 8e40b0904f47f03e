/* sid: share descriptors whose entries name accounts of the source machine, for this one. Worker
 * threads. */
#pragma once
#include "agent/share/server.h"
#include "proto/shares.pb-c.h"

struct idmap;

struct sid_ask {
    const struct server *server;
    const Godwit__SharesInventory *from;
    const struct idmap *map; /* of the job; NULL: none */
    void (*say)(void *arg, const char *text);
    void *arg;
};
/* The share's descriptor for this server; malloc'd. SIDs go by the map; of what it says nothing,
 * entries of the source's local accounts go by name to this server's accounts. Those that are not
 * here keep their SID; say() names them. */
char *sid_translate(const struct sid_ask *a, const Godwit__Share *s);
/* "SID:R,SID:F", as a usershare has it, by the map alone; malloc'd. */
char *sid_map_list(const struct idmap *map, const char *list);
/* The name of entry n of "NAME:TYPE/FLAGS/MASK,…"; malloc'd, NULL: there is none. */
char *sid_name(const char *acl, unsigned n);
