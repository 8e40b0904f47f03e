/* give: the step "accounts.give": reads digests of passwords and Samba's users of this host, and
 * tells them to the destination, over a lane and nowhere else. Worker thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account/accounts.h"
#include "agent/account/secrets.h"
#include "agent/step.h"
#include "common/base/buf.h"
#include "common/base/mem.h"

#define ETC "/etc"
#define ANSWER_MS 20000
#define PART_BYTES (64U << 10) /* a record is sent once it is larger */

struct giver {
    struct step *step;
    struct account_list *l;
    struct shadow *shadow;
    struct passdb *samba;
    struct fault no_samba;
    struct lane *lane;
    struct fault *fault;
};

/* ── records ── */

static int send_part(struct giver *g, const Godwit__AccountSecrets *m)
{
    size_t n = godwit__account_secrets__get_packed_size(m);
    uint8_t *room = xmalloc(LANE_HEADER_BYTES + n);
    (void)godwit__account_secrets__pack(m, room + LANE_HEADER_BYTES);
    int rc = n > SECRETS_RECORD_MAX ? -E2BIG : lane_send(g->lane, REC_ACCOUNTS, 0, room, n);
    explicit_bzero(room, LANE_HEADER_BYTES + n);
    free(room);
    return rc;
}

static bool is_full(const Godwit__AccountSecrets *m)
{
    return godwit__account_secrets__get_packed_size(m) > PART_BYTES;
}

/* 0: what is in the message was sent, and it is empty again. */
static int flush(struct giver *g, Godwit__AccountSecrets *m)
{
    int rc = send_part(g, m);
    m->n_users = m->n_groups = m->n_samba_users = m->n_samba_groups = m->n_samba_members = 0;
    return rc;
}

static int give_users(struct giver *g, Godwit__AccountSecrets *m)
{
    const struct account_list *l = g->l;
    Godwit__AccountUser *users = xcalloc(l->nusers + 1, sizeof *users);
    Godwit__AccountShadow *shadows = xcalloc(l->nusers + 1, sizeof *shadows);
    Godwit__AccountSecret *all = xcalloc(l->nusers + 1, sizeof *all);
    m->users = xcalloc(l->nusers + 1, sizeof(void *));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->nusers; i++) {
        const struct account_user *u = &l->users[i];
        const struct shadow_row *s = shadow_named(g->shadow, u->name);
        if (!account_is_told(l, u))
            continue;
        godwit__account_user__init(&users[i]);
        godwit__account_shadow__init(&shadows[i]);
        godwit__account_secret__init(&all[i]);
        users[i].name = u->name;
        users[i].uid = u->uid;
        users[i].gid = u->gid;
        users[i].gecos = u->gecos;
        users[i].home = u->home;
        users[i].shell = u->shell;
        users[i].group = account_group_of(l, u->gid)->name;
        all[i].user = &users[i];
        if (s) {
            shadows[i] = (Godwit__AccountShadow){
                shadows[i].base, s->hash,          (int32_t)s->changed,  (int32_t)s->min,
                (int32_t)s->max, (int32_t)s->warn, (int32_t)s->inactive, (int32_t)s->expire};
            all[i].shadow = &shadows[i];
        }
        m->users[m->n_users++] = &all[i];
        rc = m->n_users % 64 == 0 && is_full(m) ? flush(g, m) : 0;
    }
    rc = rc == 0 && m->n_users ? flush(g, m) : rc;
    free(m->users);
    m->users = NULL;
    free(all);
    free(shadows);
    free(users);
    return rc;
}

static int give_groups(struct giver *g, Godwit__AccountSecrets *m)
{
    const struct account_list *l = g->l;
    Godwit__AccountGroup *groups = xcalloc(l->ngroups + 1, sizeof *groups);
    m->groups = xcalloc(l->ngroups + 1, sizeof(void *));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->ngroups; i++) {
        const struct account_group *x = &l->groups[i];
        if (x->gid < l->gid_min || x->gid > l->gid_max || !account_name_fits(x->name))
            continue;
        godwit__account_group__init(&groups[i]);
        groups[i].name = x->name;
        groups[i].gid = x->gid;
        m->groups[m->n_groups++] = &groups[i];
        rc = m->n_groups % 64 == 0 && is_full(m) ? flush(g, m) : 0;
    }
    rc = rc == 0 && m->n_groups ? flush(g, m) : rc;
    free(m->groups);
    m->groups = NULL;
    free(groups);
    return rc;
}

static int give_samba_users(struct giver *g, Godwit__AccountSecrets *m)
{
    const struct passdb *p = g->samba;
    int rc = 0;
    m->samba_users = xcalloc(p->nusers + 1, sizeof *m->samba_users);
    for (size_t i = 0; rc == 0 && i < p->nusers; i++) {
        m->samba_users[m->n_samba_users++] =
            (ProtobufCBinaryData){.data = p->users[i].record, .len = p->users[i].len};
        rc = is_full(m) ? flush(g, m) : 0;
    }
    rc = rc == 0 && m->n_samba_users ? flush(g, m) : rc;
    free(m->samba_users);
    m->samba_users = NULL;
    return rc;
}

