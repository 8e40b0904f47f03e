/* dns_set: the programs that ask and write, and who may. Process with rights. */
#include "agent/identity/dns_set.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/identity/dns.h"
#include "agent/identity/names.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define DNS_MS 15000
#define TRIES 3
#define TTL_USUAL 3600U

void dns_begin(struct dns_work *w, struct stage_run *r, const char *dc, bool machine)
{
    struct fault unused = {.err = 0};
    *w = (struct dns_work){.r = r, .dc = dc, .machine = machine, .mine = machine};
    w->cache = xasprintf("%s/ticket.dns", r->site.folder);
    (void)unlink(w->cache);
    if (credential_read(&r->site, &w->person, &unused) < 0)
        w->person = NULL;
}

void dns_end(struct dns_work *w)
{
    (void)unlink(w->cache);
    free(w->cache);
    (void)credential_free(w->person);
}

/* ── asking ── */

static int dig(const struct dns_work *w, const char *name, const char *type, const char *part,
               struct program_output *ret)
{
    struct fault *reterr = w->r->reterr;
    CLEANUP(mem_free) char *at = xasprintf("@%s", w->dc);
    const char *const argv[] = {"dig",      "+noall", part, "+comments", "+time=2",
                                "+tries=2", at,       name, type,        NULL};
    const struct program_call c = {.argv = argv, .search = w->r->site.search, .timeout_ms = DNS_MS};
    if (!names_full_valid(w->dc) || !names_full_valid(name))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' is no name", name);
    int rc = program_run(&c, ret, reterr);
    if (rc < 0 || ret->code == 0)
        return rc;
    program_done(ret);
    return fault_set(reterr, FAULT_RETRY, EIO, "the name server %.60s does not answer", w->dc);
}

int dns_ask(const struct dns_work *w, const char *name, const char *type, Godwit__UndoDns *ret)
{
    struct program_output o;
    int rc = dig(w, name, type, "+answer", &o);
    if (rc < 0)
        return rc;
    dns_parse(o.out, name, type, ret);
    ret->dc = xstrdup(w->dc);
    program_done(&o);
    return 0;
}

bool dns_has_reverse(const struct dns_work *w, const char *address)
{
    CLEANUP(mem_free) char *back = dns_reverse(address);
    struct program_output o;
    if (!back || dig(w, back, "SOA", "+authority", &o) < 0)
        return false;
    bool has = dns_is_zone(o.out, back);
    program_done(&o);
    return has;
}

/* ── writing ── */

static struct ads who_asks(const struct dns_work *w)
{
    return (struct ads){.v = &w->r->site, .dc = w->dc, .who = w->mine ? NULL : w->person};
}

static int take_ticket(struct dns_work *w)
{
    const struct ads a = who_asks(w);
    if (!w->mine && !w->person)
        return fault_set(w->r->reterr, FAULT_STOP_JOB, EACCES,
                         "nobody is here who may change %.60s", w->dc);
    return access(w->cache, F_OK) == 0 ? 0 : ads_ticket(&a, w->cache, w->r->reterr);
}

/* Samba may sign the answer to an update that it has made so that `nsupdate` does not know it. */
static bool is_so(const struct dns_work *w, const Godwit__UndoDns *want)
{
    Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT;
    struct fault *real = w->r->reterr, unused = {.err = 0};
    w->r->reterr = &unused;
    int rc = dns_ask(w, want->name, want->type, &now);
    w->r->reterr = real;
    bool same = rc == 0 && dns_same(&now, want) && (!now.n_values || now.ttl == want->ttl);
    dns_done(&now);
    return same;
}

