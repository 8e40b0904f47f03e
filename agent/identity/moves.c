/* moves: which of this host's interfaces has which addresses in a cutover, on the wire and in the
 * files of its network's manager. Worker thread, or a process of its own. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/former.h"
#include "agent/identity/keep.h"
#include "agent/identity/lease.h"
#include "agent/identity/net.h"
#include "agent/identity/stage.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

struct wanted {
    struct net_want w;
    bool lease; /* what goes had come by DHCP */
    char *add[NET_ADDRESSES], *drop[NET_ADDRESSES];
};

static void want_of(const struct stage_run *r, const Godwit__IdentityMove *m, struct wanted *ret)
{
    bool source = stage_is_source(r);
    struct net_want *w = &ret->w;
    *w = (struct net_want){
        .mac = source ? m->from_mac : m->to_mac, .name = "", .add = ret->add, .drop = ret->drop};
    if (source && *m->source_keeps)
        ret->add[w->nadd++] = m->source_keeps;
    for (size_t i = 0; i < m->n_addresses && i < NET_ADDRESSES - 1; i++)
        if (source)
            ret->drop[w->ndrop++] = m->addresses[i]->address;
        else
            ret->add[w->nadd++] = m->addresses[i]->address;
    for (size_t i = 0; !source && i < m->n_gives_up && i < NET_ADDRESSES - 1; i++)
        ret->drop[w->ndrop++] = m->gives_up[i]->address;
    ret->lease = false;
    for (size_t i = 0; source && i < m->n_addresses; i++)
        ret->lease = ret->lease || m->addresses[i]->dynamic;
    if (source) { /* without an address there they lead nowhere */
        w->routes = m->source_routes;
        w->nroutes = *m->source_keeps ? m->n_source_routes : 0;
        return;
    }
    w->routes = m->routes;
    w->nroutes = m->n_routes;
}

bool stage_is_card(const Godwit__IdentityPlan *p, bool source, const char *mac)
{
    for (size_t m = 0; m < p->n_moves; m++)
        if (strcasecmp(mac, source ? p->moves[m]->from_mac : p->moves[m]->to_mac) == 0)
            return true;
    return false;
}

/* Of the interfaces that will change, before the first of them does. */
static int note_network(struct stage_run *r, const Godwit__IdentityPlan *p,
                        const Godwit__UndoNetwork *now)
{
    Godwit__UndoNetwork some = GODWIT__UNDO_NETWORK__INIT;
    struct wanted want;
    CLEANUP(mem_free)
    Godwit__UndoInterface **list = xcalloc(p->n_moves + 1, sizeof *list);
    some.interfaces = list;
    for (size_t m = 0; m < p->n_moves; m++) {
        want_of(r, p->moves[m], &want);
        const Godwit__UndoInterface *i = net_find(now, want.w.mac, "");
        if (!i)
            return fault_set(r->reterr, FAULT_STOP_JOB, ENODEV,
                             "no interface here has the address %.20s", want.w.mac);
        memcpy(&list[some.n_interfaces++], &i, sizeof i); /* only packed */
    }
    int rc = undo_keep_network(r->site.undo, &some);
    return rc < 0 ? fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot note the network: %s",
                              strerror(-rc))
                  : 0;
}

/* The file first: a host that is reset between the two comes up as it will be, or as it was. */
static int make_one(struct stage_run *r, struct wanted *want, const char *name)
{
    want->w.name = name;
    /* The source may be about to let go of them. */
    int kept =
        net_await_free(&r->site, &want->w, stage_is_source(r) ? 0 : STAGE_LET_GO_MS, r->reterr);
    want->w.free = kept == 0;
    if (kept == 0)
        kept = keep_write(&r->site, &want->w, r->reterr);
    if (kept < 0)
        return kept;
    FAULT_POINT("identity.address");
    /* Else it takes it back when it renews it. */
    int ended = want->lease ? lease_end(&r->site, name, r->reterr) : 0;
    if (ended < 0)
        return ended;
    int live = net_make(&r->site, &want->w, r->reterr);
    if (live >= 0 && (kept || stage_is_source(r))) {
        keep_reload(&r->site, name);
        live = net_make(&r->site, &want->w, r->reterr); /* whatever the manager made of it */
    }
    return live < 0 ? live : live || kept;
}

