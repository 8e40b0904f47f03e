/* stages: the table of what can be done to this host, and the stages that need no file of their
 * own. Worker thread, or a process of its own. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/bundle.h"
#include "agent/identity/check.h"
#include "agent/identity/dns.h"
#include "agent/identity/fence.h"
#include "agent/identity/guard.h"
#include "agent/identity/keep.h"
#include "agent/identity/keytab.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "agent/identity/nfs.h"
#include "agent/identity/rejoin.h"
#include "agent/identity/rival.h"
#include "agent/identity/service.h"
#include "agent/identity/stage.h"
#include "agent/identity/staged.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define ANSWER_MS 30000
#define OPEN_SHOWN 5

/* ── guard ── */

static int guard_act(struct stage_run *r)
{
    uint32_t silence = r->order->silence_s;
    int rc = silence ? guard_set(r->site.folder, silence) : -EINVAL;
    return rc < 0 ? fault_set(r->reterr, FAULT_STOP_JOB, -rc, "the timer cannot be set: %s",
                              strerror(-rc))
                  : 1;
}

static int guard_probe(struct stage_run *r)
{
    return guard_is_set(r->site.folder);
}

static int guard_gone(struct stage_run *r)
{
    int was = guard_is_set(r->site.folder);
    return guard_clear(r->site.folder) < 0 ? -EIO : was;
}

static int unguard_probe(struct stage_run *r)
{
    return !guard_is_set(r->site.folder);
}

/* ── fence, close ── */

static int raise(struct stage_run *r, bool closed)
{
    Godwit__IdentityOpenFile **open = NULL;
    size_t n = 0, count = 0;
    struct fault unused = {.err = 0};
    /* Who had what open when it began is what counts; asked again it would cost users time. */
    if (!closed && fence_open_files(&r->site, OPEN_SHOWN, &open, &n, &count, &unused) == 0)
        stage_text(&r->result->before, xasprintf("%zu files open by clients%s%s", count,
                                                 n ? ", the first: " : "", n ? open[0]->path : ""));
    for (size_t i = 0; i < n; i++)
        godwit__identity_open_file__free_unpacked(open[i], NULL);
    free(open);
    int nfs = nfs_raise(&r->site, closed, r->reterr);
    int rc = nfs < 0 ? nfs : fence_raise(&r->site, closed, r->reterr);
    if (rc >= 0)
        stage_text(&r->result->after, xasprintf("all shares%s %s", nfs ? " and NFS exports" : "",
                                                closed ? "closed" : "read-only"));
    return rc < 0 ? rc : rc || nfs;
}

static int fence_act(struct stage_run *r)
{
    return raise(r, false);
}

static int close_act(struct stage_run *r)
{
    return raise(r, true);
}

/* Of what a person has done too: but not before it was noted what was. */
static int is_raised(struct stage_run *r, bool closed)
{
    if (!stage_has_note(r, r->order->stage) || !nfs_holds(&r->site, closed))
        return 0;
    return fence_holds(&r->site, closed, r->reterr);
}

static int fence_probe(struct stage_run *r)
{
    return is_raised(r, false);
}

static int close_probe(struct stage_run *r)
{
    return is_raised(r, true);
}

static int fence_undone(struct stage_run *r)
{
    fence_reload(&r->site);
    nfs_reload(&r->site);
    return 0;
}

/* What the join has left for later. A service that wants the file can be told to make it; users can
 * not be told to wait. */
static int keys_undone(struct stage_run *r)
{
    struct fault why = {.err = 0}, *real = r->reterr;
    r->reterr = &why;
    if (keytab_make(r) < 0)
        stage_text(&r->result->after,
                   xasprintf("make the keytab by hand, net ads keytab create: %.200s", why.text));
    r->reterr = real;
    return 0;
}

/* Users are served again. */
static int reopened(struct stage_run *r)
{
    (void)fence_undone(r);
    return keys_undone(r);
}

bool stage_has_note(const struct stage_run *r, const char *stage)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s.note", r->site.folder, stage);
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > 0;
}

/* ── stop, start ── */

