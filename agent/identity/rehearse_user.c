/* rehearse_user: the rehearsal's users: each share opened, written, read and deleted, on a copy of
 * its folder. Its own process. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/identity/audience.h"
#include "agent/identity/rehearse_priv.h"
#include "agent/identity/ticket.h"
#include "agent/share/samba.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define PROBE_FILE ".godwit-rehearsal"

struct trying {
    struct rehearsal *g;
    const char *at;
    bool kerberos; /* with the tickets that are here; else by the file of credentials */
};

bool rehearse_has_user(void)
{
    return access(AUDIENCE_TICKETS, F_OK) == 0;
}

static bool has_ticket(const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf(AUDIENCE_NAME, name);
    return !strchr(name, '/') && access(path, F_OK) == 0;
}

static void use_share(const struct trying *t, const char *name, const char *share)
{
    static const char deeds[] =
        "put /etc/hostname " PROBE_FILE "; get " PROBE_FILE " /dev/null; rm " PROBE_FILE;
    static const char *const env[] = {"KRB5CCNAME=FILE:" AUDIENCE_TICKETS, NULL};
    CLEANUP(mem_free)
    char *id = t->kerberos ? xasprintf("rehearsal user %s by Kerberos as %s", share, name)
                           : xasprintf("rehearsal user %s", share);
    CLEANUP(mem_free) char *unc = xasprintf("//%s/%s", name, share);
    const char *const argv[] = {"smbclient",
                                unc,
                                t->kerberos ? "--use-kerberos=required" : "-A",
                                t->kerberos ? "--use-krb5-ccache=" AUDIENCE_TICKETS
                                            : PROBE_CREDENTIALS,
                                "-I",
                                t->at,
                                "-c",
                                deeds,
                                NULL};
    const struct program_call c = {.argv = argv,
                                   .search = t->g->run.site.search,
                                   .env = t->kerberos ? env : NULL,
                                   .timeout_ms = 20000};
    struct program_output o;
    struct fault why = {.err = 0};
    if (program_run(&c, &o, &why) < 0) {
        ADD(t->g, id, "fail", "", "%s", why.text);
        return;
    }
    CLEANUP(mem_free) char *said = program_words(&o);
    bool fine = o.code == 0 && !strstr(o.out, "NT_STATUS_") && !strstr(o.err, "NT_STATUS_");
    if (fine)
        ADD(t->g, id, "pass", "", "opened, wrote, read and deleted, on a copy");
    else
        ADD(t->g, id, "fail", "see the share's rights, and whose folder it is", "%s", said);
    program_done(&o);
}

/* For each of the server's names, with what is to be tried by it. */
static void each_name(const struct trying *t, const char *what,
                      void (*act)(const struct trying *t, const char *name, const char *what))
{
    const Godwit__IdentityNames *n = t->g->p->old;
    act(t, n->netbios, what);
    for (size_t i = 0; t->kerberos && i < n->n_aliases; i++)
        act(t, n->aliases[i], what);
    for (size_t i = 0; t->kerberos && i < n->n_dns_names; i++)
        act(t, n->dns_names[i], what);
}

static void by_name(const struct trying *t, const char *name, const char *share)
{
    if (!t->kerberos || has_ticket(name))
        use_share(t, name, share);
}

static void tell_lack(const struct trying *t, const char *name, const char *unused)
{
    (void)unused;
    CLEANUP(mem_free) char *id = xasprintf("rehearsal ticket %s", name);
    if (t->kerberos && !has_ticket(name))
        ADD(t->g, id, "warn", "samba-tool spn add, where users come by this name with Kerberos",
            "the directory gives no ticket for cifs/%s", name);
}

/* Its writers write to memory. */
static void try_share(const struct trying *t, const struct samba *s, const char *share)
{
    const struct smbconf_section *h = smbconf_find(s->conf, share);
    const char *path = h ? smbconf_value(h, "path") : NULL;
    CLEANUP(mem_free) char *id = xasprintf("rehearsal user %s", share);
    if (!path || strchr(path, '%'))
        return;
    int copied = rehearse_copy_over(t->g, path);
    if (copied < 0)
        ADD(t->g, id, "warn", "", "its folder %s cannot be copied for it: %s", path,
            strerror(-copied));
    else
        each_name(t, share, by_name);
}

static bool can_try(struct trying *t)
{
    struct rehearsal *g = t->g;
    if (g->p->domain) {
        t->kerberos = rehearse_has_user();
        if (!t->kerberos && !*g->p->probe_user)
            ADD(g, "rehearsal user", "warn",
                "--probe-user USER, whose password " PROBE_CREDENTIALS " on the destination has",
                "no user of the domain was named to be tried");
        return t->kerberos;
    }
    if (ticket_file_fits(PROBE_CREDENTIALS))
        return true;
    ADD(g, "rehearsal user", "warn",
        "write a user's name and password into " PROBE_CREDENTIALS ", root's, mode 0600",
        "no user was tried");
    return false;
}

void rehearse_user(struct rehearsal *g, const char *at)
{
    struct trying t = {.g = g, .at = at};
    struct server server = {.search = g->run.site.search, .scratch = g->scratch, .cancel_fd = -1};
    CLEANUP(samba_free) struct samba *s = NULL;
    struct fault unused = {.err = 0};
    if (!can_try(&t) || samba_ask(&server, NULL, &s, &unused) < 0)
        return;
    each_name(&t, NULL, tell_lack);
    for (size_t i = 0; i < g->p->n_shares; i++)
        try_share(&t, s, g->p->shares[i]->name);
}
