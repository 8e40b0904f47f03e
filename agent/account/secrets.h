/* secrets: what goes over the lane of "accounts.give" and "accounts.take". Digests of passwords are
 * wiped where they were kept. Worker threads. */
#pragma once
#include "agent/account/list.h"
#include "agent/account/passdb.h"
#include "agent/account/shadow.h"
#include "agent/lane/lane_single.h"
#include "proto/accounts.pb-c.h"

enum { REC_ACCOUNTS = 32, REC_ACCOUNTS_TAKEN = 56 };

#define SECRETS_RECORD_MAX (256U << 10)
#define SECRETS_WAIT_MS 60000

/* What the destination has of the source: several records joined. Plain data but for users, groups
 * and shadow, which borrow from the messages it keeps. */
struct secrets {
    Godwit__AccountSecrets **parts;
    size_t nparts;
    Godwit__AccountUser **users;
    const Godwit__AccountShadow **shadows; /* of each user; NULL: none */
    Godwit__AccountGroup **groups;
    size_t nusers, ngroups;
    struct passdb *samba; /* NULL: none, and why: */
    const char *no_samba;
};

/* Takes a record of that type; 1: it was the last. -EBADMSG, -E2BIG. */
int secrets_add(struct secrets *s, const void *data, size_t len);
/* After the last: joins them. -EBADMSG: it does not fit together. */
int secrets_join(struct secrets *s);
void secrets_done(struct secrets *s); /* wipes */

/* The order's ticket. -EINVAL. */
int secrets_ticket(const Godwit__AccountsLaneOrder *o, struct ticket *ret);
