/* take: the step "accounts.take": gets digests of passwords and Samba's users from the source, and
 * puts them there for the accounts that "accounts.apply" made. What was here before keeps its
 * password. Worker thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account/accounts.h"
#include "agent/account/order.h"
#include "agent/account/record.h"
#include "agent/account/samba_plan.h"
#include "agent/account/secrets.h"
#include "agent/lane/lane_hello.h"
#include "agent/step.h"
#include "common/base/fault_point.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"

#define ETC "/etc"
#define COME_MS 30000 /* for the source to come */
#define CREDIT (1U << 20)

struct taker {
    struct step *step;
    const Godwit__AccountsLaneOrder *o;
    struct lane *lane;
    struct secrets got;
    struct account_list *here;
    struct account_order with;
    struct account_records *records;
    struct account_row *rows;
    size_t nrows;
    struct passdb *samba;
    struct samba_plan plan;
    Godwit__AccountsTaken told;
    char *note; /* about Samba as a whole */
    struct fault *fault;
};

/* ── what the source says ── */

static int receive(struct taker *t)
{
    struct lane_record r;
    const struct lane_welcome w = {.credit = CREDIT};
    int rc = lane_welcome_send(t->lane, &w);
    while (rc == 0) {
        rc = lane_receive(t->lane, SECRETS_WAIT_MS, &r);
        if (rc == 1)
            rc = r.type == REC_ACCOUNTS ? secrets_add(&t->got, r.data, r.len) : -EPROTO;
        else if (rc == 0)
            rc = -ETIMEDOUT;
        if (rc == 1)
            return secrets_join(&t->got);
    }
    return rc;
}

static int meet(struct taker *t)
{
    struct ticket ticket = {.not_after_ms = 0};
    int rc = secrets_ticket(t->o, &ticket);
    if (rc == 0)
        rc = lane_single_await(step_env(t->step)->lanes, &ticket, step_cancel_fd(t->step), COME_MS,
                               &t->lane);
    explicit_bzero(ticket.secret, sizeof ticket.secret);
    if (rc == 0)
        rc = receive(t);
    if (rc == -EBADMSG || rc == -E2BIG || rc == -EINVAL)
        return fault_set(t->fault, FAULT_STOP_JOB, -rc,
                         "what the source says of its accounts is not well formed");
    if (rc < 0)
        return fault_set(t->fault, FAULT_RETRY, -rc, "the lane for accounts: %s", strerror(-rc));
    return 0;
}

/* ── unix passwords ── */

static const struct account_row *row_of(const struct taker *t, const char *name)
{
    for (size_t i = 0; i < t->nrows; i++)
        if (!t->rows[i].group && strcmp(t->rows[i].name, name) == 0)
            return &t->rows[i];
    return NULL;
}

static struct shadow_row wanted(const Godwit__AccountShadow *from, const struct account_row *row)
{
    char *name;
    const char *as = row->as;
    memcpy(&name, &as, sizeof name); /* only read */
    return (struct shadow_row){.name = name,
                               .hash = from->hash,
                               .changed = from->changed,
                               .min = from->min,
                               .max = from->max,
                               .warn = from->warn,
                               .inactive = from->inactive,
                               .expire = from->expire};
}

/* Only of accounts that were made for this source. */
static size_t choose(struct taker *t, const struct shadow *here, struct shadow_row *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < t->got.nusers; i++) {
        const struct account_row *row = row_of(t, t->got.users[i]->name);
        const Godwit__AccountShadow *from = t->got.shadows[i];
        const struct shadow_row *had = row ? shadow_named(here, row->as) : NULL;
        if (!row || row->fate != FATE_SAME || !row->recorded || row->to < t->here->uid_min || !had)
            continue;
        if (!from || !shadow_hash_fits(from->hash) || !shadow_has_password(from->hash)) {
            t->told.passwords_none++;
            continue;
        }
        struct shadow_row want = wanted(from, row);
        if (shadow_replaces(&want, had))
            ret[n++] = want;
        else if (strcmp(want.hash, had->hash) != 0)
            t->told.passwords_kept++;
    }
    return n;
}

static int set_passwords(struct taker *t)
{
    CLEANUP(shadow_free) struct shadow *here = NULL;
    int rc = shadow_read(ETC "/shadow", &here, t->fault);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) struct shadow_row *rows = xcalloc(t->got.nusers + 1, sizeof *rows);
    size_t n = choose(t, here, rows);
    rc = shadow_set(rows, n, t->fault);
    t->told.passwords = (uint32_t)n;
    FAULT_POINT("passwords-set");
    return rc;
}

/* ── Samba ── */

/* Why Samba's users do not come is told; it stops nothing. */
static void no_samba(struct taker *t, const char *where, const char *why)
{
    t->note = xasprintf("Samba's users and groups stay behind: %s: %s", where, why);
}