static int update_once(struct dns_work *w, const Godwit__UndoDns *want)
{
    static const char *const argv[] = {"nsupdate", "-g", "-t", "10", NULL};
    CLEANUP(mem_free) char *script = dns_script(want);
    CLEANUP(mem_free) char *ticket = xasprintf("KRB5CCNAME=FILE:%s", w->cache);
    const char *const env[] = {ticket, NULL};
    if (!script)
        return fault_set(w->r->reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' cannot be written to DNS",
                         want->name);
    int rc = take_ticket(w);
    if (rc < 0)
        return rc;
    const struct program_call c = {.argv = argv,
                                   .search = w->r->site.search,
                                   .env = env,
                                   .input = script,
                                   .input_len = strlen(script),
                                   .timeout_ms = DNS_MS};
    struct program_output o;
    rc = program_run(&c, &o, w->r->reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *said = program_words(&o);
    if (o.code != 0 && !is_so(w, want))
        rc = fault_set(w->r->reterr, FAULT_RETRY, EIO,
                       "the name server %.60s does not take %.80s: %s", want->dc, want->name, said);
    program_done(&o);
    return rc;
}

/* A busy server refuses a ticket now and then that it takes a moment later. */
static int update_as(struct dns_work *w, bool machine, const Godwit__UndoDns *want, int tries)
{
    int rc = -EIO;
    if (w->mine != machine)
        (void)unlink(w->cache);
    w->mine = machine;
    for (int i = 0; rc == -EIO && i < tries; i++) {
        if (i > 0)
            (void)poll(NULL, 0, 200);
        rc = update_once(w, want);
    }
    return rc;
}

static int update(struct dns_work *w, const Godwit__UndoDns *want)
{
    int rc = -EACCES;
    if (w->machine)
        rc = update_as(w, true, want, w->person ? 2 : TRIES);
    if ((rc == -EIO || rc == -EACCES) && w->person)
        rc = update_as(w, false, want, TRIES);
    else if (!w->machine)
        rc = take_ticket(w); /* says that nobody is here */
    return rc;
}

int dns_set(struct dns_work *w, const char *name, const char *type, char **values, size_t n,
            uint32_t ttl)
{
    Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT, want = GODWIT__UNDO_DNS__INIT;
    int rc = dns_ask(w, name, type, &now);
    if (rc < 0)
        return rc;
    want = now;
    want.values = values;
    want.n_values = n;
    want.ttl = ttl ? ttl : now.ttl ? now.ttl : TTL_USUAL;
    if (!dns_same(&now, &want) || (n && ttl && now.ttl != ttl)) {
        w->changed = 1;
        if (!w->dry || w->note)
            rc = undo_keep_dns(w->r->site.undo, &now);
        if (!w->dry && rc == 0)
            rc = update(w, &want);
    }
    dns_done(&now);
    return rc;
}

/* ── as it was ── */

/* "dc1.lab.test" -> "DC=lab,DC=test" */
static char *base_of(const char *dc)
{
    char *base = xstrdup("");
    for (const char *at = strchr(dc, '.'); at && at[1]; at = strchr(at + 1, '.')) {
        char *more =
            xasprintf("%s%sDC=%.*s", base, *base ? "," : "", (int)strcspn(at + 1, "."), at + 1);
        free(base);
        base = more;
    }
    return base;
}

/* The directory keeps a name without records as a mark that its maker alone may write: whoever gets
 * the name next could not. Where it is no mark, or not ours, it stays. */
static void remove_mark(struct dns_work *w, const char *name)
{
    const char *zone = strchr(name, '.');
    CLEANUP(mem_free) char *base = base_of(w->dc);
    CLEANUP(mem_free) char *url = xasprintf("ldap://%s", w->dc);
    CLEANUP(mem_free) char *ticket = xasprintf("KRB5CCNAME=FILE:%s", w->cache);
    if (!zone || !*base)
        return;
    CLEANUP(mem_free)
    char *dn = xasprintf("DC=%.*s,DC=%s,CN=MicrosoftDNS,DC=DomainDnsZones,%s", (int)(zone - name),
                         name, zone + 1, base);
    const char *const look[] = {
        "ldapsearch",           "-LLL", "-Q", "-Y", "GSSAPI", "-H", url, "-s", "base", "-b", dn,
        "(dNSTombstoned=TRUE)", "1.1",  NULL};
    const char *const drop[] = {"ldapdelete", "-Q", "-Y", "GSSAPI", "-H", url, dn, NULL};
    const char *const env[] = {ticket, NULL};
    struct program_call c = {
        .argv = look, .search = w->r->site.search, .env = env, .timeout_ms = DNS_MS};
    struct program_output o;
    struct fault unused = {.err = 0};
    if (program_run(&c, &o, &unused) < 0)
        return;
    bool mark = o.code == 0 && strstr(o.out, "dn:") != NULL;
    program_done(&o);
    c.argv = drop;
    if (mark && program_run(&c, &o, &unused) == 0)
        program_done(&o);
}

int dns_put(struct dns_work *w, const Godwit__UndoDns *was)
{
    Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT;
    int rc = dns_ask(w, was->name, was->type, &now);
    bool same = rc == 0 && dns_same(&now, was) && (!was->n_values || now.ttl == was->ttl);
    dns_done(&now);
    if (rc < 0 || same)
        return rc < 0 ? rc : 1;
    rc = update(w, was);
    if (rc == 0 && was->n_values == 0 && strcmp(was->type, "PTR") != 0)
        remove_mark(w, was->name);
    return rc < 0 ? rc : 1;
}
