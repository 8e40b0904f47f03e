/* order: hostile until checked. Any thread. */
#include "agent/account/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static int refuse(struct fault *reterr, const char *what)
{
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the order of accounts: %s", what);
}

static bool user_fits(const Godwit__AccountUser *u)
{
    return account_name_fits(u->name) && account_name_fits(u->group) &&
           account_text_fits(u->gecos) && account_text_fits(u->home) &&
           account_text_fits(u->shell) && u->home[0] != '-' && u->shell[0] != '-' && u->uid > 0 &&
           u->uid < UINT32_MAX;
}

static int take_users(struct account_order *a, Godwit__AccountUser *const *users,
                      struct fault *reterr)
{
    for (size_t i = 0; i < a->ask.nusers; i++) {
        const Godwit__AccountUser *u = users[i];
        if (!user_fits(u))
            return refuse(reterr, "a user's line is not fit for a host");
        a->users[i] = (struct account_want_user){.name = u->name,
                                                 .group = u->group,
                                                 .gecos = u->gecos,
                                                 .home = u->home,
                                                 .shell = u->shell,
                                                 .uid = u->uid,
                                                 .gid = u->gid};
    }
    return 0;
}

static int take_groups(struct account_order *a, Godwit__AccountGroup *const *groups,
                       struct fault *reterr)
{
    for (size_t i = 0; i < a->ask.ngroups; i++) {
        const Godwit__AccountGroup *g = groups[i];
        if (!account_name_fits(g->name) || g->gid == 0 || g->gid == UINT32_MAX)
            return refuse(reterr, "a group's line is not fit for a host");
        a->groups[i] = (struct account_want_group){.name = g->name,
                                                   .gid = g->gid,
                                                   .members = (const char *const *)g->members,
                                                   .nmembers = g->n_members};
    }
    return 0;
}

int account_order_read(const struct account_order_text *text, Godwit__AccountUser *const *users,
                       size_t nusers, Godwit__AccountGroup *const *groups, size_t ngroups,
                       struct account_order *ret, struct fault *reterr)
{
    struct idmap_error e;
    if (nusers > ACCOUNTS_MAX || ngroups > ACCOUNTS_MAX - nusers)
        return refuse(reterr, "too many accounts");
    if (!text_is_name(text->source_host, 63) ||
        account_conflict_of(text->conflict, &ret->ask.conflict) < 0)
        return refuse(reterr, "it is not well formed");
    if (idmap_parse((const char *)text->map.data, text->map.len, &ret->map, &e) < 0)
        return refuse(reterr, "its map is not well formed");
    ret->users = xcalloc(nusers + 1, sizeof *ret->users);
    ret->groups = xcalloc(ngroups + 1, sizeof *ret->groups);
    ret->ask.map = ret->map;
    ret->ask.suffix = text->source_host;
    ret->ask.users = ret->users;
    ret->ask.nusers = nusers;
    ret->ask.groups = ret->groups;
    ret->ask.ngroups = ngroups;
    int rc = take_users(ret, users, reterr);
    return rc < 0 ? rc : take_groups(ret, groups, reterr);
}

void account_order_done(struct account_order *o)
{
    free(o->users);
    free(o->groups);
    (void)idmap_free(o->map);
}
