/* staged: its note, which names the account, and the calls. Process with rights. */
#include "agent/identity/staged.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/check.h"
#include "agent/identity/rejoin.h"
#include "agent/identity/rights.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define NOTE "staged"

static int open_note(const struct stage_run *r, struct undo **ret)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/" NOTE ".note", r->site.folder);
    return undo_open(path, ret);
}

bool staged_is(const struct stage_run *r, const char *netbios)
{
    CLEANUP(undo_free) struct undo *u = NULL;
    const Godwit__UndoAccount *was = open_note(r, &u) == 0 ? undo_account(u) : NULL;
    return was && strcasecmp(was->netbios, netbios) == 0;
}

/* Another name was said since. */
static int drop_former(struct stage_run *r, const Godwit__UndoAccount *was)
{
    int rc = rejoin_remove(r, was->dc, was->netbios);
    if (rc >= 0)
        rc = undo_begin_anew(r->site.undo);
    return rc < 0 && !r->reterr->err ? fault_set(r->reterr, FAULT_STOP_JOB, -rc,
                                                 "cannot write the note: %s", strerror(-rc))
                                     : rc;
}

/* 1: made; 0: it is there since an earlier time. */
static int make(struct stage_run *r, const struct ads *a, const char *name)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    const Godwit__IdentityNames *n = p->source_new;
    CLEANUP(ads_account_free) struct ads_account *had = NULL;
    CLEANUP(mem_free) char *dn = xasprintf("CN=%s,%s", name, p->ou);
    bool mine = undo_account(r->site.undo) != NULL;
    int rc = ads_find(a, name, &had, r->reterr);
    if (rc > 0 && !mine)
        return fault_set(r->reterr, FAULT_STOP_JOB, EEXIST,
                         "the directory has an account %.20s already", name);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = rights_to_make(a, p->ou, r->reterr);
    if (rc == 0)
        rc = rejoin_note(r, name, p->dc, dn, true);
    if (rc == 0)
        rc = ads_make(a, name, p->ou, n->n_dns_names ? n->dns_names[0] : NULL, r->reterr);
    /* Whoever makes one of that name later has it. */
    if (rc < 0 && ads_find(a, name, &had, NULL) == 0)
        (void)undo_begin_anew(r->site.undo);
    return rc < 0 ? rc : 1;
}

static int act(struct stage_run *r, const Godwit__IdentityPlan *p)
{
    CLEANUP(credential_free) struct credential *who = NULL;
    struct ads a;
    const char *name = p->source_new->netbios;
    const Godwit__UndoAccount *was = undo_account(r->site.undo);
    int rc = rejoin_ask(r, p->dc, &who, &a);
    if (rc == 0 && was && strcasecmp(was->netbios, name) != 0)
        rc = drop_former(r, was);
    return rc < 0 ? rc : make(r, &a, name);
}

int staged_act(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    struct fault why = {.err = 0}, *real = r->reterr;
    if (!p || !p->source_new)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    if (!p->domain)
        return 0;
    r->reterr = &why;
    int rc = act(r, p);
    r->reterr = real;
    if (rc < 0) {
        check_add(r->result, "new-account", "warn",
                  "nothing, if the source is to stay outside of the domain, or is to make it when "
                  "it joins",
                  "%s is not made beforehand: %s", p->source_new->netbios, why.text);
        return 0;
    }
    stage_text(&r->result->after,
               xasprintf("%s waits for the source, disabled", p->source_new->netbios));
    check_add(
        r->result, "new-account", "pass", "",
        "%s is in the directory, disabled, until the source takes it; godwit cutover rollback "
        "removes it",
        p->source_new->netbios);
    return rc;
}

int staged_probe(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    return p && p->source_new && staged_is(r, p->source_new->netbios);
}

static void remove_it(struct stage_run *r, const Godwit__UndoAccount *was)
{
    struct fault why = {.err = 0}, *real = r->reterr;
    r->reterr = &why;
    if (rejoin_remove(r, was->dc, was->netbios) < 0)
        stage_text(&r->result->after,
                   xasprintf("the account %.20s stays in the directory, remove it by hand: %.200s",
                             was->netbios, why.text));
    r->reterr = real;
}

int staged_undone(struct stage_run *r)
{
    const Godwit__UndoAccount *was = undo_account(r->site.undo);
    if (was)
        remove_it(r, was);
    return 0;
}

void staged_end(struct stage_run *r)
{
    CLEANUP(undo_free) struct undo *u = NULL;
    const Godwit__UndoAccount *was = open_note(r, &u) == 0 ? undo_account(u) : NULL;
    if (was && !stage_has_note(r, "join"))
        remove_it(r, was);
}
