/* secrets: records that are a peer's: bounded before they are unpacked. Worker threads. */
#include "agent/account/secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account/samu.h"
#include "agent/store/pairname.h"
#include "common/base/mem.h"

#define PARTS_MAX 256U

int secrets_ticket(const Godwit__AccountsLaneOrder *o, struct ticket *ret)
{
    const struct lane_single_order order = {.ticket_id = o->ticket_id,
                                            .pair = o->pair,
                                            .secret = o->ticket_secret.data,
                                            .secret_len = o->ticket_secret.len,
                                            .pin = o->peer_pin.data,
                                            .pin_len = o->peer_pin.len,
                                            .not_after_ms = o->not_after_ms};
    return pair_valid(o->pair) ? lane_single_ticket(&order, ret) : -EINVAL;
}

int secrets_add(struct secrets *s, const void *data, size_t len)
{
    if (len > SECRETS_RECORD_MAX || s->nparts >= PARTS_MAX)
        return -E2BIG;
    Godwit__AccountSecrets *m = godwit__account_secrets__unpack(NULL, len, data);
    if (!m)
        return -EBADMSG;
    s->parts = xrealloc(s->parts, (s->nparts + 1) * sizeof(void *));
    s->parts[s->nparts++] = m;
    return m->last ? 1 : 0;
}

/* ── joining ── */

static int join_users(struct secrets *s, const Godwit__AccountSecrets *m)
{
    if (m->n_users > ACCOUNTS_MAX - s->nusers || m->n_groups > ACCOUNTS_MAX - s->ngroups)
        return -E2BIG;
    for (size_t i = 0; i < m->n_users; i++) {
        if (!m->users[i]->user)
            return -EBADMSG;
        s->shadows[s->nusers] = m->users[i]->shadow;
        s->users[s->nusers++] = m->users[i]->user;
    }
    for (size_t i = 0; i < m->n_groups; i++)
        s->groups[s->ngroups++] = m->groups[i];
    return 0;
}

static int join_samba_user(struct passdb *p, const ProtobufCBinaryData *bytes)
{
    struct samu u;
    if (samu_read(bytes->data, bytes->len, &u) < 0)
        return -EBADMSG;
    p->users[p->nusers++] = (struct passdb_user){.name = xstrdup(samu_string(&u, SAMU_NAME)),
                                                 .record = xmemdup(bytes->data, bytes->len),
                                                 .len = bytes->len,
                                                 .rid = u.rid,
                                                 .set = u.times[SAMU_PASSWORD_SET]};
    return 0;
}

/* Names of groups are shown by Samba to everybody. */
static bool group_fits(const Godwit__SambaGroup *g)
{
    return account_text_fits(g->name) && *g->name && strlen(g->name) < 128 &&
           account_text_fits(g->comment) && strlen(g->comment) < 128;
}

static int join_samba(struct passdb *p, const Godwit__AccountSecrets *m)
{
    int rc = 0;
    if (m->n_samba_users > ACCOUNTS_MAX - p->nusers ||
        m->n_samba_groups > ACCOUNTS_MAX - p->ngroups ||
        m->n_samba_members > ACCOUNTS_MAX - p->nmembers)
        return -E2BIG;
    for (size_t i = 0; rc == 0 && i < m->n_samba_users; i++)
        rc = join_samba_user(p, &m->samba_users[i]);
    for (size_t i = 0; rc == 0 && i < m->n_samba_groups; i++) {
        const Godwit__SambaGroup *g = m->samba_groups[i];
        struct passdb_group *to = &p->groups[p->ngroups];
        if (!group_fits(g) || sid_parse(g->sid, strlen(g->sid), &to->sid) < 0)
            return -EBADMSG;
        to->gid = g->gid;
        to->type = g->type;
        to->name = xstrdup(g->name);
        to->comment = xstrdup(g->comment);
        p->ngroups++;
    }
    for (size_t i = 0; rc == 0 && i < m->n_samba_members; i++)
        p->members[p->nmembers++] =
            (struct passdb_member){.sid = xstrdup(m->samba_members[i]->sid),
                                   .groups = xstrdup(m->samba_members[i]->groups)};
    return rc;
}

static int open_samba(struct secrets *s, const Godwit__AccountSecrets *first)
{
    if (*first->no_samba || !*first->machine_sid) {
        s->no_samba = first->no_samba;
        return 0;
    }
    struct passdb *p = xcalloc(1, sizeof *p);
    s->samba = p;
    p->users = xcalloc(ACCOUNTS_MAX, sizeof *p->users);
    p->groups = xcalloc(ACCOUNTS_MAX, sizeof *p->groups);
    p->members = xcalloc(ACCOUNTS_MAX, sizeof *p->members);
    p->netbios_name = xstrdup(first->netbios_name);
    if (sid_parse(first->machine_sid, strlen(first->machine_sid), &p->machine) < 0 ||
        p->machine.nsubs != 4)
        return -EBADMSG;
    return 0;
}

int secrets_join(struct secrets *s)
{
    s->users = xcalloc(ACCOUNTS_MAX, sizeof(void *));
    s->shadows = xcalloc(ACCOUNTS_MAX, sizeof(void *));
    s->groups = xcalloc(ACCOUNTS_MAX, sizeof(void *));
    s->no_samba = "";
    int rc = s->nparts > 0 ? open_samba(s, s->parts[0]) : -EBADMSG;
    for (size_t i = 0; rc == 0 && i < s->nparts; i++) {
        rc = join_users(s, s->parts[i]);
        if (rc == 0 && s->samba)
            rc = join_samba(s->samba, s->parts[i]);
    }
    return rc;
}

static void wipe(Godwit__AccountSecrets *m)
{
    for (size_t i = 0; i < m->n_users; i++)
        if (m->users[i]->shadow)
            explicit_bzero(m->users[i]->shadow->hash, strlen(m->users[i]->shadow->hash));
    for (size_t i = 0; i < m->n_samba_users; i++)
        if (m->samba_users[i].len > 0)
            explicit_bzero(m->samba_users[i].data, m->samba_users[i].len);
    godwit__account_secrets__free_unpacked(m, NULL);
}

void secrets_done(struct secrets *s)
{
    for (size_t i = 0; i < s->nparts; i++)
        wipe(s->parts[i]);
    free(s->parts);
    free(s->users);
    free(s->shadows);
    free(s->groups);
    (void)passdb_free(s->samba);
}
