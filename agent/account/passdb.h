/* passdb: Samba's own users and groups of this host: passdb.tdb and group_mapping.tdb, read and
 * written through libtdb as smbd does, in transactions. The only file that knows tdb. It holds
 * password digests: wiped when freed. Worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"
#include "common/base/sid.h"

struct passdb_user {
    char *name; /* of the unix account, as the data base's key has it: small letters */
    uint8_t *record;
    size_t len;
    uint32_t rid;
    uint32_t set; /* when the password was set */
};

struct passdb_group {
    struct sid sid;
    uint32_t gid, type; /* 2 domain, 4 local, 5 well known */
    char *name, *comment;
};

struct passdb_member { /* of local groups */
    char *sid;
    char *groups; /* SIDs with blanks between */
};

struct passdb {
    char *netbios_name;
    struct sid machine;
    struct passdb_user *users;
    struct passdb_group *groups;
    struct passdb_member *members;
    size_t nusers, ngroups, nmembers;
    uint32_t next_rid; /* that Samba would give to a new user */
};

/* -ENOENT: there is no Samba; -ENOTSUP: it keeps its users elsewhere (LDAP, smbpasswd). With
 * create, data bases that are not there yet are made by Samba. */
int passdb_read(bool create, struct passdb **ret, struct fault *reterr);
struct passdb *passdb_free(struct passdb *p); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(passdb_free, struct passdb *)

/* Puts these there, replacing those of the same name, SID or member; next_rid is only ever raised.
 * Users and rids in one transaction, groups and members in another: what is cut off between them is
 * made whole by doing it again. */
int passdb_put(const struct passdb *what, struct fault *reterr);

const struct passdb_user *passdb_named(const struct passdb *p, const char *name);