static int stop_act(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    int rc = p && stage_is_source(r) ? rival_note(r->site.folder, p) : 0;
    if (rc < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot note whom to ask: %s",
                         strerror(-rc));
    rc = service_stop(&r->site, r->reterr);
    if (rc >= 0 && stage_is_source(r))
        rc = stage_stay_away(r);
    if (rc >= 0 && !*r->site.root && service_answers("127.0.0.1", 200))
        rc = fault_set(r->reterr, FAULT_RETRY, EBUSY,
                       "something still accepts on port 445 of this host");
    if (rc >= 0)
        stage_text(&r->result->after, xstrdup("no process of Samba; its units are masked"));
    return rc;
}

static int stop_probe(struct stage_run *r)
{
    Godwit__UndoUnits *u = NULL;
    int rc = service_look(&r->site, &u, r->reterr);
    if (rc < 0)
        return rc;
    bool stopped = service_count() == 0;
    for (size_t i = 0; i < u->n_units; i++)
        stopped = stopped && !u->units[i]->active && u->units[i]->masked;
    service_free(u);
    return stopped;
}

/* Of a host that has no shares to open after it: see reopened(). */
static int stop_undone(struct stage_run *r)
{
    return stage_has_note(r, "fence") ? 0 : keys_undone(r);
}

/* All addresses that moved here, or this host alone when only names move. */
static const char *dead_address(const Godwit__IdentityPlan *p, int timeout_ms)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    size_t all = 0;
    for (size_t m = 0; m < p->n_moves; m++)
        for (size_t i = 0; i < p->moves[m]->n_addresses; i++, all++) {
            const char *a = p->moves[m]->addresses[i]->address;
            while (!service_answers(a, 500)) {
                if (clock_mono_ms() > until)
                    return a;
                (void)poll(NULL, 0, 20);
            }
        }
    while (all == 0 && !service_answers("127.0.0.1", 500)) {
        if (clock_mono_ms() > until)
            return "127.0.0.1";
        (void)poll(NULL, 0, 20);
    }
    return NULL;
}

/* What ran here before "stop" runs again, and smbd in any case. */
static int start_all(struct stage_run *r, const Godwit__IdentityPlan *p)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/stop.note", r->site.folder);
    CLEANUP(undo_free) struct undo *before = NULL;
    Godwit__UndoUnits *now = NULL;
    bool nmbd = false, winbind = p->domain;
    if (undo_open(path, &before) == 0 && undo_units(before)) {
        nmbd = service_active(undo_units(before), "nmbd.service");
        winbind = winbind || service_active(undo_units(before), "winbind.service");
    }
    int rc = service_look(&r->site, &now, r->reterr);
    if (rc < 0)
        return rc;
    rc = undo_keep_units(r->site.undo, now);
    service_free(now);
    if (rc < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot note what runs");
    return service_start(&r->site, true, nmbd, winbind, r->reterr);
}

static int start_act(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = stage_plan(r);
    if (!p)
        return -EBADMSG;
    if (stage_is_source(r))
        return 0; /* it offers nothing to users any more */
    int rc = start_all(r, p);
    const char *dead = rc < 0 || *r->site.root ? NULL : dead_address(p, ANSWER_MS);
    if (dead)
        return fault_set(r->reterr, FAULT_STOP_JOB, ETIMEDOUT, "smbd does not answer on %.50s",
                         dead);
    if (rc == 0 && p->domain && !service_trusted(&r->site, ANSWER_MS))
        return fault_set(r->reterr, FAULT_STOP_JOB, EACCES,
                         "the domain does not trust this host's account: wbinfo -t fails");
    return rc < 0 ? rc : 1;
}

static int start_probe(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = stage_plan(r);
    return !p ? -EBADMSG : stage_is_source(r) ? 1 : dead_address(p, 0) == NULL;
}

/* ── names ── */

static char *joined(char *const *list, size_t n)
{
    char *all = xstrdup("");
    for (size_t i = 0; i < n; i++) {
        char *more = xasprintf("%s%s%s", all, *all ? " " : "", list[i]);
        free(all);
        all = more;
    }
    return all;
}

