/* inventory: the step "accounts.inventory": people's accounts of this host, as files say. Worker
 * thread. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/account/accounts.h"
#include "agent/account/beside.h"
#include "agent/account/list.h"
#include "agent/account/passdb.h"
#include "agent/step.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"
#include "proto/accounts.pb-c.h"

#define ETC "/etc"
#define DIRECTORY "/var/lib/samba/private/sam.ldb"

const struct step_kind account_steps[] = {
    {"accounts.inventory", accounts_inventory},
    {"accounts.apply",     accounts_apply    },
    {"accounts.give",      accounts_give     },
    {"accounts.take",      accounts_take     },
    {NULL,                 NULL              },
};

bool accounts_is_controller(void)
{
    static const char *const argv[] = {"testparm", "-s", "--parameter-name=server role", NULL};
    const struct program_call call = {.argv = argv, .max_out = 4096};
    struct program_output out;
    struct fault unused = {.err = 0};
    if (access(DIRECTORY, F_OK) == 0)
        return true;
    if (program_run(&call, &out, &unused) < 0)
        return false; /* no Samba */
    for (char *p = out.out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    bool yes = out.code == 0 && strstr(out.out, "controller");
    program_done(&out);
    return yes;
}

struct told {
    const struct account_list *l;
    const struct passdb *samba; /* NULL: no SIDs */
    Godwit__AccountUser *users;
    Godwit__AccountGroup *groups;
    Godwit__AccountsResult r;
};

/* As smbd names them to clients: by its own data bases, else by the id. malloc'd. */
static char *sid_of_user(const struct told *t, const struct account_user *u)
{
    char text[SID_TEXT_MAX];
    const struct passdb_user *known = t->samba ? passdb_named(t->samba, u->name) : NULL;
    if (!known)
        return t->samba ? xasprintf("S-1-22-1-%u", u->uid) : xstrdup("");
    struct sid sid = t->samba->machine;
    sid.sub[sid.nsubs++] = known->rid;
    sid_text(&sid, text);
    return xstrdup(text);
}

static char *sid_of_group(const struct told *t, uint32_t gid)
{
    char text[SID_TEXT_MAX];
    for (size_t i = 0; t->samba && i < t->samba->ngroups; i++)
        if (t->samba->groups[i].gid == gid) {
            sid_text(&t->samba->groups[i].sid, text);
            return xstrdup(text);
        }
    return t->samba ? xasprintf("S-1-22-2-%u", gid) : xstrdup("");
}

static void tell_users(struct told *t)
{
    for (size_t i = 0; i < t->l->nusers; i++) {
        const struct account_user *u = &t->l->users[i];
        const struct account_group *g = account_group_of(t->l, u->gid);
        if (!account_is_person(t->l, u))
            continue;
        if (!account_is_told(t->l, u)) {
            t->r.unfit++;
            continue;
        }
        Godwit__AccountUser *to = &t->users[t->r.n_users];
        godwit__account_user__init(to);
        to->name = u->name;
        to->uid = u->uid;
        to->gid = u->gid;
        to->gecos = u->gecos;
        to->home = u->home;
        to->shell = u->shell;
        to->group = g->name;
        to->sid = sid_of_user(t, u);
        t->r.users[t->r.n_users++] = to;
    }
}

static bool is_told(const struct told *t, const char *user)
{
    for (size_t i = 0; i < t->r.n_users; i++)
        if (strcmp(t->r.users[i]->name, user) == 0)
            return true;
    return false;
}

static void tell_groups(struct told *t)
{
    for (size_t i = 0; i < t->l->ngroups; i++) {
        const struct account_group *g = &t->l->groups[i];
        if (g->gid < t->l->gid_min || g->gid > t->l->gid_max)
            continue;
        if (!account_name_fits(g->name)) {
            t->r.unfit++;
            continue;
        }
        Godwit__AccountGroup *to = &t->groups[t->r.n_groups];
        godwit__account_group__init(to);
        to->name = g->name;
        to->gid = g->gid;
        to->sid = sid_of_group(t, g->gid);
        to->members = xcalloc(g->nmembers + 1, sizeof *to->members);
        for (size_t k = 0; k < g->nmembers; k++)
            if (is_told(t, g->members[k]))
                to->members[to->n_members++] = g->members[k];
        t->r.groups[t->r.n_groups++] = to;
    }
}

static void told_done(struct told *t)
{
    for (size_t i = 0; i < t->r.n_groups; i++) {
        free(t->groups[i].members);
        free(t->groups[i].sid);
    }
    for (size_t i = 0; i < t->r.n_users; i++)
        free(t->users[i].sid);
    free(t->users);
    free(t->groups);
    free(t->r.users);
    free(t->r.groups);
}

static void tell(const struct account_list *l, struct step_result *ret)
{
    struct fault why = {.err = 0};
    CLEANUP(passdb_free) struct passdb *samba = NULL;
    struct told t = {.l = l};
    godwit__accounts_result__init(&t.r);
    CLEANUP(mem_free) char *no_samba = NULL;
    if (passdb_read(false, &samba, &why) < 0)
        t.r.no_samba = no_samba = text_printable(why.text, strlen(why.text));
    t.samba = samba;
    t.users = xcalloc(l->nusers + 1, sizeof *t.users);
    t.groups = xcalloc(l->ngroups + 1, sizeof *t.groups);
    t.r.users = xcalloc(l->nusers + 1, sizeof *t.r.users);
    t.r.groups = xcalloc(l->ngroups + 1, sizeof *t.r.groups);
    t.r.unfit = l->unfit;
    t.r.controller = accounts_is_controller();
    tell_users(&t);
    tell_groups(&t);
    struct beside beside;
    beside_look("", NULL, samba != NULL, l, &beside);
    t.r.beside = beside.lines;
    t.r.n_beside = beside.n;
    ret->body_len = godwit__accounts_result__get_packed_size(&t.r);
    if (t.r.n_users + t.r.n_groups > ACCOUNTS_MAX || ret->body_len > (512U << 10)) {
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, E2BIG,
                        "%zu local users and %zu groups do not fit one order, at most %d do: make "
                        "them on the destination with the same ids, and say accounts: none",
                        t.r.n_users, t.r.n_groups, ACCOUNTS_MAX);
    } else {
        ret->body = xmalloc(ret->body_len);
        (void)godwit__accounts_result__pack(&t.r, ret->body);
        ret->status = STEP_DONE;
    }
    beside_done(&beside);
    told_done(&t);
}

void accounts_inventory(struct step *s, struct step_result *ret)
{
    CLEANUP(account_list_free) struct account_list *l = NULL;
    (void)s;
    ret->status = STEP_FAILED;
    if (account_list_read(ETC, &l, &ret->fault) == 0)
        tell(l, ret);
}
