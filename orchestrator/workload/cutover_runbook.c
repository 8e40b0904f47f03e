/* cutover_runbook: one function for each kind of stage, found by the table's own names. Whatever
 * comes from a host is quoted. Pure. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/cutover_runbook_priv.h"
#include "orchestrator/workload/cutover_table.h"

#define KEEP "/root/godwit-cutover" /* where a person keeps what was */
#define CRED "/etc/godwit/cutover.cred"
#define EXPORTS "F=$(ls /etc/exports /etc/exports.d/*.exports 2>/dev/null); [ -z \"$F\" ] || "
#define UNITS "smbd.service nmbd.service winbind.service"

char *runbook_word(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._-:/@%+=,";
    size_t n = strlen(text), at = 0;
    if (n > 0 && strspn(text, plain) == n)
        return xstrdup(text);
    char *all = xmalloc(4 * n + 3);
    all[at++] = '\'';
    for (const char *c = text; *c; c++) {
        if (*c == '\'') {
            memcpy(all + at, "'\\''", 4);
            at += 4;
        } else {
            all[at++] = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
        }
    }
    all[at++] = '\'';
    all[at] = '\0';
    return all;
}

void page_say(struct page *g, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text) /* half a command is worse than none */
        (void)snprintf(text, sizeof text, "# too long to be shown: see godwit cutover report");
    (void)json_array_append_new(g->list,
                                json_pack("{s:s,s:s+}", "on",
                                          g->source ? g->b->source_host : g->b->destination_host,
                                          "command", text, ""));
}

/* ── before ── */

static void look(struct page *g)
{
    page_say(g, "install -d -m 700 " KEEP " && ip -br address >" KEEP
                "/addresses && ip route >" KEEP "/routes");
    page_say(g, "cp -a /etc/samba/smb.conf /etc/hosts /etc/hostname " KEEP "/ && cp -a "
                "/var/lib/samba " KEEP "/");
    page_say(g, "ls /etc/krb5.keytab 2>/dev/null && cp -a /etc/krb5.keytab " KEEP "/");
}

static void check(struct page *g)
{
    page_say(g, "testparm -s >/dev/null && systemctl is-active smbd");
    if (json_is_true(json_object_get(g->plan, "domain")))
        page_say(g, "wbinfo -t && net ads info");
}

/* So that the join finds it. */
static void staged(struct page *g)
{
    const char *dc = page_text(g->plan, "dc"), *ou = page_text(g->plan, "ou");
    const char *name = page_text(json_object_get(g->plan, "source_new"), "netbios");
    if (!g->source || !*dc || !*ou || !*name)
        return;
    CLEANUP(mem_free) char *at = runbook_word(dc);
    CLEANUP(mem_free) char *dn = xasprintf("dn: CN=%s,%s", name, ou);
    CLEANUP(mem_free) char *account = xasprintf("sAMAccountName: %s$", name);
    CLEANUP(mem_free) char *url = xasprintf("ldap://%s", dc);
    CLEANUP(mem_free) char *a = runbook_word(dn);
    CLEANUP(mem_free) char *b = runbook_word(account);
    CLEANUP(mem_free) char *c = runbook_word(url);
    page_say(g, "KRB5CCNAME=FILE:/run/godwit-ticket net ads kerberos kinit -S %s -A " CRED, at);
    page_say(g,
             "printf '%%s\\n' %s 'objectClass: computer' %s 'userAccountControl: 4098' | "
             "KRB5CCNAME=FILE:/run/godwit-ticket ldapadd -Q -Y GSSAPI -H %s; rm -f "
             "/run/godwit-ticket",
             a, b, c);
}

/* ── writers out ── */

static void reload(struct page *g)
{
    page_say(
        g, "testparm -s >/dev/null && smbcontrol smbd reload-config && smbcontrol smbd close-share "
           "'*'");
}

static void fence(struct page *g)
{
    page_say(g, "smbstatus -L");
    page_say(g, "sed -i -E '/^[[:space:]]*(read only|writeable|writable|write ok|write list|admin "
                "users)[[:space:]]*=/Id' /etc/samba/smb.conf");
    reload(g);
    page_say(g,
             EXPORTS "sed -i -E 's/([(,])rw([,)])/\\1ro\\2/g' $F; [ -z \"$F\" ] || exportfs -ra");
}