/* How it is, looked at and noted before anything of it changes. */
static int begin(struct stage_run *r, const Godwit__IdentityPlan *p, Godwit__UndoNetwork **ret)
{
    Godwit__UndoNetwork *now = NULL;
    struct wanted want;
    int rc = net_look(&r->site, &now, r->reterr);
    if (rc < 0)
        return rc;
    for (size_t m = 0; rc == 0 && m < p->n_moves; m++) {
        want_of(r, p->moves[m], &want);
        rc = net_want_valid(&want.w, r->reterr);
    }
    for (size_t i = 0; rc == 0 && i < now->n_interfaces; i++)
        lease_tell(&r->site, now->interfaces[i]);
    if (rc == 0 && p->n_moves)
        rc = note_network(r, p, now);
    if (rc >= 0 && !stage_is_source(r)) {
        rc = former_note(r->site.folder, p);
        if (rc < 0)
            (void)fault_set(r->reterr, FAULT_STOP_JOB, -rc,
                            "cannot note who has had the addresses: %s", strerror(-rc));
    }
    if (rc < 0)
        net_free(now);
    else
        *ret = now;
    return rc;
}

/* Noted for a person, who does the rest; with the files of the managers. */
int stage_note_addresses(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = stage_plan(r);
    Godwit__UndoNetwork *now = NULL;
    struct wanted want;
    int rc = p ? begin(r, p, &now) : -EBADMSG;
    if (rc < 0)
        return rc;
    for (size_t m = 0; rc == 0 && m < p->n_moves; m++) {
        CLEANUP(mem_free) char *file = NULL;
        want_of(r, p->moves[m], &want);
        if (keep_find(&r->site, net_find(now, want.w.mac, "")->name, &file) != KEEP_NONE && *file) {
            CLEANUP(mem_free) char *full = xasprintf("%s%s", r->site.root, file);
            rc = undo_keep_file(r->site.undo, full);
        }
    }
    net_free(now);
    return rc < 0 && !r->reterr->err ? fault_set(r->reterr, FAULT_STOP_JOB, -rc,
                                                 "cannot note the network: %s", strerror(-rc))
                                     : rc;
}

/* A source that restarts while its successor takes over comes up without what is no more its own.
 */
int stage_stay_away(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    Godwit__UndoNetwork *now = NULL;
    struct wanted want;
    int rc = p && p->n_moves ? begin(r, p, &now) : 0;
    for (size_t m = 0; p && rc >= 0 && m < p->n_moves; m++) {
        want_of(r, p->moves[m], &want);
        want.w.name = net_find(now, want.w.mac, "")->name;
        rc = keep_write(&r->site, &want.w, r->reterr);
    }
    net_free(now);
    return rc;
}

int stage_addresses(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = stage_plan(r);
    Godwit__UndoNetwork *now = NULL;
    struct wanted want;
    int changed = 0, rc = p ? begin(r, p, &now) : -EBADMSG;
    if (rc < 0)
        return rc;
    for (size_t m = 0; rc >= 0 && m < p->n_moves; m++) {
        want_of(r, p->moves[m], &want);
        rc = make_one(r, &want, net_find(now, want.w.mac, "")->name);
        changed = changed || rc > 0;
    }
    net_free(now);
    return rc < 0 ? rc : changed;
}

int stage_addresses_probe(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = stage_plan(r);
    Godwit__UndoNetwork *now = NULL;
    struct wanted want;
    int rc = p ? net_look(&r->site, &now, r->reterr) : -EBADMSG;
    bool is = rc == 0;
    for (size_t m = 0; is && m < p->n_moves; m++) {
        want_of(r, p->moves[m], &want);
        const Godwit__UndoInterface *i = net_find(now, want.w.mac, "");
        CLEANUP(mem_free) char *lines = i ? net_commands(i, &want.w) : NULL;
        is = lines && !*lines;
    }
    net_free(now);
    return rc < 0 ? rc : is;
}
