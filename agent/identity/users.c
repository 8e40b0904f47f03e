/* users: the moved server as its users see it, asked from the source's host, which is a client now:
 * does it answer by each old name and address, and is it the destination that does? Changes
 * nothing. Process with rights. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/arp.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "agent/identity/service.h"
#include "agent/identity/stage.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

#define CREDENTIALS "/etc/godwit/cutover.cred"
#define ANSWER_MS 5000

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

/* An address: the destination's card answers for it, and its smbd. */
static void ask_address(struct stage_run *r, const Godwit__UndoNetwork *net,
                        const Godwit__IdentityMove *m, const char *address)
{
    char mac[18] = "";
    const Godwit__UndoInterface *i = net_find(net, m->from_mac, "");
    bool smb = service_answers(address, ANSWER_MS);
    add(r, "address", address, smb, smb ? "port 445 answers" : "nothing answers on port 445");
    if (!i || arp_in_use(i->name, address, mac) != 1)
        return;
    bool right = strcasecmp(mac, m->to_mac) == 0;
    CLEANUP(mem_free) char *text = xasprintf("%s answers", mac);
    add(r, "machine", address, right, text);
}

static bool credentials_fit(void)
{
    struct stat st;
    return stat(CREDENTIALS, &st) == 0 && st.st_uid == 0 && (st.st_mode & 077) == 0;
}

/* Lists the shares as a client, by that name. at: where it is, or NULL: as the name resolves. */
static void ask_name(struct stage_run *r, const char *name, const char *at)
{
    const char *argv[12] = {"smbclient", "-g", "-L"};
    size_t n = 3;
    bool user = *r->order->plan->probe_user && credentials_fit();
    argv[n++] = name;
    argv[n++] = user ? "-A" : "-N";
    if (user)
        argv[n++] = CREDENTIALS;
    if (at) {
        argv[n++] = "-I";
        argv[n++] = at;
    }
    const struct program_call c = {.argv = argv, .search = r->site.search, .timeout_ms = 15000};
    struct program_output o;
    struct fault why = {.err = 0};
    if (!names_full_valid(name) && !names_netbios_valid(name)) {
        add(r, "name", name, false, "this is no name of a host");
        return;
    }
    if (program_run(&c, &o, &why) < 0) {
        add(r, "name", name, false, why.text);
        return;
    }
    CLEANUP(mem_free) char *words = program_words(&o);
    /* A server that keeps strangers from its list has answered by this name too. */
    bool heard = o.code == 0 || (!user && strstr(o.out, "NT_STATUS_ACCESS_DENIED")) ||
                 (!user && strstr(o.err, "NT_STATUS_ACCESS_DENIED"));
    add(r, user ? "user" : "name", name, heard, heard ? "answers" : words);
    program_done(&o);
}

static void ask_names(struct stage_run *r, const Godwit__IdentityPlan *p, const char *at)
{
    const Godwit__IdentityNames *n = p->old;
    if (*n->netbios)
        ask_name(r, n->netbios, at);
    for (size_t i = 0; i < n->n_aliases; i++)
        ask_name(r, n->aliases[i], at);
    for (size_t i = 0; i < n->n_dns_names; i++)
        ask_name(r, n->dns_names[i], NULL);
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
    for (size_t i = 0; i < r->result->n_findings; i++)
        if (!r->result->findings[i]->passed)
            return fault_set(r->reterr, FAULT_RETRY, ENOTCONN, "users do not reach %.60s: %.120s",
                             r->result->findings[i]->target, r->result->findings[i]->text);
    return 1;
}
