/* samba_plan: rids stay where they are free. Any thread. */
#include "agent/account/samba_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account/samu.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define MAP_MAX (192U << 10)
#define RID_FIRST 1000U /* below it Samba's and Windows' own */
#define RID_LAST 0x7fffffffU
#define GROUP_LOCAL 4U
#define NAME_SHOWN 40

struct planner {
    const struct samba_ask *ask;
    struct samba_plan *to;
    uint32_t next_rid;
    struct sid *from_sid, *to_sid; /* of groups that are here in the end */
    size_t nsids;
};

static void note(struct planner *p, const char *name, const char *what)
{
    struct samba_plan *t = p->to;
    CLEANUP(mem_free) char *shown = text_quote(name, strnlen(name, NAME_SHOWN));
    if (t->nnotes < SAMBA_NOTES_MAX)
        t->notes[t->nnotes++] = xasprintf("%s: %s", shown, what);
    else
        t->left_notes++;
}

static struct sid sid_of(const struct passdb *db, uint32_t rid)
{
    struct sid s = db->machine;
    s.sub[s.nsubs++] = rid;
    return s;
}

/* The rid of an account of that very machine; 0: none. */
static uint32_t rid_of(const struct passdb *db, const struct sid *s)
{
    struct sid domain = *s;
    if (s->nsubs < 2)
        return 0;
    domain.nsubs--;
    return sid_order(&domain, &db->machine) == 0 ? s->sub[domain.nsubs] : 0;
}

static void map_sid(struct planner *p, const struct sid *from, const struct sid *to)
{
    struct sid other;
    char a[SID_TEXT_MAX], b[SID_TEXT_MAX];
    if (sid_order(from, to) == 0 || idmap_sid(p->ask->map, from, &other))
        return;
    sid_text(from, a);
    sid_text(to, b);
    CLEANUP(mem_free) char *line = xasprintf("sid,%s,%s\n", a, b);
    buf_put(&p->to->map, line, strlen(line));
}

/* ── rids ── */

static bool has_rid(const struct passdb *db, const struct passdb *machine, uint32_t rid)
{
    for (size_t i = 0; i < db->nusers; i++)
        if (db->users[i].rid == rid)
            return true;
    for (size_t i = 0; i < db->ngroups; i++)
        if (rid_of(machine, &db->groups[i].sid) == rid)
            return true;
    return false;
}

static bool rid_taken(const struct planner *p, uint32_t rid)
{
    const struct passdb *here = p->ask->here;
    return has_rid(here, here, rid) || has_rid(&p->to->put, here, rid);
}

/* The source's own where it is free, else the next that nobody has here or wants to have. */
static uint32_t rid_for(struct planner *p, uint32_t wish)
{
    const struct passdb *from = p->ask->from;
    uint32_t rid = wish;
    if (wish < RID_FIRST || wish > RID_LAST || rid_taken(p, wish)) {
        rid = p->next_rid < RID_FIRST ? RID_FIRST : p->next_rid;
        while (rid_taken(p, rid) || has_rid(from, from, rid))
            rid++;
    }
    if (rid >= p->next_rid)
        p->next_rid = rid + 1;
    return rid;
}

/* ── users ── */

static const struct account_row *row_of(const struct planner *p, bool group, const char *name,
                                        uint32_t gid)
{
    for (size_t i = 0; i < p->ask->nrows; i++) {
        const struct account_row *r = &p->ask->rows[i];
        if (r->group == group && (group ? r->id == gid : strcasecmp(r->name, name) == 0))
            return r->fate == FATE_SKIP || r->fate == FATE_CREATE ? NULL : r;
    }
    return NULL;
}

/* Him as he is to be here: another name perhaps, this machine, another rid. */
static void put_user(struct planner *p, const struct passdb_user *from,
                     const struct account_row *row, uint32_t rid)
{
    struct passdb *put = &p->to->put;
    const struct samba_ask *a = p->ask;
    struct samu u;
    struct buf b;
    if (samu_read(from->record, from->len, &u) < 0)
        return;
    if (strcmp(row->as, row->name) != 0) {
        samu_set(&u, SAMU_NAME, row->as);
        samu_set(&u, SAMU_NT_NAME, "");
    }
    if (strcasecmp(samu_string(&u, SAMU_DOMAIN), a->from->netbios_name) == 0)
        samu_set(&u, SAMU_DOMAIN, a->here->netbios_name);
    u.rid = rid;
    buf_init(&b, SAMU_BYTES_MAX);
    (void)buf_reserve(&b, SAMU_BYTES_MAX); /* it does not move: nothing is left behind */
    samu_write(&u, &b);
    if (!b.overflow)
        put->users[put->nusers++] = (struct passdb_user){.name = xstrdup(row->as),
                                                         .record = xmemdup(b.data, b.len),
                                                         .len = b.len,
                                                         .rid = rid,
                                                         .set = from->set};
    explicit_bzero(b.data, b.len);
    buf_done(&b);
}