static void close_shares(struct page *g)
{
    page_say(g,
             "sed -i -E '/^[[:space:]]*\\[global\\]/I!s/^[[:space:]]*\\[.*\\]/&\\n   available = "
             "no/' /etc/samba/smb.conf");
    reload(g);
    page_say(g, EXPORTS "sed -i 's/^[^#]/#&/' $F; [ -z \"$F\" ] || exportfs -ra");
}

static void copy(struct page *g)
{
    CLEANUP(mem_free) char *from = xasprintf("%s/", g->b->source);
    CLEANUP(mem_free)
    char *to = xasprintf("root@%s:%s/", g->b->destination_host, g->b->destination);
    CLEANUP(mem_free) char *a = runbook_word(from);
    CLEANUP(mem_free) char *b = runbook_word(to);
    page_say(g, "rsync -aHAXS --numeric-ids%s %s %s", g->b->mirror ? " --delete" : "", a, b);
}

static void verify(struct page *g)
{
    CLEANUP(mem_free) char *from = xasprintf("%s/", g->b->source);
    CLEANUP(mem_free)
    char *to = xasprintf("root@%s:%s/", g->b->destination_host, g->b->destination);
    CLEANUP(mem_free) char *a = runbook_word(from);
    CLEANUP(mem_free) char *b = runbook_word(to);
    page_say(g, "rsync -aHAXSnic --numeric-ids %s %s   # prints what differs", a, b);
}

static void stop(struct page *g)
{
    page_say(g, "systemctl mask " UNITS);
    page_say(g, "systemctl stop " UNITS);
    page_say(g, "pkill '^(samba-dcerpcd|rpcd_)'; ss -Hltn 'sport = :445'   # prints nothing");
}

/* ── the identity ── */

static bool takes_keys(const struct page *g)
{
    return json_is_true(json_object_get(g->plan, "ssh_keys"));
}

static void bundle(struct page *g)
{
    if (!g->source)
        return;
    CLEANUP(mem_free) char *to = xasprintf("root@%s", g->b->destination_host);
    CLEANUP(mem_free) char *word = runbook_word(to);
    page_say(g, "umask 077; cd /var/lib/samba && tdbbackup -s .move private/secrets.tdb "
                "private/passdb.tdb && for f in group_mapping.tdb account_policy.tdb "
                "winbindd_idmap.tdb autorid.tdb; do [ ! -e $f ] || tdbbackup -s .move $f; done");
    page_say(g,
             "tar -C / -cf - $(cd / && ls var/lib/samba/*.move var/lib/samba/private/*.move "
             "etc/krb5.keytab%s 2>/dev/null) | ssh %s 'umask 077; mkdir -p " KEEP
             "/new && tar -C " KEEP "/new -xf -'",
             takes_keys(g) ? " etc/ssh/ssh_host_*" : "", word);
    page_say(g, "shred -u /var/lib/samba/*.move /var/lib/samba/private/*.move");
}

static char *dc_word(const struct page *g)
{
    CLEANUP(mem_free) char *word = runbook_word(page_text(g->plan, "dc"));
    return *page_text(g->plan, "dc") ? xasprintf(" -S %s", word) : xstrdup("");
}

static void leave(struct page *g)
{
    CLEANUP(mem_free) char *dc = dc_word(g);
    page_say(g, "net ads leave --keep-account%s -A " CRED, dc);
}

/* "OU=b,OU=a,DC=x" -> "a/b", as createcomputer= wants it; NULL: it is no such place. */
static char *ou_words(const char *dn)
{
    CLEANUP(mem_free) char *words = xstrdup("");
    if (strncasecmp(dn, "CN=Computers,DC=", 16) == 0)
        return xstrdup("Computers");
    while (strncasecmp(dn, "OU=", 3) == 0) {
        size_t n = strcspn(dn + 3, ",\\/");
        char *more = xasprintf("%.*s%s%s", (int)n, dn + 3, *words ? "/" : "", words);
        free(words);
        words = more;
        if (dn[3 + n] != ',')
            return NULL;
        dn += 3 + n + 1;
    }
    return *words && strncasecmp(dn, "DC=", 3) == 0 ? xstrdup(words) : NULL;
}

