/* plan: names and ids that are free, taken, or the same account. Any thread. */
#include "agent/account/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/idmap.h"
#include "common/base/mem.h"

struct planner {
    const struct account_ask *ask;
    struct account_row *rows;
    size_t n;
};

int account_conflict_of(const char *text, enum account_conflict *ret)
{
    static const char *const names[] = {"rename", "merge", "skip"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum account_conflict)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *account_fate_name(enum account_fate f)
{
    static const char *const names[] = {"created", "same", "merged", "skipped"};
    return names[f];
}

/* ── what is taken ── */

/* The id of the account of that name here, or -1. */
static int64_t id_named(const struct planner *p, bool group, const char *name)
{
    const struct account_list *l = p->ask->here;
    const struct account_user *u = group ? NULL : account_user_named(l, name);
    const struct account_group *g = group ? account_group_named(l, name) : NULL;
    return u ? (int64_t)u->uid : g ? (int64_t)g->gid : -1;
}

static const char *name_of(const struct planner *p, bool group, uint32_t id)
{
    const struct account_list *l = p->ask->here;
    const struct account_user *u = group ? NULL : account_user_of(l, id);
    const struct account_group *g = group ? account_group_of(l, id) : NULL;
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].group == group && p->rows[i].fate == FATE_CREATE && p->rows[i].to == id)
            return p->rows[i].as;
    return u ? u->name : g ? g->name : NULL;
}

static bool name_taken(const struct planner *p, bool group, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].group == group && p->rows[i].fate == FATE_CREATE &&
            strcmp(p->rows[i].as, name) == 0)
            return true;
    return id_named(p, group, name) >= 0;
}

/* Somebody of the source is to have it. */
static bool is_wanted(const struct planner *p, bool group, uint32_t id)
{
    const struct account_ask *a = p->ask;
    for (size_t i = 0; group && i < a->ngroups; i++)
        if (a->groups[i].gid == id || idmap_gid(a->map, a->groups[i].gid) == id)
            return true;
    for (size_t i = 0; !group && i < a->nusers; i++)
        if (a->users[i].uid == id || idmap_uid(a->map, a->users[i].uid) == id)
            return true;
    return false;
}

static int free_id(const struct planner *p, bool group, uint32_t *ret)
{
    const struct account_list *l = p->ask->here;
    uint32_t from = group ? l->gid_min : l->uid_min, to = group ? l->gid_max : l->uid_max;
    for (uint32_t id = from; id <= to && id >= from; id++) {
        if (!name_of(p, group, id) && !is_wanted(p, group, id)) {
            *ret = id;
            return 0;
        }
    }
    return -ENOSPC;
}

static int free_name(const struct planner *p, bool group, const char *name, char *ret)
{
    const char *suffix = p->ask->suffix;
    for (unsigned i = 0; i < 100; i++) {
        char tail[24];
        (void)snprintf(tail, sizeof tail, i ? "-%.12s-%u" : "-%.12s", suffix, i);
        int room = ACCOUNT_NAME_MAX - (int)strlen(tail);
        (void)snprintf(ret, ACCOUNT_NAME_MAX + 1, "%.*s%s", room, name, tail);
        if (account_name_fits(ret) && !name_taken(p, group, ret))
            return 0;
    }
    return -EEXIST;
}

/* ── one account ── */

static void skip(struct account_row *r, const char *why, const char *what)
{
    r->fate = FATE_SKIP;
    (void)snprintf(r->reason, sizeof r->reason, "%s %s", why, what);
}

/* As it was decided before, if that still stands or can still be done. */
static bool by_record(const struct planner *p, struct account_row *r)
{
    for (size_t i = 0; i < p->ask->nrecord; i++) {
        const struct account_record *k = &p->ask->record[i];
        if (k->group != r->group || k->id != r->id || strcmp(k->name, r->name) != 0)
            continue;
        if (r->want != r->id && r->want != k->to)
            return false; /* the map says otherwise now */
        int64_t now = id_named(p, r->group, k->as);
        if (now >= 0 ? now != k->to : name_of(p, r->group, k->to) != NULL)
            return false;
        (void)snprintf(r->as, sizeof r->as, "%s", k->as);
        r->to = k->to;
        r->fate = now >= 0 ? FATE_SAME : FATE_CREATE;
        r->recorded = true;
        return true;
    }
    return false;
}