static void plan_user(struct planner *p, const struct passdb_user *u)
{
    struct samba_plan *t = p->to;
    const struct account_row *row = row_of(p, false, u->name, 0);
    if (!row || row->to < p->ask->uid_min) {
        t->users_left++;
        note(p, u->name, "the Samba user stays behind, as its unix account does");
        return;
    }
    const struct passdb_user *had = passdb_named(p->ask->here, row->as);
    uint32_t rid = had ? had->rid : rid_for(p, u->rid);
    if (!had || (row->recorded && u->set > had->set))
        put_user(p, u, row, rid);
    if (!had)
        t->users_made++;
    else if (row->recorded && u->set > had->set)
        t->users_updated++;
    else
        t->users_same++;
    if (had && !row->recorded && had->rid != u->rid)
        note(p, u->name, "was a Samba user here already: it keeps its password and its SID");
    struct sid from = sid_of(p->ask->from, u->rid), to = sid_of(p->ask->here, rid);
    map_sid(p, &from, &to);
}

/* ── groups ── */

static void pair_sids(struct planner *p, const struct sid *from, const struct sid *to)
{
    p->from_sid[p->nsids] = *from;
    p->to_sid[p->nsids++] = *to;
    map_sid(p, from, to);
}

static const struct passdb_group *group_with(const struct planner *p, const char *name, int64_t gid)
{
    const struct passdb *both[] = {p->ask->here, &p->to->put};
    for (size_t k = 0; k < ARRAY_SIZE(both); k++)
        for (size_t i = 0; i < both[k]->ngroups; i++)
            if (name ? strcasecmp(both[k]->groups[i].name, name) == 0
                     : both[k]->groups[i].gid == gid)
                return &both[k]->groups[i];
    return NULL;
}

static void make_group(struct planner *p, const struct passdb_group *g,
                       const struct account_row *row)
{
    struct passdb *put = &p->to->put;
    struct sid to = sid_of(p->ask->here, rid_for(p, rid_of(p->ask->from, &g->sid)));
    char *name =
        group_with(p, g->name, -1) ? xasprintf("%s-%s", g->name, p->ask->suffix) : xstrdup(g->name);
    put->groups[put->ngroups++] = (struct passdb_group){
        .sid = to, .gid = row->to, .type = g->type, .name = name, .comment = xstrdup(g->comment)};
    p->to->groups_made++;
    pair_sids(p, &g->sid, &to);
}

static void plan_group(struct planner *p, const struct passdb_group *g)
{
    uint32_t rid = rid_of(p->ask->from, &g->sid);
    const struct account_row *row = row_of(p, true, NULL, g->gid);
    const struct passdb_group *had = row ? group_with(p, NULL, row->to) : NULL;
    if (rid == 0)
        return; /* BUILTIN, and other domains' */
    if (rid < RID_FIRST || !row || row->to < p->ask->gid_min ||
        (g->type != 2 && g->type != GROUP_LOCAL)) {
        p->to->groups_left++;
        note(p, g->name,
             rid < RID_FIRST ? "is one of Samba's own groups: what it may do is not carried over"
                             : "the Samba group stays behind, as its unix group does");
    } else if (had) {
        p->to->groups_same++;
        pair_sids(p, &g->sid, &had->sid);
    } else {
        make_group(p, g, row);
    }
}

/* ── members of local groups ── */

static const struct sid *group_now(const struct planner *p, const struct sid *from)
{
    for (size_t i = 0; i < p->nsids; i++)
        if (sid_order(&p->from_sid[i], from) == 0)
            return &p->to_sid[i];
    return NULL;
}