static int put_samba(struct taker *t)
{
    struct fault why = {.err = 0};
    if (!t->got.samba && !*t->got.no_samba)
        return 0;
    if (!t->got.samba) {
        if (strstr(t->got.no_samba, "there is no Samba") == NULL)
            no_samba(t, "the source", t->got.no_samba);
        return 0;
    }
    if (passdb_read(true, &t->samba, &why) < 0) {
        if (t->got.samba->nusers + t->got.samba->ngroups > 0)
            no_samba(t, "the destination", why.text);
        return 0;
    }
    const struct samba_ask ask = {.from = t->got.samba,
                                  .here = t->samba,
                                  .rows = t->rows,
                                  .nrows = t->nrows,
                                  .map = t->with.map,
                                  .uid_min = t->here->uid_min,
                                  .gid_min = t->here->gid_min,
                                  .suffix = t->o->source_host};
    samba_plan(&ask, &t->plan);
    if (t->plan.map.overflow)
        return fault_set(t->fault, FAULT_STOP_JOB, E2BIG, "too many SIDs would become others");
    t->told.samba = true;
    const struct passdb *put = &t->plan.put;
    if (put->nusers + put->ngroups + put->nmembers == 0)
        return 0;
    return passdb_put(put, t->fault);
}

/* ── what is told ── */

static void tell(struct taker *t, struct step_result *ret)
{
    Godwit__AccountsTaken *m = &t->told;
    struct samba_plan *p = &t->plan;
    char from[SID_TEXT_MAX] = "", sid[SID_TEXT_MAX] = "";
    char *notes[SAMBA_NOTES_MAX + 1];
    if (t->told.samba) {
        sid_text(&t->got.samba->machine, from);
        sid_text(&t->samba->machine, sid);
    }
    m->source_sid = from;
    m->sid = sid;
    m->map = (ProtobufCBinaryData){.data = p->map.data, .len = p->map.len};
    m->users_created = p->users_made;
    m->users_updated = p->users_updated;
    m->users_same = p->users_same;
    m->users_skipped = p->users_left;
    m->groups_created = p->groups_made;
    m->groups_same = p->groups_same;
    m->groups_skipped = p->groups_left;
    m->notes = notes;
    if (t->note)
        notes[m->n_notes++] = t->note;
    for (size_t i = 0; i < p->nnotes; i++)
        notes[m->n_notes++] = p->notes[i];
    ret->body_len = godwit__accounts_taken__get_packed_size(m);
    ret->body = xmalloc(ret->body_len + 1);
    (void)godwit__accounts_taken__pack(m, ret->body);
}

/* ── the step ── */

static int check_host(struct taker *t)
{
    if (!step_env(t->step)->privileged)
        return fault_set(t->fault, FAULT_STOP_JOB, EPERM,
                         "passwords can be set by an agent that is root only");
    if (accounts_is_controller())
        return fault_set(t->fault, FAULT_STOP_JOB, EPERM,
                         "this host is a domain controller: local accounts are not moved to it");
    return 0;
}

static int plan(struct taker *t)
{
    const struct account_order_text text = {t->o->source_host, t->o->conflict, t->o->map};
    int rc = account_order_read(&text, t->got.users, t->got.nusers, t->got.groups, t->got.ngroups,
                                &t->with, t->fault);
    if (rc == 0)
        rc = account_list_read(ETC, &t->here, t->fault);
    if (rc < 0)
        return rc;
    rc = account_records_open(step_env(t->step)->state_dir, t->o->source_host, &t->records);
    if (rc < 0)
        return fault_set(t->fault, FAULT_STOP_JOB, -rc, "cannot read the record of accounts: %s",
                         strerror(-rc));
    t->with.ask.here = t->here;
    t->with.ask.record = account_records_get(t->records, &t->with.ask.nrecord);
    t->nrows = account_plan(&t->with.ask, &t->rows);
    return 0;
}

static int take(struct taker *t)
{
    int rc = check_host(t);
    if (rc == 0)
        rc = meet(t);
    if (rc == 0)
        rc = plan(t);
    FAULT_POINT("secrets-here");
    if (rc == 0)
        rc = set_passwords(t);
    if (rc == 0)
        rc = put_samba(t);
    if (rc == 0) {
        (void)lane_send_copy(t->lane, REC_ACCOUNTS_TAKEN, 0, "", 0);
        lane_close(t->lane);
    }
    return rc;
}

static void done(struct taker *t)
{
    (void)lane_free(t->lane);
    samba_plan_done(&t->plan);
    (void)passdb_free(t->samba);
    free(t->rows);
    free(t->note);
    account_order_done(&t->with);
    (void)account_records_free(t->records);
    (void)account_list_free(t->here);
    secrets_done(&t->got);
}

void accounts_take(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    struct taker t = {.step = s, .fault = &ret->fault};
    godwit__accounts_taken__init(&t.told);
    buf_init(&t.plan.map, 1);
    ret->status = STEP_FAILED;
    Godwit__AccountsLaneOrder *o = godwit__accounts_lane_order__unpack(NULL, len, args);
    t.o = o;
    if (!o) {
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    } else if (take(&t) == 0) {
        tell(&t, ret);
        ret->status = STEP_DONE;
    }
    done(&t);
    if (o)
        godwit__accounts_lane_order__free_unpacked(o, NULL);
}
