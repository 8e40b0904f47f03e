/* identity: asks getpwuid(3) and wbinfo who ids and SIDs are. Programs print lines, which are
 * bounded and believed only when they fit. Worker threads. */
#include "agent/access/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/access/asking.h"
#include "agent/access/idents.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define BACKENDS_MAX 32 /* domains that smb.conf configures */
#define NAME_MAX_BYTES 255

static void set_text(char **field, const char *text)
{
    if (*field != protobuf_c_empty_string)
        free(*field);
    memcpy(field, &(const char *){protobuf_c_empty_string}, sizeof *field);
    if (*text)
        *field = xstrdup(text);
}

static bool is_sid(const char *text)
{
    struct sid s;
    return sid_parse(text, strlen(text), &s) == 0;
}

/* ── names ── */

static void take_name(Godwit__Identity *row)
{
    char room[4096];
    struct passwd pw, *user = NULL;
    struct group gr, *group = NULL;
    const char *name = NULL;
    bool is_group = row->kind == IDENT_GID || (row->kind == IDENT_SID && row->as == 2);
    /* A group with many members needs more room for them; its name alone would do. */
    CLEANUP(mem_free) char *more = is_group ? xmalloc(1U << 20) : NULL;
    if (is_group && getgrgid_r(row->id, &gr, more, 1U << 20, &group) == 0 && group)
        name = group->gr_name;
    else if (!is_group && getpwuid_r(row->id, &pw, room, sizeof room, &user) == 0 && user)
        name = user->pw_name;
    CLEANUP(mem_free) char *cut = name ? xmemdup(name, strnlen(name, NAME_MAX_BYTES)) : NULL;
    set_text(&row->name, cut ? cut : "");
}

/* ── ids to SIDs: no back end gives a new id for that ── */

bool identity_take_sids(char *out, Godwit__Identity *const *rows, size_t n)
{
    size_t lines = 0;
    for (const char *p = out; *p; p++)
        lines += *p == '\n';
    if (lines != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(out, "\n");
        out[len] = '\0';
        set_text(&rows[i]->has_sid, is_sid(out) ? out : "");
        out += len + 1;
    }
    return true;
}

static bool ask_sids(Godwit__Identity *const *rows, size_t n)
{
    struct buf b;
    buf_init(&b, 4096);
    static const char head[] = "--unix-ids-to-sids=";
    buf_put(&b, head, sizeof head - 1);
    for (size_t i = 0; i < n; i++) {
        char one[16];
        bool group = rows[i]->kind == IDENT_GID || (rows[i]->kind == IDENT_SID && rows[i]->as == 2);
        int len = snprintf(one, sizeof one, "%s%c%u", i ? "," : "", group ? 'g' : 'u', rows[i]->id);
        buf_put(&b, one, (size_t)len);
    }
    buf_put_u8(&b, 0);
    const char *const argv[] = {"wbinfo", (const char *)b.data, NULL};
    CLEANUP(mem_free) char *out = b.overflow ? NULL : asking_out(argv);
    buf_done(&b);
    return out && identity_take_sids(out, rows, n);
}

/* ── SIDs to ids ── */

static Godwit__Identity *row_of(Godwit__Identity *const *rows, size_t n, const char *sid,
                                size_t after)
{
    for (size_t i = after; i < n; i++)
        if (strcmp(rows[i]->sid, sid) == 0)
            return rows[i];
    return NULL;
}

static void set_ids(Godwit__Identity *const *rows, size_t n, const char *sid, uint32_t as,
                    uint32_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i]->sid, sid) != 0)
            continue;
        rows[i]->as |= as;
        rows[i]->as_id = id;
    }
}

static bool take_number(const char *text, uint32_t *ret)
{
    char *end = NULL;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno || end == text || *end || v > UINT32_MAX - 1 || *text == '-')
        return false;
    *ret = (uint32_t)v;
    return true;
}