static void join_anew(struct page *g)
{
    CLEANUP(mem_free) char *dc = dc_word(g);
    CLEANUP(mem_free) char *place = ou_words(page_text(g->plan, "ou"));
    CLEANUP(mem_free) char *whole = xasprintf("createcomputer=%s", place ? place : "OU/OU");
    CLEANUP(mem_free) char *ou = runbook_word(whole);
    CLEANUP(mem_free) char *dn = runbook_word(page_text(g->plan, "ou"));
    if (!place)
        page_say(g, "# the container is %s: createcomputer= takes it as OU/OU, never leave it out",
                 dn);
    page_say(g, "shred -fu /var/lib/samba/private/secrets.tdb /etc/krb5.keytab 2>/dev/null; true");
    page_say(g, "net ads join %s --no-dns-updates%s -A " CRED, ou, dc);
    if (!g->source && *page_text(g->plan, "local_sid")) {
        CLEANUP(mem_free) char *sid = runbook_word(page_text(g->plan, "local_sid"));
        page_say(g, "net setlocalsid %s", sid);
    }
}

static void join(struct page *g)
{
    bool domain = json_is_true(json_object_get(g->plan, "domain"));
    bool rejoin = json_integer_value(json_object_get(g->plan, "method")) == 2;
    if (domain && (rejoin || g->source)) {
        join_anew(g);
        return;
    }
    if (g->source)
        return;
    page_say(g,
             "cd " KEEP "/new && for f in $(find . -name '*.move'); do cp ${f} /${f%%.move}; done");
    page_say(g, "[ ! -e " KEEP "/new/etc/krb5.keytab ] || cp -p " KEEP
                "/new/etc/krb5.keytab /etc/krb5.keytab");
    if (takes_keys(g))
        page_say(g, "cp -a /etc/ssh/ssh_host_* " KEEP "/ && cp -p " KEEP
                    "/new/etc/ssh/ssh_host_* /etc/ssh/ && systemctl reload ssh");
    page_say(g, "rm -f /var/lib/samba/winbindd_cache.tdb /var/cache/samba/winbindd_cache.tdb "
                "/var/lib/samba/private/netlogon_creds_cli.tdb; net cache flush");
}

/* The word is another for each: what makes the name of a host is in four places. */
static void names(struct page *g)
{
    const json_t *before = json_object_get(g->plan, g->source ? "old" : "destination_old");
    const json_t *after = json_object_get(g->plan, g->source ? "source_new" : "old");
    CLEANUP(mem_free) char *host = runbook_word(page_text(after, "host"));
    CLEANUP(mem_free) char *netbios = runbook_word(page_text(after, "netbios"));
    CLEANUP(mem_free)
    char *edit = xasprintf("s/\\b%s\\b/%s/g", page_text(before, "host"), page_text(after, "host"));
    CLEANUP(mem_free) char *word = runbook_word(edit);
    json_t *const lists[] = {json_object_get(after, "aliases"),
                             json_object_get(after, "dns_names")};
    static const char *const keys[] = {"netbios aliases", "additional dns hostnames"};
    page_say(g, "hostnamectl set-hostname %s", host);
    page_say(g, "sed -i -E %s /etc/hosts", word);
    page_say(g, "sed -i -E '/^[[:space:]]*(netbios name|netbios aliases|additional dns "
                "hostnames)[[:space:]]*=/Id' /etc/samba/smb.conf");
    page_say(g,
             "sed -i -E '0,/^[[:space:]]*\\[global\\]/I s//&\\n   netbios name = '%s'/' "
             "/etc/samba/smb.conf",
             netbios);
    for (size_t k = 0; k < 2; k++) {
        CLEANUP(mem_free) char *all = xstrdup("");
        for (size_t i = k; i < json_array_size(lists[k]); i++) { /* its own full name is first */
            char *more = xasprintf("%s%s%s", all, *all ? " " : "",
                                   json_string_value(json_array_get(lists[k], i)));
            free(all);
            all = more;
        }
        CLEANUP(mem_free) char *list = runbook_word(all);
        if (*all)
            page_say(g,
                     "sed -i -E '0,/^[[:space:]]*\\[global\\]/I s//&\\n   %s = '%s'/' "
                     "/etc/samba/smb.conf",
                     keys[k], list);
    }
    page_say(g, "testparm -s --parameter-name='netbios name'");
}

/* ── after ── */

static void start(struct page *g)
{
    bool domain = json_is_true(json_object_get(g->plan, "domain"));
    if (g->source)
        return;
    page_say(g, "systemctl unmask smbd.service%s && systemctl start %ssmbd.service",
             domain ? " winbind.service" : "", domain ? "winbind.service " : "");
    page_say(g, "ss -Hltn 'sport = :445'   # prints a line%s", domain ? "; wbinfo -t" : "");
}

