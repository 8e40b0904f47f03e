/* order: what an order of accounts says, checked, as account_plan() takes it. Any thread. */
#pragma once
#include "agent/account/plan.h"
#include "common/base/fault.h"
#include "proto/accounts.pb-c.h"

struct account_order {
    struct idmap *map;
    struct account_want_user *users;
    struct account_want_group *groups;
    struct account_ask ask; /* all but here and record */
};

struct account_order_text {
    const char *source_host, *conflict;
    ProtobufCBinaryData map;
};
/* Borrows from its arguments until account_order_done(), which is due in any case. */
int account_order_read(const struct account_order_text *text, Godwit__AccountUser *const *users,
                       size_t nusers, Godwit__AccountGroup *const *groups, size_t ngroups,
                       struct account_order *ret, struct fault *reterr);
void account_order_done(struct account_order *o);
