/* sid: names between machines. Worker threads. */
#include "agent/share/sid.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/samba.h"
#include "common/base/buf.h"
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

struct translation {
    const struct server *v;
    const Godwit__SharesInventory *from;
    const Godwit__Share *share;
    void (*say)(void *, const char *);
    void *arg;
};

static char *account_of(const struct translation *t, unsigned entry)
{
    CLEANUP(mem_free) char *name = sid_name(t->share->acl, entry);
    size_t n = strlen(t->from->netbios_name);
    if (!name || n == 0 || strncmp(name, t->from->netbios_name, n) != 0 || name[n] != '\\')
        return NULL;
    char *sid = lookup(t->v, name + n + 1);
    if (!sid) {
        CLEANUP(mem_free) char *shown = text_printable(name + n + 1, strnlen(name + n + 1, 64));
        CLEANUP(mem_free)
        char *text =
            xasprintf("its descriptor names %s, an account that is not on this server: the "
                      "entry keeps the source's SID",
                      shown);
        t->say(t->arg, text);
    }
    return sid;
}

/* An entry ends with ";SID)"; entries of the DACL come in the order in which they were listed. */
char *sid_translate(const struct server *v, const Godwit__SharesInventory *from,
                    const Godwit__Share *s, void (*say)(void *arg, const char *text), void *arg)
{
    struct translation t = {.v = v, .from = from, .share = s, .say = say, .arg = arg};
    size_t n = strlen(from->machine_sid);
    struct buf b;
    unsigned entry = 0;
    buf_init(&b, 64U << 10);
    for (const char *at = s->sddl; *at; at++) {
        bool local = n > 0 && at > s->sddl && at[-1] == ';' &&
                     strncmp(at, from->machine_sid, n) == 0 && at[n] == '-';
        CLEANUP(mem_free) char *sid = local ? account_of(&t, entry) : NULL;
        if (sid) {
            buf_put(&b, sid, strlen(sid));
            at += strcspn(at, ")") - 1;
            continue;
        }
        buf_put_u8(&b, (uint8_t)*at);
        entry += *at == ')';
    }
    char *ret = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return ret;
}