static int names_fit(struct stage_run *r, const Godwit__IdentityNames *n)
{
    const char *bad = names_host_valid(n->host) ? NULL : n->host;
    if (*n->netbios && !names_netbios_valid(n->netbios))
        bad = n->netbios;
    for (size_t i = 0; i < n->n_aliases; i++)
        bad = names_netbios_valid(n->aliases[i]) ? bad : n->aliases[i];
    for (size_t i = 0; i < n->n_dns_names; i++)
        bad = names_full_valid(n->dns_names[i]) ? bad : n->dns_names[i];
    return bad ? fault_set(r->reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' is no name of a host", bad)
               : 0;
}

/* By name only it stays where it is. */
static char *first_address(const struct stage_run *r)
{
    Godwit__UndoNetwork *net = NULL;
    struct fault unused = {.err = 0};
    char *ret = NULL;
    if (net_look(&r->site, &net, &unused) < 0)
        return NULL;
    for (size_t i = 0; !ret && i < net->n_interfaces; i++)
        if (net->interfaces[i]->n_addresses)
            ret = xmemdup(net->interfaces[i]->addresses[0],
                          strcspn(net->interfaces[i]->addresses[0], "/"));
    net_free(net);
    return ret;
}

/* The address whose line in /etc/hosts gets the name: the first that this host has afterwards. */
static char *own_address(const struct stage_run *r, const Godwit__IdentityPlan *p)
{
    const char *a = NULL;
    for (size_t m = 0; m < p->n_moves && !a; m++)
        if (stage_is_source(r))
            a = *p->moves[m]->source_keeps ? p->moves[m]->source_keeps : NULL;
        else if (p->moves[m]->n_addresses)
            a = p->moves[m]->addresses[0]->address;
    if (a)
        return xmemdup(a, strcspn(a, "/"));
    return p->n_moves ? NULL : first_address(r);
}

static int rename_files(struct stage_run *r, const Godwit__IdentityPlan *p,
                        const Godwit__IdentityNames *before, const Godwit__IdentityNames *after)
{
    CLEANUP(mem_free) char *address = own_address(r, p);
    CLEANUP(mem_free) char *aliases = joined(after->aliases, after->n_aliases);
    CLEANUP(mem_free)
    char *more =
        after->n_dns_names > 1 ? joined(after->dns_names + 1, after->n_dns_names - 1) : xstrdup("");
    struct hosts_edit e = {.before = before->host,
                           .after = after->host,
                           .full = after->n_dns_names ? after->dns_names[0] : NULL,
                           .address = address,
                           .forget = !stage_is_source(r) || p->n_moves == 0,
                           .moved = !stage_is_source(r) && p->n_moves == 0};
    const struct conf_set sets[] = {
        {"netbios name",             after->netbios                               },
        {"netbios aliases",          aliases                                      },
        {"additional dns hostnames", more                                         },
        {"machine password timeout", p->domain && !stage_is_source(r) ? "0" : NULL},
    };
    int a = names_set_host(&r->site, after->host, r->reterr);
    int b = a < 0 ? a : names_edit_hosts(&r->site, &e, r->reterr);
    /* What it was set to stays where it need not be held still. */
    size_t n = p->domain && !stage_is_source(r) ? ARRAY_SIZE(sets) : ARRAY_SIZE(sets) - 1;
    int c = b < 0 || !*after->netbios ? b : names_edit_conf(&r->site, sets, n, r->reterr);
    return c < 0 ? c : a > 0 || b > 0 || c > 0;
}

static const Godwit__IdentityNames *names_after(const struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    return stage_is_source(r) ? p->source_new : p->old;
}

static int names_act(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = stage_plan(r);
    const Godwit__IdentityNames *after = p ? names_after(r) : NULL;
    const Godwit__IdentityNames *before =
        p ? stage_is_source(r) ? p->old : p->destination_old : NULL;
    if (!after || !before)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the plan has no names");
    int rc = names_fit(r, after);
    return rc < 0 ? rc : rename_files(r, p, before, after);
}

static int names_probe(struct stage_run *r)
{
    char now[256] = "";
    const Godwit__IdentityPlan *p = stage_plan(r);
    const Godwit__IdentityNames *after = p ? names_after(r) : NULL;
    if (!after || gethostname(now, sizeof now - 1) < 0)
        return -EBADMSG;
    CLEANUP(mem_free) char *netbios = names_ask_conf(&r->site, "netbios name");
    return strcmp(now, after->host) == 0 &&
           (!*after->netbios || strcasecmp(netbios, after->netbios) == 0);
}

/* ── dns ── */

static int dns_act(struct stage_run *r)
{
    int made = keytab_make(r), rc = made < 0 ? made : dns_stage(r);
    return rc < 0 ? rc : made > 0 || rc > 0;
}

static int dns_is(struct stage_run *r)
{
    return keytab_is_due(r) ? 0 : dns_probe(r);
}

/* ── the end ── */

static int lockout_probe(struct stage_run *r)
{
    return stop_probe(r);
}

static int lockout_act(struct stage_run *r)
{
    static const char *const reload[] = {"systemctl", "daemon-reload", NULL};
    int rc = service_tool(&r->site, reload, ANSWER_MS, r->reterr);
    if (rc == 0)
        rc = stop_probe(r);
    return rc == 0 ? stop_act(r) : rc < 0 ? rc : 0;
}

static int yes(struct stage_run *r)
{
    (void)r;
    return 1;
}

/* The exchange itself is the agent's; here it is certain that nothing writes the databases. */
static int bundle_ready(struct stage_run *r)
{
    /* "stop" saw to it that no process is left; this one may not see those of others. */
    if (!*r->site.root && (service_count() > 0 || service_answers("127.0.0.1", 200)))
        return fault_set(r->reterr, FAULT_STOP_JOB, EBUSY,
                         "Samba runs: its databases cannot be taken as they are");
    return 0;
}

static int bundle_gone(struct stage_run *r)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", r->site.folder);
    bool was = access(path, F_OK) == 0;
    return undo_shred(path) < 0 ? fault_set(r->reterr, FAULT_STOP_JOB, EIO, "cannot shred %s", path)
                                : was;
}

