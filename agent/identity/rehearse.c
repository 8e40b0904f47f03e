/* rehearse: copies over the real folders, addresses on the loopback, then the stages' own
 * functions. A process of its own. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/audience.h"
#include "agent/identity/bundle.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "agent/identity/rehearse_priv.h"
#include "agent/identity/service.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define STAGE "rehearse"
#define ANSWER_MS 30000

bool rehearse_is(const Godwit__IdentityOrder *o)
{
    return strcmp(o->stage, STAGE) == 0;
}

bool rehearse_lists(const char *text, const char *share)
{
    size_t n = strlen(share);
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, "Disk|", 5) == 0 && strncmp(at + 5, share, n) == 0 && at[5 + n] == '|')
            return true;
    return false;
}

/* ── the stage on which it plays ── */

static int broken(struct rehearsal *g, const char *what, int err)
{
    return fault_set(g->run.reterr, FAULT_STOP_JOB, err, "the rehearsal cannot %s: %s", what,
                     strerror(err));
}

/* Nothing that is mounted from here on is seen by anybody else. */
static int begin_alone(struct rehearsal *g)
{
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWIPC) < 0)
        return broken(g, "have namespaces of its own", errno);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return broken(g, "keep its mounts to itself", errno);
    if (mkdir(g->scratch, 0700) < 0 && errno != EEXIST)
        return broken(g, "make its folder", errno);
    if (mount("godwit-rehearsal", g->scratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") < 0)
        return broken(g, "have memory for its copies", errno);
    return 0;
}

int rehearse_copy_over(struct rehearsal *g, const char *folder)
{
    struct stat st;
    if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode))
        return -ENOENT;
    if (strpbrk(folder, ",:\\\""))
        return -ENOTSUP;
    CLEANUP(mem_free) char *up = xasprintf("%s/%u.upper", g->scratch, g->copies);
    CLEANUP(mem_free) char *work = xasprintf("%s/%u.work", g->scratch, g->copies++);
    CLEANUP(mem_free)
    char *how = xasprintf("lowerdir=%s,upperdir=%s,workdir=%s", folder, up, work);
    if (mkdir(up, 0700) < 0 || mkdir(work, 0700) < 0)
        return -errno;
    if (chmod(up, st.st_mode & 07777) < 0 || chown(up, st.st_uid, st.st_gid) < 0)
        return -errno;
    return mount("godwit-rehearsal", folder, "overlay", MS_NODEV, how) < 0 ? -errno : 0;
}

static int empty_over(const char *folder)
{
    struct stat st;
    if (stat(folder, &st) < 0)
        return 0;
    return mount("godwit-rehearsal", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0
               ? -errno
               : 0;
}

static int copy_host(struct rehearsal *g)
{
    static const char *const copied[] = {"/etc", "/var/lib/samba", "/var/cache/samba"};
    static const char *const empty[] = {"/run/samba", "/var/log/samba", "/run/dbus",
                                        "/run/systemd"};
    for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
        int rc = rehearse_copy_over(g, copied[i]);
        if (rc < 0 && rc != -ENOENT)
            return broken(g, "copy this host's configuration", -rc);
    }
    /* No way to the host's own services is left. */
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
        int rc = empty_over(empty[i]);
        if (rc < 0)
            return broken(g, "hide this host's services", -rc);
    }
    return 0;
}

/* ── its acts ── */

static int act(struct rehearsal *g, const char *stage)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s.note", g->scratch, stage);
    CLEANUP(undo_free) struct undo *u = NULL;
    const struct stage_row *w = stage_rows;
    while (w->name && strcmp(w->name, stage) != 0)
        w++;
    int rc = w->name ? undo_open(path, &u) : -ENOENT;
    g->run.site.undo = u;
    if (rc == 0)
        rc = w->act(&g->run);
    g->run.site.undo = NULL;
    return rc;
}

static void play_names(struct rehearsal *g)
{
    struct fault why = {.err = 0}, *real = g->run.reterr;
    g->run.reterr = &why;
    int rc = act(g, "names");
    g->run.reterr = real;
    if (rc < 0)
        ADD(g, "rehearsal names", "fail", "put right what Samba says of the configuration", "%s",
            why.text);
    else
        ADD(g, "rehearsal names", "pass", "", "Samba reads its configuration as %s",
            g->p->old->netbios);
}

/* The source's own key, as it is now: so tickets are good that users hold. What this host's winbind
 * knows stays: there is nobody here to ask. */
static void play_identity(struct rehearsal *g)
{
    CLEANUP(mem_free) char *note = xasprintf("%s/identity.note", g->scratch);
    CLEANUP(undo_free) struct undo *u = NULL;
    struct site v = g->run.site;
    struct fault why = {.err = 0};
    v.folder = AUDIENCE_FOLDER;
    int rc = undo_open(note, &u);
    v.undo = u;
    if (rc == 0)
        rc = bundle_install(&v, g->p->local_sid, false, &why);
    if (rc < 0)
        ADD(g, "rehearsal identity", "fail", "see the destination's journal", "%s", why.text);
    else
        ADD(g, "rehearsal identity", "pass", "",
            "Samba's databases of the source are in place, as a copy");
}

/* All of them on the loopback: nobody else is in this network. */
static int play_addresses(struct rehearsal *g)
{
    static const char *const up[] = {"ip", "link", "set", "dev", "lo", "up", NULL};
    int rc = service_tool(&g->run.site, up, 10000, g->run.reterr);
    for (size_t m = 0; rc == 0 && m < g->p->n_moves; m++)
        for (size_t i = 0; rc == 0 && i < g->p->moves[m]->n_addresses; i++) {
            const char *a = g->p->moves[m]->addresses[i]->address;
            const char *const add[] = {"ip", "address", "add", a, "dev", "lo", NULL};
            rc = net_address_valid(a) ? service_tool(&g->run.site, add, 10000, g->run.reterr)
                                      : -EINVAL;
        }
    return rc;
}