void identity_take_ids(char *out, Godwit__Identity *const *rows, size_t n)
{
    static const char *const kinds[] = {"uid ", "gid ", "uid/gid "};
    char *save = NULL;
    for (char *l = strtok_r(out, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        char *arrow = strstr(l, " -> ");
        uint32_t id = 0;
        if (!arrow)
            continue;
        *arrow = '\0';
        for (uint32_t k = 0; k < ARRAY_SIZE(kinds); k++)
            if (strncmp(arrow + 4, kinds[k], strlen(kinds[k])) == 0 &&
                take_number(arrow + 4 + strlen(kinds[k]), &id))
                set_ids(rows, n, l, k + 1, id);
    }
}

void identity_take_dump(char *out, Godwit__Identity *const *rows, size_t n)
{
    char *save = NULL;
    for (char *l = strtok_r(out, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        uint32_t as = strncmp(l, "UID ", 4) == 0 ? 1 : strncmp(l, "GID ", 4) == 0 ? 2 : 0, id = 0;
        char *sid = as ? strchr(l + 4, ' ') : NULL;
        if (!sid)
            continue;
        *sid++ = '\0';
        if (take_number(l + 4, &id))
            set_ids(rows, n, sid, as, id);
    }
}

static void ask_ids(Godwit__Identity *const *rows, size_t n)
{
    CLEANUP(mem_free) char *out = asking_sids("--sids-to-unix-ids=", rows, n);
    if (out)
        identity_take_ids(out, rows, n);
}

/* ── which back end has which domain ── */

struct backend {
    char name[64], kind[32], range[48], sid[SID_TEXT_MAX];
};

struct backends {
    struct backend list[BACKENDS_MAX];
    size_t n;
};

static struct backend *backend_named(struct backends *all, const char *name, size_t len)
{
    for (size_t i = 0; i < all->n; i++)
        if (strlen(all->list[i].name) == len && strncasecmp(all->list[i].name, name, len) == 0)
            return &all->list[i];
    if (all->n == BACKENDS_MAX || len == 0 || len >= sizeof all->list[0].name)
        return NULL;
    (void)snprintf(all->list[all->n].name, sizeof all->list[0].name, "%.*s", (int)len, name);
    return &all->list[all->n++];
}

/* "idmap config lab : range = 100000-199999" */
static void take_config(struct backends *all, const char *line)
{
    static const char head[] = "idmap config ";
    line += strspn(line, " \t");
    const char *colon = strchr(line, ':'), *is = strchr(line, '=');
    if (strncmp(line, head, sizeof head - 1) != 0 || !colon || !is || is < colon)
        return;
    const char *name = line + sizeof head - 1, *key = colon + 1 + strspn(colon + 1, " ");
    size_t len = (size_t)(colon - name);
    while (len > 0 && name[len - 1] == ' ')
        len--;
    struct backend *b = backend_named(all, name, len);
    is += 1 + strspn(is + 1, " ");
    if (b && strncmp(key, "backend", 7) == 0)
        (void)snprintf(b->kind, sizeof b->kind, "%s", is);
    else if (b && strncmp(key, "range ", 6) == 0)
        (void)snprintf(b->range, sizeof b->range, "%s", is);
}

static void ask_domain_sid(struct backend *b)
{
    const char *const argv[] = {"wbinfo", "-D", b->name, NULL};
    CLEANUP(mem_free) char *out = b->name[0] == '-' ? NULL : asking_out(argv);
    const char *at = out ? strstr(out, "S-1-5-21-") : NULL;
    size_t n = at ? strspn(at, "S0123456789-") : 0;
    if (n > 0 && n < sizeof b->sid)
        (void)snprintf(b->sid, sizeof b->sid, "%.*s", (int)n, at);
}

static void read_backends(struct backends *all)
{
    static const char *const argv[] = {"testparm", "-s", NULL};
    /* It calls ranges that overlap an error, and prints them all the same. */
    CLEANUP(mem_free) char *out = asking_any(argv);
    char *save = NULL;
    *all = (struct backends){.n = 0};
    for (char *l = out ? strtok_r(out, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save))
        take_config(all, l);
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->list[i].name, "*") != 0)
            ask_domain_sid(&all->list[i]);
}

static bool is_of(const char *sid, const char *domain)
{
    size_t n = strlen(domain);
    return n > 0 && strncmp(sid, domain, n) == 0 && sid[n] == '-' && !strchr(sid + n + 1, '-');
}

/* May this SID be asked for without that giving it an id? autorid reckons all but the place of the
 * domain's range, which the host's first look at the domain has given it. */
static bool may_ask(const struct backends *all, const char *sid)
{
    static const char *const reckon[] = {"rid", "ad", "autorid", "nss", "rfc2307", "hash", "sss"};
    const struct backend *b = NULL;
    for (size_t i = 0; i < all->n; i++)
        if (is_of(sid, all->list[i].sid) || (!b && strcmp(all->list[i].name, "*") == 0))
            b = &all->list[i];
    for (size_t i = 0; b && i < ARRAY_SIZE(reckon); i++)
        if (strcmp(b->kind, reckon[i]) == 0)
            return true;
    return false;
}

/* "SID for domain FS1 is: S-1-5-21-…" */
static void tell_machine(Godwit__Identities *to)
{
    static const char *const argv[] = {"net", "getlocalsid", NULL};
    CLEANUP(mem_free) char *out = asking_out(argv);
    char *at = out ? strstr(out, "S-1-5-21-") : NULL;
    if (!at)
        return;
    at[strspn(at, "S0123456789-")] = '\0';
    set_text(&to->machine_sid, is_sid(at) ? at : "");
}

