/* users: the moved server as its users see it, asked from the source's host, which is a client now:
 * does it answer by each old name and address, and is it the destination that does? Changes
 * nothing. Process with rights. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/arp.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "agent/identity/service.h"
#include "agent/identity/stage.h"
#include "agent/identity/ticket.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

#define PROBE_FILE ".godwit-probe"
#define SHARES_MAX 50
#define ANSWER_MS 5000
#define NO_WAY_MS 500 /* perhaps by a router */
/* In all, not for each question: a server that is away is to be known soon. */
#define PATIENCE_MS 20000
#define AGAIN_MS 300

/* Clients that have waited for the server fill its queue when it is back, and one that comes then
 * tries again. A third host is asked once: the source is asked again by who has asked. */
static bool may_ask_again(const struct stage_run *r)
{
    bool third = r->order->role == GODWIT__IDENTITY_ROLE__IDENTITY_WITNESS;
    if (!third || clock_mono_ms() > r->began_ms + PATIENCE_MS)
        return false;
    (void)poll(NULL, 0, AGAIN_MS);
    return true;
}

static void add(struct stage_run *r, const char *check, const char *target, bool passed,
                const char *text)
{
    Godwit__IdentityResult *out = r->result;
    Godwit__IdentityFinding *f = xmalloc(sizeof *f);
    godwit__identity_finding__init(f);
    stage_text(&f->check, xstrdup(check));
    stage_text(&f->target, text_printable(target, strlen(target)));
    stage_text(&f->text, text_printable(text, strlen(text)));
    f->passed = passed;
    out->findings =
        xrealloc(out->findings, (out->n_findings + 1) * sizeof(Godwit__IdentityFinding *));
    out->findings[out->n_findings++] = f;
}

/* The source may have kept no address beside one that went: a card without any in that network has
 * no way there, and can only ask whose it is. */
static void ask_owner(struct stage_run *r, const char *interface, const char *address, bool needed)
{
    char mac[18] = "";
    if (arp_in_use(interface, address, mac) != 1) {
        if (needed)
            add(r, "machine", address, false, "nobody answers for it");
        return;
    }
    CLEANUP(mem_free) char *text = xasprintf("%s answers", mac);
    add(r, "machine", address, stage_is_card(r->order->plan, false, mac), text);
}

/* An address: the destination's card answers for it, and its smbd. */
static void ask_address(struct stage_run *r, const Godwit__UndoNetwork *net,
                        const Godwit__IdentityMove *m, const char *address)
{
    const Godwit__UndoInterface *i = net_find(net, m->from_mac, "");
    bool way = !i || net_reaches(i, address);
    bool smb;
    do
        smb = service_answers(address, way ? ANSWER_MS : NO_WAY_MS);
    while (!smb && way && may_ask_again(r));
    if (smb || way)
        add(r, "address", address, smb, smb ? "port 445 answers" : "nothing answers on port 445");
    if (i)
        ask_owner(r, i->name, address, !smb && !way);
}

static bool as_somebody(const struct stage_run *r)
{
    return *r->order->plan->probe_user && ticket_file_fits(PROBE_CREDENTIALS);
}

struct asking {
    const char *check, *target; /* for the finding */
    const char *argv[20];
    const char *const *env;
};

/* Was there no answer, or no whole one? */
static bool unheard(const struct program_output *o)
{
    static const char *const said[] = {"NT_STATUS_CONNECTION_", "NT_STATUS_IO_TIMEOUT",
                                       "NT_STATUS_HOST_UNREACHABLE", "NT_STATUS_PIPE_BROKEN"};
    for (size_t i = 0; i < ARRAY_SIZE(said); i++)
        if (strstr(o->out, said[i]) || strstr(o->err, said[i]))
            return true;
    return false;
}

/* -1: the program did not run; else its exit code, with its words. malloc'd. */
static int ask(const struct stage_run *r, const struct asking *a, char **retwords, bool *retdenied)
{
    const struct program_call c = {
        .argv = a->argv, .search = r->site.search, .env = a->env, .timeout_ms = 15000};
    struct program_output o;
    struct fault why = {.err = 0};
    bool again;
    do {
        if (program_run(&c, &o, &why) < 0) {
            *retwords = xstrdup(why.text);
            return -1;
        }
        again = unheard(&o) && may_ask_again(r);
        if (again)
            program_done(&o);
    } while (again);
    /* smbclient ends with 0 also where one of its commands was refused. */
    bool refused = strstr(o.out, "NT_STATUS_") || strstr(o.err, "NT_STATUS_");
    int code = o.code ? o.code : refused ? 1 : 0;
    *retdenied =
        strstr(o.out, "NT_STATUS_ACCESS_DENIED") || strstr(o.err, "NT_STATUS_ACCESS_DENIED");
    *retwords = program_words(&o);
    program_done(&o);
    return code;
}

/* Clients of Samba's keep what a name stood for, for minutes: here it is asked anew. */
static size_t add_place(const char **argv, size_t n, const char *at)
{
    argv[n++] = "--option=name cache timeout=0";
    if (at) {
        argv[n++] = "-I";
        argv[n++] = at;
    }
    return n;
}