static void users(struct page *g)
{
    const json_t *old = json_object_get(g->plan, "old"), *one;
    static const char *const lists[] = {"aliases", "dns_names"};
    CLEANUP(mem_free) char *name = runbook_word(page_text(old, "netbios"));
    size_t i;
    page_say(g, "smbclient -L %s -A /etc/godwit/probe.cred", name);
    for (size_t k = 0; k < 2; k++)
        json_array_foreach(json_object_get(old, lists[k]), i, one)
        {
            CLEANUP(mem_free)
            char *word = runbook_word(json_string_value(one) ? json_string_value(one) : "");
            page_say(g, "smbclient -L %s -A /etc/godwit/probe.cred", word);
        }
}

static void lockout(struct page *g)
{
    page_say(g, "systemctl is-enabled " UNITS "   # masked, all three");
    page_say(g, "ss -Hltn 'sport = :445'   # prints nothing");
}

/* NAME "": there is none. */
static void register_name(struct page *g, const char *verb, const json_t *names)
{
    const char *full = json_string_value(json_array_get(json_object_get(names, "dns_names"), 0));
    CLEANUP(mem_free) char *word = runbook_word(full ? full : "");
    if (full)
        page_say(g, "net ads dns %s %s -P", verb, word);
}

/* What the names stand for: of a destination to which addresses move what they stood for before. */
static json_t *stand_for(const struct page *g)
{
    const json_t *moves = json_object_get(g->plan, "moves"), *one, *a;
    size_t i, k;
    json_t *list = json_array();
    if (!g->source)
        (void)json_array_extend(list, json_object_get(g->plan, "destination_addresses"));
    json_array_foreach(moves, i, one)
    {
        if (g->source && *page_text(one, "source_keeps"))
            (void)json_array_append(list, json_object_get(one, "source_keeps"));
    }
    const json_t *cards = json_object_get(json_object_get(g->b->facts, "source"), "interfaces");
    json_array_foreach(cards, i, one)
    {
        json_array_foreach(json_object_get(one, "addresses"), k, a)
        {
            if (g->source && json_array_size(moves) == 0)
                (void)json_array_append(list, json_object_get(a, "address"));
        }
    }
    return list;
}

/* An alias that stands for another name goes on to do so; what has no record of a kind gets none
 * but for the first. */
