/* plan: what is to become of each user and group of the source on this host. Pure: reads lists,
 * changes nothing; the same question after a crash has the same answer, by the record. Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/account/list.h"

struct idmap;

enum account_conflict { CONFLICT_RENAME, CONFLICT_MERGE, CONFLICT_SKIP };
enum account_fate { FATE_CREATE, FATE_SAME, FATE_MERGE, FATE_SKIP };

struct account_row {
    bool group;
    const char *name; /* at the source; borrowed from the order */
    char as[ACCOUNT_NAME_MAX + 1];
    uint32_t id, want, to; /* at the source; by the job's map; here */
    uint32_t gid;          /* of a user, here */
    enum account_fate fate;
    char reason[96]; /* of FATE_SKIP */
    bool recorded;   /* by an earlier decision */
    const void *of;  /* its account_want_user or account_want_group */
};

/* What was decided earlier for accounts of the same source; kept by the step. */
struct account_record {
    bool group;
    char name[ACCOUNT_NAME_MAX + 1], as[ACCOUNT_NAME_MAX + 1];
    uint32_t id, to;
};

struct account_want_user {
    const char *name, *group, *gecos, *home, *shell;
    uint32_t uid, gid;
};
struct account_want_group {
    const char *name;
    uint32_t gid;
    const char *const *members;
    size_t nmembers;
};

struct account_ask {
    const struct account_list *here;
    const struct idmap *map;
    enum account_conflict conflict;
    const char *suffix; /* of a new name: the source's host */
    const struct account_want_user *users;
    const struct account_want_group *groups;
    size_t nusers, ngroups;
    const struct account_record *record;
    size_t nrecord;
};

/* Groups first, then users; *ret is malloc'd. */
size_t account_plan(const struct account_ask *a, struct account_row **ret);
/* -EINVAL: "rename", "merge" or "skip". */
int account_conflict_of(const char *text, enum account_conflict *ret);
const char *account_fate_name(enum account_fate f);