static void tell_backends(const struct backends *all, Godwit__Identities *to)
{
    to->backends = xcalloc(all->n + 1, sizeof *to->backends);
    for (size_t i = 0; i < all->n; i++) {
        const struct backend *b = &all->list[i];
        CLEANUP(mem_free) char *text = xasprintf("%s: %s %s", b->name, b->kind, b->range);
        to->backends[to->n_backends++] = text_printable(text, strlen(text));
    }
}

/* ── all of it ── */

struct pick {
    Godwit__Identity **rows;
    size_t n;
};

static void in_batches(const struct pick *p, void (*ask_some)(Godwit__Identity *const *, size_t))
{
    for (size_t i = 0; i < p->n; i += ASKING_BATCH)
        ask_some(p->rows + i, p->n - i < ASKING_BATCH ? p->n - i : ASKING_BATCH);
}

static void sids_of(Godwit__Identity *const *rows, size_t n)
{
    (void)ask_sids(rows, n);
}

static void resolve_sids(Godwit__Identities *all, const struct backends *backends)
{
    CLEANUP(mem_free) Godwit__Identity **rows = xcalloc(all->n_list + 1, sizeof *rows);
    struct pick ask_for = {.rows = rows}, all_rows = {.rows = all->list, .n = all->n_list};
    static const char *const dump[] = {"net", "idmap", "dump", NULL};
    for (size_t i = 0; i < all->n_list; i++) {
        Godwit__Identity *r = all->list[i];
        if (*r->sid && !row_of(rows, ask_for.n, r->sid, 0) && may_ask(backends, r->sid))
            rows[ask_for.n++] = r;
    }
    in_batches(&ask_for, ask_ids);
    CLEANUP(mem_free) char *out = asking_out(dump);
    if (out)
        identity_take_dump(out, all_rows.rows, all_rows.n);
    for (size_t i = 0; i < ask_for.n; i++)
        set_ids(all->list, all->n_list, rows[i]->sid, rows[i]->as, rows[i]->as_id);
}

/* kinds: of which rows the id is known by now. */
static void resolve_ids(Godwit__Identities *all, bool sids)
{
    CLEANUP(mem_free) Godwit__Identity **rows = xcalloc(all->n_list + 1, sizeof *rows);
    struct pick some = {.rows = rows};
    for (size_t i = 0; i < all->n_list; i++) {
        Godwit__Identity *r = all->list[i];
        if ((r->kind == IDENT_SID) != sids || (sids && !r->as))
            continue;
        if (sids)
            r->id = r->as_id;
        rows[some.n++] = r;
        take_name(r);
    }
    if (all->winbind)
        in_batches(&some, sids_of);
}

void identity_resolve(Godwit__Identities *all)
{
    struct backends backends;
    static const char *const ping[] = {"wbinfo", "-p", NULL};
    CLEANUP(mem_free) char *alive = asking_out(ping);
    all->winbind = alive != NULL;
    read_backends(&backends);
    tell_backends(&backends, all);
    tell_machine(all);
    resolve_ids(all, false);
    for (size_t i = 0; i < all->n_list; i++)
        if (!*all->list[i]->sid)
            set_text(&all->list[i]->sid, all->list[i]->has_sid);
    if (!all->winbind)
        return;
    resolve_sids(all, &backends);
    resolve_ids(all, true);
}

/* ── as messages ── */

Godwit__Identities *identity_list(size_t n)
{
    Godwit__Identities *all = xcalloc(1, sizeof *all);
    godwit__identities__init(all);
    all->list = xcalloc(n + 1, sizeof *all->list);
    return all;
}

Godwit__Identity *identity_add(Godwit__Identities *all)
{
    Godwit__Identity *r = xcalloc(1, sizeof *r);
    godwit__identity__init(r);
    return all->list[all->n_list++] = r;
}

Godwit__Identities *identity_of(const struct idents *t)
{
    size_t n = 0;
    CLEANUP(mem_free) struct ident *list = idents_list(t, &n);
    Godwit__Identities *all = identity_list(n);
    all->more = idents_full(t);
    for (size_t i = 0; i < n; i++) {
        Godwit__Identity *r = identity_add(all);
        char text[SID_TEXT_MAX];
        r->kind = list[i].kind;
        r->id = list[i].id;
        r->count = list[i].count;
        if (list[i].kind == IDENT_SID) {
            sid_text(&list[i].sid, text);
            set_text(&r->sid, text);
        }
    }
    identity_resolve(all);
    return all;
}

void identity_free(Godwit__Identities *all)
{
    if (all)
        godwit__identities__free_unpacked(all, NULL);
}