static void set_name(struct page *g, const char *full, const json_t *values)
{
    CLEANUP(mem_free) char *dc = runbook_word(page_text(g->plan, "dc"));
    CLEANUP(mem_free) char *name = runbook_word(full);
    CLEANUP(mem_free) char *adds = xstrdup("");
    CLEANUP(mem_free) char *first = NULL;
    size_t i;
    const json_t *one;
    json_array_foreach(values, i, one)
    {
        const char *text = json_string_value(one) ? json_string_value(one) : "";
        if (!*text || strspn(text, "0123456789abcdefABCDEF.:/") != strlen(text) ||
            strncasecmp(text, "fe80:", 5) == 0)
            continue;
        char *more = xasprintf("%s\\nupdate add %s 3600 %s %.*s", adds, name,
                               strchr(text, ':') ? "AAAA" : "A", (int)strcspn(text, "/"), text);
        free(adds);
        adds = more;
        first = first ? first : xmemdup(text, strcspn(text, "/"));
    }
    if (*adds &&
        strspn(full, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
            strlen(full))
        page_say(
            g,
            "[ -n \"$(dig +short @%s %s CNAME)\" ] || printf 'server %s\\nupdate delete %s "
            "A\\nupdate delete %s AAAA%s\\nsend\\n' | KRB5CCNAME=FILE:/run/godwit-ticket "
            "nsupdate -g; dig +short @%s %s %s | grep -xF %s   # this counts: nsupdate may not "
            "know the signature of Samba's answer",
            dc, name, dc, name, name, adds, dc, name, strchr(first, ':') ? "AAAA" : "A", first);
}

/* Where the server has no such zone it refuses, and nothing is amiss. */
static void set_reverse(struct page *g, const char *full, const char *address)
{
    unsigned o[4] = {0};
    CLEANUP(mem_free) char *dc = runbook_word(page_text(g->plan, "dc"));
    CLEANUP(mem_free) char *name = runbook_word(full);
    if (sscanf(address, "%3u.%3u.%3u.%3u/", &o[0], &o[1], &o[2], &o[3]) != 4)
        return;
    CLEANUP(mem_free) char *back = xasprintf("%u.%u.%u.%u.in-addr.arpa", o[3], o[2], o[1], o[0]);
    page_say(g,
             "printf 'server %s\\nupdate delete %s PTR\\nupdate add %s 3600 PTR %s.\\nsend\\n' | "
             "KRB5CCNAME=FILE:/run/godwit-ticket nsupdate -g || true   # if it has the zone",
             dc, back, back, name);
}

static void dns(struct page *g)
{
    const json_t *names = json_object_get(g->plan, g->source ? "source_new" : "old"), *one;
    const char *full = json_string_value(json_array_get(json_object_get(names, "dns_names"), 0));
    const char *zone = full ? strchr(full, '.') : NULL;
    CLEANUP(mem_free) char *dc = runbook_word(page_text(g->plan, "dc"));
    json_t *values = stand_for(g);
    size_t i;
    if (json_array_size(values) == 0 || !zone) {
        page_say(g, "# the names stand for what they stood for before");
        json_decref(values);
        return;
    }
    page_say(g, "KRB5CCNAME=FILE:/run/godwit-ticket net ads kerberos kinit -S %s -A " CRED, dc);
    json_array_foreach(json_object_get(names, "dns_names"), i, one)
    {
        set_name(g, json_string_value(one) ? json_string_value(one) : "", values);
    }
    json_array_foreach(json_object_get(names, "aliases"), i, one)
    {
        CLEANUP(mem_free) char *alias = xasprintf("%s%s", json_string_value(one), zone);
        set_name(g, alias, values);
    }
    json_array_foreach(values, i, one)
    {
        set_reverse(g, full, json_string_value(one) ? json_string_value(one) : "");
    }
    page_say(g, "rm -f /run/godwit-ticket");
    json_decref(values);
}

static void tidy(struct page *g)
{
    if (json_is_true(json_object_get(g->plan, "domain")))
        register_name(g, "unregister", json_object_get(g->plan, "destination_old"));
}

static void commit(struct page *g)
{
    CLEANUP(mem_free) char *dc = dc_word(g);
    bool domain = json_is_true(json_object_get(g->plan, "domain"));
    bool rejoin = json_integer_value(json_object_get(g->plan, "method")) == 2;
    if (domain && !g->source && !rejoin)
        page_say(g, "net ads changetrustpw%s && kinit -k \"$(hostname -s | tr a-z A-Z)\\$\"", dc);
    if (domain && g->source)
        page_say(g, "# when this host has not joined by its new name:");
    if (domain && g->source)
        page_say(g, "shred -u /var/lib/samba/private/secrets.tdb /etc/krb5.keytab");
    if (g->source && takes_keys(g))
        page_say(g, "shred -u /etc/ssh/ssh_host_* && ssh-keygen -A && systemctl reload ssh");
    page_say(g, "find " KEEP " -type f -exec shred -u {} + && rm -r " KEEP);
}

static const struct {
    const char *stage;
    void (*tell)(struct page *g);
} tellers[] = {
    {"connect",   look          },
    {"check",     check         },
    {"staged",    staged        },
    {"fence",     fence         },
    {"close",     close_shares  },
    {"stop",      stop          },
    {"bundle",    bundle        },
    {"leave",     leave         },
    {"addresses", page_addresses},
    {"names",     names         },
    {"join",      join          },
    {"start",     start         },
    {"users",     users         },
    {"lockout",   lockout       },
    {"dns",       dns           },
    {"tidy",      tidy          },
    {"commit",    commit        },
};

static void tell_side(struct page *g, const struct cutover_row *r, bool source)
{
    g->source = source;
    if (r->by == DOER_COPY)
        copy(g);
    if (r->by == DOER_VERIFY)
        verify(g);
    for (size_t i = 0; r->by == DOER_IDENTITY && i < sizeof tellers / sizeof tellers[0]; i++)
        if (strcmp(tellers[i].stage, r->stage) == 0)
            tellers[i].tell(g);
}

json_t *runbook_commands(const struct runbook *b, unsigned row)
{
    const struct cutover_row *r = &cutover_rows[row];
    struct page g = {.b = b, .plan = json_object_get(b->facts, "plan"), .list = json_array()};
    if (!g.plan || r->by == DOER_NOBODY || r->on == ON_WITNESS)
        return g.list;
    if (r->by != DOER_IDENTITY || r->on == ON_SOURCE || r->on == ON_BOTH)
        tell_side(&g, r, true);
    if (r->by == DOER_IDENTITY && (r->on == ON_DESTINATION || r->on == ON_BOTH))
        tell_side(&g, r, false);
    return g.list;
}