/* Lists the shares as a client, by that name. at: where it is, or NULL: as the name resolves. */
static void ask_name(struct stage_run *r, const char *name, const char *at)
{
    bool user = as_somebody(r), denied = false;
    struct asking a = {
        .argv = {"smbclient", "-g", "-L", name, user ? "-A" : "-N",
                 user ? PROBE_CREDENTIALS : NULL}
    };
    (void)add_place(a.argv, user ? 6 : 5, at);
    if (!names_full_valid(name) && !names_netbios_valid(name)) {
        add(r, "name", name, false, "this is no name of a host");
        return;
    }
    CLEANUP(mem_free) char *words = NULL;
    int code = ask(r, &a, &words, &denied);
    /* A server that keeps strangers from its list has answered by this name too. */
    bool heard = code == 0 || (code > 0 && !user && denied);
    add(r, user ? "user" : "name", name, heard, heard ? "answers" : words);
}

/* ── shares: opened, written, read, deleted ── */

#define TICKETS "/run/godwit-probe"

static void ask_share(struct stage_run *r, const char *name, const char *at, const char *share,
                      bool kerberos)
{
    static const char *const env[] = {"KRB5CCNAME=" TICKETS, NULL};
    CLEANUP(mem_free) char *place = xasprintf("//%s/%s", name, share);
    CLEANUP(mem_free) char *check = xasprintf("%s by %s", share, kerberos ? "Kerberos" : "NTLM");
    CLEANUP(mem_free)
    char *commands = xasprintf("put /etc/hostname %s; get %s /dev/null; rm %s", PROBE_FILE,
                               PROBE_FILE, PROBE_FILE);
    struct asking a = {
        .argv = {"smbclient", place, kerberos ? "--use-kerberos=required" : "-A",
                 kerberos ? "--use-krb5-ccache=" TICKETS : PROBE_CREDENTIALS, "-c", commands},
        .env = kerberos ? env : NULL
    };
    bool denied = false;
    CLEANUP(mem_free) char *words = NULL;
    (void)add_place(a.argv, 6, at);
    int code = ask(r, &a, &words, &denied);
    add(r, check, name, code == 0, code == 0 ? "opened, written, read, deleted" : words);
}

static bool share_valid(const char *name)
{
    return *name && strlen(name) <= 80 && name[0] != '-' && !strpbrk(name, "/\\\"'`;$\n\r\t");
}

/* Each share by each name: what a user does all day. */
static void ask_shares(struct stage_run *r, const char *name, const char *at)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    if (!as_somebody(r) || (!names_full_valid(name) && !names_netbios_valid(name)))
        return;
    for (size_t i = 0; i < p->n_shares && i < SHARES_MAX; i++) {
        if (!share_valid(p->shares[i]->name))
            continue;
        ask_share(r, name, at, p->shares[i]->name, false);
        if (p->domain)
            ask_share(r, name, at, p->shares[i]->name, true);
    }
}

static void ask_one(struct stage_run *r, const char *name, const char *at)
{
    ask_name(r, name, at);
    ask_shares(r, name, at);
}

static void ask_names(struct stage_run *r, const Godwit__IdentityPlan *p, const char *at)
{
    const Godwit__IdentityNames *n = p->old;
    bool tickets = as_somebody(r) && p->domain && p->account;
    struct fault why = {.err = 0};
    if (tickets && ticket_take(&r->site, PROBE_CREDENTIALS, p->probe_user, p->account->realm,
                               TICKETS, &why) < 0)
        add(r, "ticket", p->probe_user, false, why.text);
    if (*n->netbios)
        ask_one(r, n->netbios, at);
    for (size_t i = 0; i < n->n_aliases; i++)
        ask_one(r, n->aliases[i], at);
    for (size_t i = 0; i < n->n_dns_names; i++)
        ask_one(r, n->dns_names[i], NULL);
    if (tickets)
        (void)undo_shred(TICKETS);
}

/* By itself a third host judges nothing: what worked before has to work afterwards. */
static int judge(struct stage_run *r)
{
    for (size_t i = 0; i < r->result->n_findings; i++)
        if (!r->result->findings[i]->passed &&
            r->order->role != GODWIT__IDENTITY_ROLE__IDENTITY_WITNESS)
            return fault_set(r->reterr, FAULT_RETRY, ENOTCONN, "users do not reach %.60s: %.120s",
                             r->result->findings[i]->target, r->result->findings[i]->text);
    return 1;
}

int stage_users(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    Godwit__UndoNetwork *net = NULL;
    CLEANUP(mem_free) char *at = NULL;
    if (!p || !p->old)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    int rc = net_look(&r->site, &net, r->reterr);
    if (rc < 0)
        return rc;
    for (size_t m = 0; m < p->n_moves; m++)
        for (size_t i = 0; i < p->moves[m]->n_addresses; i++) {
            const char *a = p->moves[m]->addresses[i]->address;
            ask_address(r, net, p->moves[m], a);
            if (!at)
                at = xmemdup(a, strcspn(a, "/"));
        }
    net_free(net);
    ask_names(r, p, at);
    return judge(r);
}
