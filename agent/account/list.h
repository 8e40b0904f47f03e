/* list: the local users and groups of a host, from its files alone (no directory service). Plain
 * data. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

#define ACCOUNT_NAME_MAX 32
#define ACCOUNT_TEXT_MAX 255
#define ACCOUNTS_MAX 2000 /* users and groups that move, together */

struct account_user {
    char *name, *gecos, *home, *shell;
    uint32_t uid, gid;
};

struct account_group {
    char *name;
    uint32_t gid;
    char **members;
    size_t nmembers;
};

struct account_list {
    struct account_user *users;
    struct account_group *groups;
    size_t nusers, ngroups;
    unsigned unfit; /* lines that are none, or that no tool would take */
    uint32_t uid_min, uid_max, gid_min, gid_max; /* of people, by login.defs */
};

/* etc: "/etc". All of passwd and group. A fault names the file. */
int account_list_read(const char *etc, struct account_list **ret, struct fault *reterr);
struct account_list *account_list_free(struct account_list *l); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(account_list_free, struct account_list *)

/* Borrowed; NULL: none. */
const struct account_user *account_user_named(const struct account_list *l, const char *name);
const struct account_user *account_user_of(const struct account_list *l, uint32_t uid);
const struct account_group *account_group_named(const struct account_list *l, const char *name);
const struct account_group *account_group_of(const struct account_list *l, uint32_t gid);

/* Fit for the tools' arguments and for the files: no colon, no control byte, no leading dash. */
bool account_name_fits(const char *name);
bool account_text_fits(const char *text);
/* Of somebody, by login.defs; and fit to be made elsewhere. */
bool account_is_person(const struct account_list *l, const struct account_user *u);
bool account_is_told(const struct account_list *l, const struct account_user *u);
