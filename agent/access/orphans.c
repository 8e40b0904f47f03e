/* orphans: SIDs that nobody has any more, as winbind or, without it, Samba's own data bases of this
 * host say. Asking gives nobody an id. Worker threads. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/access/asking.h"
#include "agent/access/identity.h"
#include "agent/access/idents.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/sid.h"

#define OWN_RIDS                                                                                   \
    1000U /* below them a domain's rids are Windows' own: Administrator, Domain Users … */

struct asked {
    Godwit__Identity **rows;
    size_t n;
};

/* ── winbind: "S-1-5-21-… -> LAB\alice 1" ── */

static bool is_nobody(const char *line)
{
    const char *last = strrchr(line, ' ');
    long type = last ? strtol(last + 1, NULL, 10) : 0;
    return type >= 6 && type <= 8; /* deleted, invalid, unknown */
}

void identity_take_names(char *out, Godwit__Identity *const *rows, size_t n)
{
    char *save = NULL;
    for (char *l = strtok_r(out, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        size_t len = strcspn(l, " ");
        if (strncmp(l + len, " -> ", 4) != 0)
            continue;
        for (size_t i = 0; i < n; i++)
            if (strlen(rows[i]->sid) == len && strncmp(rows[i]->sid, l, len) == 0)
                rows[i]->nobody = is_nobody(l);
    }
}

static void ask_winbind(Godwit__Identity *const *rows, size_t n)
{
    CLEANUP(mem_free) char *out = asking_sids("--lookup-sids=", rows, n);
    if (out)
        identity_take_names(out, rows, n);
}

/* ── no winbind: this host knows its own accounts and nobody else ── */

void identity_take_known(const char *out, Godwit__Identity *const *rows, size_t n)
{
    for (const char *p = out; (p = strstr(p, "S-1-5-21-")) != NULL;) {
        size_t len = strspn(p, "S0123456789-");
        for (size_t i = 0; i < n; i++)
            if (strlen(rows[i]->sid) == len && strncmp(rows[i]->sid, p, len) == 0)
                rows[i]->nobody = false;
        p += len;
    }
}

static bool is_own_of(const char *sid, const char *machine)
{
    size_t n = strlen(machine);
    return n > 0 && strncmp(sid, machine, n) == 0 && sid[n] == '-' &&
           strtoul(sid + n + 1, NULL, 10) < OWN_RIDS;
}

static void ask_passdb(const struct asked *a, const char *machine)
{
    static const char *const users[] = {"pdbedit", "-L", "-v", NULL};
    static const char *const groups[] = {"net", "groupmap", "list", NULL};
    CLEANUP(mem_free) char *u = asking_out(users);
    CLEANUP(mem_free) char *g = u ? asking_out(groups) : NULL;
    if (!g)
        return; /* no Samba: who they are nobody can say */
    for (size_t i = 0; i < a->n; i++)
        a->rows[i]->nobody = !is_own_of(a->rows[i]->sid, machine);
    identity_take_known(u, a->rows, a->n);
    identity_take_known(g, a->rows, a->n);
}

/* "S-1-22-1-3001": a Unix user or group by its id. */
static bool take_unix(Godwit__Identity *r)
{
    char room[16384];
    struct passwd pw, *user = NULL;
    struct group gr, *group = NULL;
    bool is_group = strncmp(r->sid, "S-1-22-2-", 9) == 0;
    if (!is_group && strncmp(r->sid, "S-1-22-1-", 9) != 0)
        return false;
    uint32_t id = (uint32_t)strtoul(r->sid + 9, NULL, 10);
    if (is_group)
        r->nobody = getgrgid_r(id, &gr, room, sizeof room, &group) == 0 && !group;
    else
        r->nobody = getpwuid_r(id, &pw, room, sizeof room, &user) == 0 && !user;
    return true;
}

void identity_find_orphans(Godwit__Identities *all)
{
    CLEANUP(mem_free) Godwit__Identity **rows = xcalloc(all->n_list + 1, sizeof *rows);
    struct asked a = {.rows = rows};
    for (size_t i = 0; i < all->n_list; i++)
        if (all->list[i]->kind == IDENT_SID && !take_unix(all->list[i]))
            rows[a.n++] = all->list[i];
    for (size_t i = 0; all->winbind && i < a.n; i += ASKING_BATCH)
        ask_winbind(rows + i, a.n - i < ASKING_BATCH ? a.n - i : ASKING_BATCH);
    if (a.n > 0 && !all->winbind)
        ask_passdb(&a, all->machine_sid);
}