static int give_samba_groups(struct giver *g, Godwit__AccountSecrets *m)
{
    const struct passdb *p = g->samba;
    Godwit__SambaGroup *groups = xcalloc(p->ngroups + 1, sizeof *groups);
    char(*sids)[SID_TEXT_MAX] = xcalloc(p->ngroups + 1, sizeof *sids);
    m->samba_groups = xcalloc(p->ngroups + 1, sizeof(void *));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->ngroups; i++) {
        const struct passdb_group *x = &p->groups[i];
        godwit__samba_group__init(&groups[i]);
        sid_text(&x->sid, sids[i]);
        groups[i] =
            (Godwit__SambaGroup){groups[i].base, sids[i], x->gid, x->type, x->name, x->comment};
        m->samba_groups[m->n_samba_groups++] = &groups[i];
        rc = is_full(m) ? flush(g, m) : 0;
    }
    rc = rc == 0 && m->n_samba_groups ? flush(g, m) : rc;
    free(m->samba_groups);
    m->samba_groups = NULL;
    free(sids);
    free(groups);
    return rc;
}

static int give_samba_members(struct giver *g, Godwit__AccountSecrets *m)
{
    const struct passdb *p = g->samba;
    Godwit__SambaMember *members = xcalloc(p->nmembers + 1, sizeof *members);
    m->samba_members = xcalloc(p->nmembers + 1, sizeof(void *));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->nmembers; i++) {
        godwit__samba_member__init(&members[i]);
        members[i].sid = p->members[i].sid;
        members[i].groups = p->members[i].groups;
        m->samba_members[m->n_samba_members++] = &members[i];
        rc = is_full(m) ? flush(g, m) : 0;
    }
    rc = rc == 0 && m->n_samba_members ? flush(g, m) : rc;
    free(m->samba_members);
    m->samba_members = NULL;
    free(members);
    return rc;
}

static int give_all(struct giver *g)
{
    char sid[SID_TEXT_MAX] = "";
    Godwit__AccountSecrets m = GODWIT__ACCOUNT_SECRETS__INIT;
    if (g->samba) {
        sid_text(&g->samba->machine, sid);
        m.netbios_name = g->samba->netbios_name;
    } else {
        m.no_samba = g->no_samba.text;
    }
    m.machine_sid = sid;
    int rc = send_part(g, &m);
    godwit__account_secrets__init(&m);
    if (rc == 0)
        rc = give_users(g, &m);
    if (rc == 0)
        rc = give_groups(g, &m);
    if (rc == 0 && g->samba)
        rc = give_samba_users(g, &m);
    if (rc == 0 && g->samba)
        rc = give_samba_groups(g, &m);
    if (rc == 0 && g->samba)
        rc = give_samba_members(g, &m);
    m.last = true;
    return rc < 0 ? rc : send_part(g, &m);
}

/* ── the step ── */

/* The destination says when it is done; what became of it, its own step tells. */
static int wait_taken(struct giver *g)
{
    struct lane_record r;
    int rc = lane_receive(g->lane, SECRETS_WAIT_MS * 5, &r);
    if (rc <= 0)
        return rc < 0 ? rc : -ETIMEDOUT;
    return r.type == REC_ACCOUNTS_TAKEN ? 0 : -EPROTO;
}

static int read_all(struct giver *g)
{
    int rc = account_list_read(ETC, &g->l, g->fault);
    if (rc == 0)
        rc = shadow_read(ETC "/shadow", &g->shadow, g->fault);
    if (rc < 0)
        return rc;
    if (passdb_read(false, &g->samba, &g->no_samba) < 0 && !g->no_samba.text[0])
        (void)fault_set(&g->no_samba, FAULT_STOP_JOB, EIO, "its users could not be read");
    return 0;
}

static int give(struct giver *g, const Godwit__AccountsLaneOrder *o)
{
    struct ticket t = {.not_after_ms = 0};
    const struct lane_single_way way = {.endpoints = o->peer_endpoints,
                                        .nendpoints = o->n_peer_endpoints,
                                        .cancel_fd = step_cancel_fd(g->step),
                                        .answer_ms = ANSWER_MS};
    if (!step_env(g->step)->privileged)
        return fault_set(g->fault, FAULT_STOP_JOB, EPERM,
                         "passwords can be read by an agent that is root only");
    if (accounts_is_controller())
        return fault_set(g->fault, FAULT_STOP_JOB, EPERM,
                         "the source is a domain controller: its accounts are the domain's");
    if (secrets_ticket(o, &t) < 0)
        return fault_set(g->fault, FAULT_STOP_JOB, EINVAL, "the order is not well formed");
    int rc = read_all(g);
    if (rc < 0)
        return rc;
    rc = lane_single_open(step_env(g->step)->identity, &t, &way, &g->lane);
    explicit_bzero(t.secret, sizeof t.secret);
    if (rc == 0)
        rc = give_all(g);
    if (rc == 0)
        rc = wait_taken(g);
    if (rc == 0)
        lane_close(g->lane);
    if (rc < 0)
        return fault_set(g->fault, FAULT_RETRY, -rc, "the lane for accounts: %s", strerror(-rc));
    return 0;
}

void accounts_give(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    struct giver g = {.step = s, .fault = &ret->fault};
    Godwit__AccountsLaneOrder *o = godwit__accounts_lane_order__unpack(NULL, len, args);
    ret->status = STEP_FAILED;
    if (!o)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    else if (give(&g, o) == 0)
        ret->status = STEP_DONE;
    (void)lane_free(g.lane);
    (void)account_list_free(g.l);
    (void)shadow_free(g.shadow);
    (void)passdb_free(g.samba);
    if (o)
        godwit__accounts_lane_order__free_unpacked(o, NULL);
}