static int forgotten_probe(struct stage_run *r)
{
    CLEANUP(mem_free) char *one = stage_open_one(r->home);
    return strcmp(one, r->order->cutover) != 0;
}

const struct stage_row stage_rows[] = {
    {"connect",   STAGE_BOTH,                   stage_capture,   yes,                   NULL,                false},
    {"check",     STAGE_BOTH,                   stage_check,     yes,                   NULL,                false},
    {"ttl",       STAGE_SOURCE,                 dns_lower,       yes,                   dns_undone,          false},
    {"staged",    STAGE_SOURCE,                 staged_act,      staged_probe,          staged_undone,       false},
    {"guard",     STAGE_BOTH,                   guard_act,       guard_probe,           guard_gone,          true },
    {"fence",     STAGE_SOURCE,                 fence_act,       fence_probe,           reopened,            false},
    {"close",     STAGE_SOURCE,                 close_act,       close_probe,           fence_undone,        false},
    {"stop",      STAGE_BOTH,                   stop_act,        stop_probe,            stop_undone,         false},
    {"bundle",    STAGE_BOTH,                   bundle_ready,    bundle_probe,          bundle_gone,         true },
    {"leave",     STAGE_BOTH,                   rejoin_leave,    rejoin_leave_probe,    rejoin_leave_undone, false},
    {"collect",   STAGE_BOTH,                   stage_capture,   yes,                   NULL,                false},
    {"addresses", STAGE_BOTH,                   stage_addresses, stage_addresses_probe, NULL,                false},
    {"names",     STAGE_BOTH,                   names_act,       names_probe,           NULL,                false},
    {"join",      STAGE_BOTH,                   stage_join,      stage_join_probe,      stage_join_undone,   false},
    {"start",     STAGE_BOTH,                   start_act,       start_probe,           NULL,                false},
    {"users",     STAGE_SOURCE | STAGE_WITNESS, stage_users,     stage_users,           NULL,                false},
    {"written",   STAGE_DESTINATION,            stage_written,   yes,                   NULL,                false},
    {"lockout",   STAGE_SOURCE,                 lockout_act,     lockout_probe,         NULL,                false},
    {"dns",       STAGE_BOTH,                   dns_act,         dns_is,                dns_undone,          false},
    {"tidy",      STAGE_DESTINATION,            dns_tidy,        yes,                   dns_undone,          false},
    {"unguard",   STAGE_BOTH,                   guard_gone,      unguard_probe,         NULL,                false},
    {"commit",    STAGE_BOTH,                   stage_commit,    forgotten_probe,       NULL,                false},
    {"forget",    STAGE_BOTH,                   stage_drop_all,  forgotten_probe,       NULL,                false},
    {NULL,        0,                            NULL,            NULL,                  NULL,                false},
};