/* Another id than the map or the source says goes only where the map says nothing of its own. */
static bool may_move(struct account_row *r, const char *holder)
{
    if (r->want == r->id)
        return true;
    skip(r, "the job's map gives it an id that is taken by", holder);
    return false;
}

static void take_free_id(const struct planner *p, struct account_row *r, const char *holder)
{
    if (!may_move(r, holder))
        return;
    if (free_id(p, r->group, &r->to) < 0)
        skip(r, "no id is free", "on this host");
}

static void name_conflict(const struct planner *p, struct account_row *r, uint32_t here)
{
    if (p->ask->conflict == CONFLICT_SKIP) {
        skip(r, "this host has that name with another id:", r->name);
    } else if (p->ask->conflict == CONFLICT_MERGE) {
        const struct account_list *l = p->ask->here;
        if (here < (r->group ? l->gid_min : l->uid_min))
            skip(r, "it would become one of this host's own system:", r->name);
        else if (may_move(r, r->name))
            r->fate = FATE_MERGE;
        r->to = here;
    } else if (free_name(p, r->group, r->name, r->as) < 0) {
        skip(r, "no name is free for", r->name);
    } else {
        const char *holder = name_of(p, r->group, r->to);
        if (holder)
            take_free_id(p, r, holder);
    }
}

static void plan_one(struct planner *p, struct account_row *r)
{
    r->to = r->want;
    (void)snprintf(r->as, sizeof r->as, "%s", r->name);
    if (by_record(p, r))
        return;
    int64_t here = id_named(p, r->group, r->name);
    const char *holder = name_of(p, r->group, r->want);
    if (here >= 0 && here == r->want)
        r->fate = FATE_SAME;
    else if (here >= 0)
        name_conflict(p, r, (uint32_t)here);
    else if (holder && p->ask->conflict == CONFLICT_SKIP)
        skip(r, "its id is taken by", holder);
    else if (holder)
        take_free_id(p, r, holder);
}

static void plan_group(struct planner *p, const struct account_want_group *g)
{
    struct account_row r = {.group = true, .name = g->name, .id = g->gid, .of = g};
    r.want = idmap_gid(p->ask->map, g->gid);
    plan_one(p, &r);
    p->rows[p->n++] = r;
}

/* What the source's group of that id is here; -1: nothing. */
static int64_t group_here(const struct planner *p, const struct account_want_user *u)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].group && p->rows[i].id == u->gid)
            return p->rows[i].fate == FATE_SKIP ? -1 : (int64_t)p->rows[i].to;
    return id_named(p, true, u->group); /* one of the system's */
}

static void plan_user(struct planner *p, const struct account_want_user *u)
{
    struct account_row r = {.name = u->name, .id = u->uid, .of = u};
    r.want = idmap_uid(p->ask->map, u->uid);
    plan_one(p, &r);
    int64_t gid = group_here(p, u);
    if (gid < 0 && r.fate == FATE_CREATE)
        skip(&r, "this host does not have its group", u->group);
    r.gid = gid < 0 ? 0 : (uint32_t)gid;
    p->rows[p->n++] = r;
}

size_t account_plan(const struct account_ask *a, struct account_row **ret)
{
    struct planner p = {.ask = a};
    p.rows = xcalloc(a->nusers + a->ngroups + 1, sizeof *p.rows);
    for (size_t i = 0; i < a->ngroups; i++)
        plan_group(&p, &a->groups[i]);
    for (size_t i = 0; i < a->nusers; i++)
        plan_user(&p, &a->users[i]);
    *ret = p.rows;
    return p.n;
}
