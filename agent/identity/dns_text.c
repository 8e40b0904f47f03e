/* dns_text: records as `dig` prints them and as `nsupdate` takes them. Pure; any thread. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/dns.h"
#include "agent/identity/dns_set.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define SCRIPT_MAX (64U << 10)

/* A name may end with a dot. */
static bool same_name(const char *a, size_t n, const char *b)
{
    if (n > 0 && a[n - 1] == '.')
        n--;
    return strlen(b) == n && strncasecmp(a, b, n) == 0;
}

static bool value_fits(const char *type, const char *value)
{
    if (strcmp(type, "A") == 0 || strcmp(type, "AAAA") == 0)
        return net_host_valid(value) && (strchr(value, ':') != NULL) == (type[1] != '\0');
    return strcmp(type, "PTR") == 0 && names_full_valid(value);
}

static void take(Godwit__UndoDns *d, const char *value)
{
    CLEANUP(mem_free) char *text = xstrdup(value);
    size_t n = strlen(text);
    if (n > 0 && text[n - 1] == '.')
        text[n - 1] = '\0';
    if (!value_fits(d->type, text) || d->n_values == DNS_VALUES)
        return;
    d->values = xrealloc(d->values, (d->n_values + 1) * sizeof *d->values);
    d->values[d->n_values++] = text;
    text = NULL;
}

/* "fs1.example.org.  900  IN  A  192.0.2.7" */
void dns_parse(const char *text, const char *name, const char *type, Godwit__UndoDns *ret)
{
    godwit__undo_dns__init(ret);
    ret->name = xstrdup(name);
    ret->type = xstrdup(type);
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        char who[256], class[8], kind[8], value[256];
        unsigned ttl = 0;
        if (sscanf(at, "%255s %9u %7s %7s %255s", who, &ttl, class, kind, value) != 5 ||
            !same_name(who, strlen(who), name) || strcmp(kind, type) != 0)
            continue;
        ret->ttl = ttl;
        take(ret, value);
    }
}

void dns_done(Godwit__UndoDns *d)
{
    for (size_t i = 0; i < d->n_values; i++)
        free(d->values[i]);
    free(d->values);
    if (d->name != protobuf_c_empty_string)
        free(d->name);
    if (d->type != protobuf_c_empty_string)
        free(d->type);
    if (d->dc != protobuf_c_empty_string)
        free(d->dc);
    godwit__undo_dns__init(d);
}

static bool has(const Godwit__UndoDns *d, const char *value)
{
    for (size_t i = 0; i < d->n_values; i++)
        if (strcasecmp(d->values[i], value) == 0)
            return true;
    return false;
}

bool dns_same(const Godwit__UndoDns *a, const Godwit__UndoDns *b)
{
    for (size_t i = 0; i < a->n_values; i++)
        if (!has(b, a->values[i]))
            return false;
    return a->n_values == b->n_values;
}

static void say(struct buf *b, char *line)
{
    buf_put(b, line, strlen(line));
    free(line);
}

/* Arguments of another program's language: nothing gets in that could begin another line. */
char *dns_script(const Godwit__UndoDns *d)
{
    struct buf b;
    if (!names_full_valid(d->dc) || !names_full_valid(d->name) ||
        (strcmp(d->type, "A") != 0 && strcmp(d->type, "AAAA") != 0 && strcmp(d->type, "PTR") != 0))
        return NULL;
    for (size_t i = 0; i < d->n_values; i++)
        if (!value_fits(d->type, d->values[i]))
            return NULL;
    buf_init(&b, SCRIPT_MAX);
    say(&b, xasprintf("server %s\nupdate delete %s. %s\n", d->dc, d->name, d->type));
    for (size_t i = 0; i < d->n_values; i++)
        say(&b, xasprintf("update add %s. %u %s %s%s\n", d->name, d->ttl ? d->ttl : 3600, d->type,
                          d->values[i], d->type[0] == 'P' ? "." : ""));
    say(&b, xstrdup("send\n"));
    char *text = b.overflow ? NULL : xmemdup(b.data, b.len);
    buf_done(&b);
    return text;
}

char *dns_reverse(const char *address)
{
    CLEANUP(mem_free) char *host = xmemdup(address, strcspn(address, "/"));
    uint8_t ip[16];
    if (inet_pton(AF_INET, host, ip) == 1)
        return xasprintf("%u.%u.%u.%u.in-addr.arpa", ip[3], ip[2], ip[1], ip[0]);
    if (inet_pton(AF_INET6, host, ip) != 1)
        return NULL;
    char text[80];
    size_t n = 0;
    for (int i = 15; i >= 0; i--, n += 4)
        (void)snprintf(text + n, sizeof text - n, "%x.%x.", ip[i] & 15, ip[i] >> 4);
    return xasprintf("%sip6.arpa", text);
}

static bool ends_with(const char *name, const char *zone, size_t n)
{
    size_t len = strlen(name);
    if (n > 0 && zone[n - 1] == '.')
        n--;
    return n > 0 && len > n && name[len - n - 1] == '.' &&
           strncasecmp(name + len - n, zone, n) == 0;
}

/* Of a zone of this server's own: what others said of all reverse names is no place to write. */
bool dns_is_zone(const char *text, const char *back)
{
    bool own = false, zone = false;
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        char who[256], class[8], kind[8];
        unsigned ttl = 0;
        size_t n = strcspn(at, "\n");
        const char *aa = n > 9 && strncmp(at, ";; flags:", 9) == 0 ? strstr(at, " aa") : NULL;
        own = own || (aa && aa < at + n && strchr(" ;", aa[3]));
        if (sscanf(at, "%255s %9u %7s %7s", who, &ttl, class, kind) == 4 &&
            strcmp(kind, "SOA") == 0)
            zone = zone || ends_with(back, who, strlen(who));
    }
    return own && zone;
}