static bool answers(struct rehearsal *g, const char *address)
{
    while (!service_answers(address, 200)) {
        if (clock_mono_ms() - g->start_ms > ANSWER_MS)
            return false;
        (void)poll(NULL, 0, 20);
    }
    return true;
}

static void play_start(struct rehearsal *g)
{
    static const char *const winbind[] = {"winbindd", "-D", NULL};
    static const char *const smbd[] = {"smbd", "-D", NULL};
    struct fault why = {.err = 0};
    g->start_ms = clock_mono_ms();
    if (g->p->domain && service_tool(&g->run.site, winbind, 20000, &why) < 0)
        ADD(g, "rehearsal winbind", "fail", "see /var/log/samba on the destination", "%s",
            why.text);
    if (service_tool(&g->run.site, smbd, 20000, &why) < 0) {
        ADD(g, "rehearsal start", "fail", "see what smbd says of its configuration: testparm", "%s",
            why.text);
        return;
    }
    size_t n = 0;
    for (size_t m = 0; m < g->p->n_moves; m++)
        for (size_t i = 0; i < g->p->moves[m]->n_addresses; i++, n++) {
            const char *a = g->p->moves[m]->addresses[i]->address;
            CLEANUP(mem_free) char *id = xasprintf("rehearsal address %s", a);
            if (answers(g, a))
                ADD(g, id, "pass", "", "smbd answers there");
            else
                ADD(g, id, "fail", "look at \"interfaces\" and \"bind interfaces only\"",
                    "smbd does not answer there");
        }
    if (n == 0 && !answers(g, "127.0.0.1"))
        ADD(g, "rehearsal address", "fail", "look at \"interfaces\"", "smbd does not answer");
    g->run.result->took_ms = (uint64_t)(clock_mono_ms() - g->start_ms);
    ADD(g, "rehearsal start", "pass", "", "Samba served after %llu ms",
        (unsigned long long)g->run.result->took_ms);
}

/* ── its audience ── */

static char *where(const struct rehearsal *g)
{
    for (size_t m = 0; m < g->p->n_moves; m++)
        if (g->p->moves[m]->n_addresses) {
            const char *a = g->p->moves[m]->addresses[0]->address;
            return xmemdup(a, strcspn(a, "/"));
        }
    return xstrdup("127.0.0.1");
}

/* malloc'd; NULL: it was not heard. */
static char *list_by(struct rehearsal *g, const char *name, const char *at)
{
    const char *const argv[] = {"smbclient", "-g", "-L", name, "-N", "-I", at, NULL};
    const struct program_call c = {.argv = argv, .search = g->run.site.search, .timeout_ms = 20000};
    struct program_output o;
    struct fault unused = {.err = 0};
    CLEANUP(mem_free) char *id = xasprintf("rehearsal name %s", name);
    char *text = NULL;
    if (!names_netbios_valid(name) && !names_full_valid(name))
        return NULL;
    if (program_run(&c, &o, &unused) < 0)
        return NULL;
    CLEANUP(mem_free) char *said = program_words(&o);
    bool closed =
        strstr(o.out, "NT_STATUS_ACCESS_DENIED") || strstr(o.err, "NT_STATUS_ACCESS_DENIED");
    if (o.code == 0) {
        ADD(g, id, "pass", "", "it answers by this name");
        text = xstrdup(o.out);
    } else if (closed) {
        ADD(g, id, "pass", "", "it answers by this name, and keeps its list from strangers");
    } else {
        ADD(g, id, "fail", "see what Samba logs", "%s", said);
    }
    program_done(&o);
    return text;
}

static void ask_names(struct rehearsal *g, const char *at)
{
    const Godwit__IdentityNames *n = g->p->old;
    CLEANUP(mem_free) char *list = list_by(g, n->netbios, at);
    for (size_t i = 0; i < n->n_aliases; i++)
        free(list_by(g, n->aliases[i], at));
    for (size_t i = 0; i < n->n_dns_names; i++)
        free(list_by(g, n->dns_names[i], at));
    for (size_t i = 0; list && i < g->p->n_shares; i++) {
        const char *share = g->p->shares[i]->name;
        CLEANUP(mem_free) char *id = xasprintf("rehearsal share %s", share);
        if (rehearse_lists(list, share))
            ADD(g, id, "pass", "", "it is offered");
        else
            ADD(g, id, "warn", "see \"browseable\" and \"available\" of the share",
                "it is not in the list that strangers see");
    }
}

int rehearse(const char *home, const Godwit__IdentityOrder *o, Godwit__IdentityResult *ret,
             struct fault *reterr)
{
    CLEANUP(mem_free) char *scratch = xasprintf("%s/rehearsal", home);
    struct rehearsal g = {.p = o->plan, .scratch = scratch};
    g.run = (struct stage_run){
        .site = {.root = "", .folder = scratch},
        .home = home,
        .order = o,
        .result = ret,
        .reterr = reterr
    };
    if (!o->plan || !o->plan->old || !o->plan->destination_old)
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    if (o->role != GODWIT__IDENTITY_ROLE__IDENTITY_DESTINATION)
        return fault_set(reterr, FAULT_STOP_JOB, ENOTSUP, "the destination alone rehearses");
    int rc = begin_alone(&g);
    if (rc == 0)
        rc = copy_host(&g);
    if (rc == 0)
        rc = play_addresses(&g);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *at = where(&g);
    play_names(&g);
    if (rehearse_has_user())
        play_identity(&g);
    play_start(&g);
    ask_names(&g, at);
    rehearse_user(&g, at);
    ret->is = true;
    return 0;
}
