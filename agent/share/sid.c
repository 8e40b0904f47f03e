/* sid: names between machines. Worker threads. */
#include "agent/share/sid.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/samba.h"
#include "common/base/buf.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

char *sid_name(const char *acl, unsigned n)
{
    while (n > 0 && (acl = strchr(acl, ',')) != NULL) {
        acl++;
        n--;
    }
    size_t len = acl ? strcspn(acl, ":,") : 0;
    return len ? xmemdup(acl, len) : NULL;
}

/* "FS1\alice is a User with SID S-1-5-21-…-1000" */
static char *lookup(const struct server *v, const char *name)
{
    static const char mark[] = " with SID ";
    const char *const argv[] = {"net", "sam", "show", name, NULL};
    struct program_output o;
    struct fault none;
    char *sid = NULL;
    if (name[0] == '-' || samba_tool(v, argv, &o, &none) < 0)
        return NULL;
    const char *at = strstr(o.out, mark);
    size_t n = at ? strspn(at + sizeof mark - 1, "S0123456789-") : 0;
    if (n > 4 && n < 190)
        sid = xmemdup(at + sizeof mark - 1, n);
    program_done(&o);
    return sid;
}

/* The account's SID here by its name; NULL: there is none. */
static char *account_of(const struct sid_ask *a, const Godwit__Share *s, unsigned entry)
{
    CLEANUP(mem_free) char *name = sid_name(s->acl, entry);
    size_t n = strlen(a->from->netbios_name);
    if (!name || n == 0 || strncmp(name, a->from->netbios_name, n) != 0 || name[n] != '\\')
        return NULL;
    char *sid = lookup(a->server, name + n + 1);
    if (!sid) {
        CLEANUP(mem_free) char *shown = text_printable(name + n + 1, strnlen(name + n + 1, 64));
        CLEANUP(mem_free)
        char *text =
            xasprintf("its descriptor names %s, an account that is not on this server: the "
                      "entry keeps the source's SID",
                      shown);
        a->say(a->arg, text);
    }
    return sid;
}

/* What the map makes of the SID of n characters at text; NULL: it says nothing. */
static char *mapped(const struct idmap *map, const char *text, size_t n)
{
    struct sid from, to;
    char shown[SID_TEXT_MAX];
    if (sid_parse(text, n, &from) < 0 || !idmap_sid(map, &from, &to))
        return NULL;
    sid_text(&to, shown);
    return xstrdup(shown);
}

/* "O:SID", "G:SID", and an entry, which ends with ";SID)"; entries of the DACL come in the order in
 * which they were listed. */
char *sid_translate(const struct sid_ask *a, const Godwit__Share *s)
{
    size_t n = strlen(a->from->machine_sid);
    struct buf b;
    unsigned entry = 0;
    buf_init(&b, 64U << 10);
    for (const char *at = s->sddl; *at;) {
        bool here = at > s->sddl && strchr(";:", at[-1]) && strncmp(at, "S-1-", 4) == 0;
        size_t len = here ? 1 + strspn(at + 1, "0123456789-") : 1;
        bool local = here && at[-1] == ';' && n > 0 && strncmp(at, a->from->machine_sid, n) == 0 &&
                     at[n] == '-';
        CLEANUP(mem_free) char *sid = here ? mapped(a->map, at, len) : NULL;
        if (!sid && local)
            sid = account_of(a, s, entry);
        buf_put(&b, sid ? sid : at, sid ? strlen(sid) : len);
        entry += *at == ')';
        at += len;
    }
    char *ret = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return ret;
}

char *sid_map_list(const struct idmap *map, const char *list)
{
    struct buf b;
    buf_init(&b, 64U << 10);
    for (const char *at = list; *at;) {
        bool here = (at == list || strchr(", ", at[-1])) && strncmp(at, "S-1-", 4) == 0;
        size_t len = here ? 1 + strspn(at + 1, "0123456789-") : 1;
        CLEANUP(mem_free) char *sid = here ? mapped(map, at, len) : NULL;
        buf_put(&b, sid ? sid : at, sid ? strlen(sid) : len);
        at += len;
    }
    char *ret = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return ret;
}