/* False: an account of the source that is not here. */
static bool member_now(struct planner *p, const char *text, struct sid *ret)
{
    const struct samba_ask *a = p->ask;
    struct sid s;
    if (sid_parse(text, strlen(text), &s) < 0)
        return false;
    uint32_t rid = rid_of(a->from, &s);
    const struct sid *group = group_now(p, &s);
    *ret = group ? *group : s;
    if (rid == 0 || group)
        return true;
    for (size_t i = 0; i < a->from->nusers; i++) {
        const struct passdb_user *u = &a->from->users[i];
        const struct account_row *row = u->rid == rid ? row_of(p, false, u->name, 0) : NULL;
        const struct passdb_user *now = row ? passdb_named(a->here, row->as) : NULL;
        if (row && !now)
            now = passdb_named(&p->to->put, row->as);
        if (now) {
            *ret = sid_of(a->here, now->rid);
            return true;
        }
    }
    return false;
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

static const char *groups_here(const struct passdb *db, const char *member)
{
    for (size_t i = 0; i < db->nmembers; i++)
        if (strcmp(db->members[i].sid, member) == 0)
            return db->members[i].groups;
    return "";
}

static void plan_member(struct planner *p, const struct passdb_member *m)
{
    struct sid who;
    char sid[SID_TEXT_MAX], group[SID_TEXT_MAX], *save = NULL;
    if (!member_now(p, m->sid, &who))
        return;
    sid_text(&who, sid);
    char *now = xstrdup(groups_here(p->ask->here, sid));
    bool more = false;
    CLEANUP(mem_free) char *words = xstrdup(m->groups);
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        struct sid g;
        const struct sid *to = sid_parse(w, strlen(w), &g) == 0 ? group_now(p, &g) : NULL;
        if (!to)
            continue;
        sid_text(to, group);
        if (has_word(now, group))
            continue;
        char *longer = xasprintf("%s%s%s", now, *now ? " " : "", group);
        free(now);
        now = longer;
        more = true;
    }
    struct passdb *put = &p->to->put;
    if (more)
        put->members[put->nmembers++] =
            (struct passdb_member){.sid = xstrdup(sid), .groups = xstrdup(now)};
    free(now);
}

/* ── all of it ── */

/* Administrator, Guest, Domain Admins and their kin have the same rid everywhere. */
static void map_well_known(struct planner *p)
{
    static const uint32_t rids[] = {500, 501, 512, 513, 514, 515};
    for (size_t i = 0; i < ARRAY_SIZE(rids); i++) {
        struct sid from = sid_of(p->ask->from, rids[i]), to = sid_of(p->ask->here, rids[i]);
        map_sid(p, &from, &to);
    }
}

/* A primary group that became another one. */
static void fix_primary_groups(struct planner *p)
{
    struct passdb *put = &p->to->put;
    for (size_t i = 0; i < put->nusers; i++) {
        struct samu u;
        struct buf b;
        if (samu_read(put->users[i].record, put->users[i].len, &u) < 0 || u.group_rid < RID_FIRST)
            continue;
        struct sid from = sid_of(p->ask->from, u.group_rid);
        const struct sid *to = group_now(p, &from);
        u.group_rid = to ? to->sub[to->nsubs - 1] : 513;
        buf_init(&b, SAMU_BYTES_MAX);
        (void)buf_reserve(&b, SAMU_BYTES_MAX);
        samu_write(&u, &b); /* as long as before */
        if (b.len == put->users[i].len)
            memcpy(put->users[i].record, b.data, b.len);
        explicit_bzero(b.data, b.len);
        buf_done(&b);
    }
}

void samba_plan(const struct samba_ask *a, struct samba_plan *ret)
{
    struct planner p = {.ask = a, .to = ret, .next_rid = a->here->next_rid};
    memset(ret, 0, sizeof *ret);
    buf_init(&ret->map, MAP_MAX);
    ret->put.users = xcalloc(a->from->nusers + 1, sizeof *ret->put.users);
    ret->put.groups = xcalloc(a->from->ngroups + 1, sizeof *ret->put.groups);
    ret->put.members = xcalloc(a->from->nmembers + 1, sizeof *ret->put.members);
    p.from_sid = xcalloc(a->from->ngroups + 1, sizeof *p.from_sid);
    p.to_sid = xcalloc(a->from->ngroups + 1, sizeof *p.to_sid);
    for (size_t i = 0; i < a->from->nusers; i++)
        plan_user(&p, &a->from->users[i]);
    for (size_t i = 0; i < a->from->ngroups; i++)
        plan_group(&p, &a->from->groups[i]);
    for (size_t i = 0; i < a->from->nmembers; i++)
        plan_member(&p, &a->from->members[i]);
    fix_primary_groups(&p);
    map_well_known(&p);
    ret->put.next_rid = p.next_rid;
    free(p.from_sid);
    free(p.to_sid);
}

void samba_plan_done(struct samba_plan *p)
{
    struct passdb *parts = xcalloc(1, sizeof *parts);
    *parts = p->put;
    (void)passdb_free(parts);
    for (size_t i = 0; i < p->nnotes; i++)
        free(p->notes[i]);
    buf_done(&p->map);
}
