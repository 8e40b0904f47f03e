/* keep_netplan: a file of netplan with other addresses: read as YAML, changed where it stands, so
 * that all else stays as somebody wrote it. Pure; any thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "agent/identity/keep.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/route.h"

#define EDITS 16
#define OUT_MAX (2U * KEEP_FILE_MAX)

struct edit {
    size_t from, to; /* bytes of the file */
    char *text;
};

struct file {
    yaml_document_t doc;
    const char *text;
    const struct net_want *w;
    struct edit edits[EDITS];
    size_t n;
};

/* ── reading ── */

static const char *scalar(const yaml_node_t *n)
{
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

/* The value of a mapping's key; retkey: the key itself. */
static yaml_node_t *value_of(struct file *f, const yaml_node_t *map, const char *key,
                             yaml_node_t **retkey)
{
    if (!map || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        yaml_node_t *k = yaml_document_get_node(&f->doc, p->key);
        const char *name = scalar(k);
        if (!name || strcmp(name, key) != 0)
            continue;
        if (retkey)
            *retkey = k;
        return yaml_document_get_node(&f->doc, p->value);
    }
    return NULL;
}

static bool is_of(struct file *f, const char *id, const yaml_node_t *one)
{
    const yaml_node_t *match = value_of(f, one, "match", NULL);
    const char *set = scalar(value_of(f, one, "set-name", NULL));
    const char *name = scalar(value_of(f, match, "name", NULL));
    const char *mac = scalar(value_of(f, match, "macaddress", NULL));
    if (mac && *f->w->mac)
        return strcasecmp(mac, f->w->mac) == 0;
    if (name || set)
        return (name && strcmp(name, f->w->name) == 0) || (set && strcmp(set, f->w->name) == 0);
    return id && strcmp(id, f->w->name) == 0;
}

/* What the file says of the interface; NULL: nothing. */
static yaml_node_t *find(struct file *f)
{
    static const char *const kinds[] = {"ethernets", "bonds", "bridges", "vlans", "wifis"};
    const yaml_node_t *network = value_of(f, yaml_document_get_root_node(&f->doc), "network", NULL);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const yaml_node_t *all = value_of(f, network, kinds[i], NULL);
        if (!all || all->type != YAML_MAPPING_NODE)
            continue;
        for (yaml_node_pair_t *p = all->data.mapping.pairs.start; p < all->data.mapping.pairs.top;
             p++) {
            yaml_node_t *one = yaml_document_get_node(&f->doc, p->value);
            if (one && one->type == YAML_MAPPING_NODE &&
                is_of(f, scalar(yaml_document_get_node(&f->doc, p->key)), one))
                return one;
        }
    }
    return NULL;
}

/* ── changing ── */

static void put(struct file *f, size_t from, size_t to, char *text)
{
    if (f->n == EDITS) {
        free(text);
        return;
    }
    f->edits[f->n++] = (struct edit){.from = from, .to = to, .text = text};
}

static void replace(struct file *f, const yaml_node_t *n, const char *text)
{
    put(f, n->start_mark.index, n->end_mark.index, xstrdup(text));
}

/* One more key of the interface, before its first. */
static void insert(struct file *f, const yaml_node_t *one, const char *key, const char *value)
{
    bool flow = one->data.mapping.style == YAML_FLOW_MAPPING_STYLE;
    size_t at = one->start_mark.index + (flow ? 1 : 0);
    bool empty = one->data.mapping.pairs.start == one->data.mapping.pairs.top;
    put(f, at, at,
        flow ? xasprintf("%s: %s%s", key, value, empty ? "" : ", ")
             : xasprintf("%s: %s\n%*s", key, value, (int)one->start_mark.column, ""));
}

static bool is_in(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

static void append(char **list, const char *address)
{
    char *more = xasprintf("%s%s\"%s\"", *list, **list ? ", " : "", address);
    free(*list);
    *list = more;
}

struct changed {
    char *list; /* "\"192.0.2.7/24\", …" */
    bool differs;
    bool odd;         /* an entry that is more than an address */
    unsigned dropped; /* how many of w->drop stood there: bits 1 << (IPv6) */
};

static void read_addresses(struct file *f, const yaml_node_t *seq, struct changed *c, bool *there)
{
    const struct net_want *w = f->w;
    for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top;
         i++) {
        const char *a = scalar(yaml_document_get_node(&f->doc, *i));
        c->odd = c->odd || !a || strpbrk(a, "\"\\\n");
        if (c->odd)
            return;
        for (size_t k = 0; k < w->nadd; k++)
            there[k] = there[k] || strcmp(w->add[k], a) == 0;
        if (is_in(w->drop, w->ndrop, a) && !is_in(w->add, w->nadd, a)) {
            c->differs = true;
            c->dropped |= 1U << (strchr(a, ':') != NULL);
        } else {
            append(&c->list, a);
        }
    }
}

static size_t end_of(struct file *f, const yaml_node_t *seq)
{
    if (seq->data.sequence.style == YAML_FLOW_SEQUENCE_STYLE)
        return seq->end_mark.index;
    /* A block's own end is where the next thing begins. */
    size_t end = seq->start_mark.index + 1;
    for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top;
         i++)
        end = yaml_document_get_node(&f->doc, *i)->end_mark.index;
    return end;
}

static int edit_addresses(struct file *f, const yaml_node_t *one, struct changed *c)
{
    const yaml_node_t *seq = value_of(f, one, "addresses", NULL);
    CLEANUP(mem_free) bool *there = xcalloc(f->w->nadd + 1, sizeof *there);
    if (seq && seq->type == YAML_SEQUENCE_NODE)
        read_addresses(f, seq, c, there);
    else if (seq)
        return -EOPNOTSUPP;
    for (size_t i = 0; i < f->w->nadd; i++)
        if (!there[i]) {
            append(&c->list, f->w->add[i]);
            c->differs = true;
        }
    if (c->odd)
        return -EOPNOTSUPP;
    if (!c->differs)
        return 0;
    CLEANUP(mem_free) char *all = xasprintf("[%s]", c->list);
    if (!seq)
        insert(f, one, "addresses", all);
    else
        put(f, seq->start_mark.index, end_of(f, seq), xstrdup(all));
    return 0;
}

static bool yes(const char *s)
{
    return s && (strcasecmp(s, "true") == 0 || strcasecmp(s, "yes") == 0 ||
                 strcasecmp(s, "on") == 0 || strcasecmp(s, "y") == 0);
}

/* What goes away and does not stand in the file had come by DHCP. */
static void edit_dhcp(struct file *f, const yaml_node_t *one, const struct changed *c, bool six)
{
    const yaml_node_t *dhcp = value_of(f, one, six ? "dhcp6" : "dhcp4", NULL);
    bool goes = false;
    for (size_t i = 0; i < f->w->ndrop; i++)
        goes = goes || (strchr(f->w->drop[i], ':') != NULL) == six;
    if (goes && !(c->dropped & 1U << six) && yes(scalar(dhcp)))
        replace(f, dhcp, "false");
}

static bool is_default(const char *to)
{
    return strcmp(to, "default") == 0 || strcmp(to, "0.0.0.0/0") == 0 || strcmp(to, "::/0") == 0;
}

/* Does an entry lead there already? Then by this way from now on. */
static bool goes_there(struct file *f, const yaml_node_t *seq, const struct route *way)
{
    for (yaml_node_item_t *i = seq->data.sequence.items.start; i < seq->data.sequence.items.top;
         i++) {
        const yaml_node_t *route = yaml_document_get_node(&f->doc, *i);
        const yaml_node_t *via = value_of(f, route, "via", NULL);
        const char *to = scalar(value_of(f, route, "to", NULL)), *now = scalar(via);
        CLEANUP(mem_free) char *quoted = xasprintf("\"%s\"", way->via);
        if (!to || !now || (strchr(now, ':') != NULL) != way->six ||
            !(way->whole ? is_default(to) : strcmp(to, way->to) == 0))
            continue;
        if (strcmp(now, way->via) != 0)
            replace(f, via, quoted);
        return true;
    }
    return false;
}

/* items: "{to: …, via: …}", joined as a flow has them, or one a line at that column. */
static void add_item(char **items, const struct route *way, const yaml_node_t *seq)
{
    bool block = seq && seq->data.sequence.style != YAML_FLOW_SEQUENCE_STYLE;
    const char *to = !way->whole ? way->to : way->six ? "::/0" : "0.0.0.0/0";
    char *more = block ? xasprintf("%s- {to: \"%s\", via: \"%s\"}\n%*s", *items, to, way->via,
                                   (int)seq->start_mark.column, "")
                       : xasprintf("%s%s{to: \"%s\", via: \"%s\"}", *items, **items ? ", " : "", to,
                                   way->via);
    free(*items);
    *items = more;
}

static void put_items(struct file *f, const yaml_node_t *one, const yaml_node_t *seq,
                      const char *items)
{
    CLEANUP(mem_free) char *list = xasprintf("[%s]", items);
    if (!*items)
        return;
    if (!seq) {
        insert(f, one, "routes", list);
        return;
    }
    bool flow = seq->data.sequence.style == YAML_FLOW_SEQUENCE_STYLE;
    size_t at = seq->start_mark.index + (flow ? 1 : 0);
    bool empty = seq->data.sequence.items.start == seq->data.sequence.items.top;
    put(f, at, at, xasprintf("%s%s", items, flow && !empty ? ", " : ""));
}

/* gateway4 is older than routes, and stays where it stands. */
static bool is_gateway(struct file *f, const yaml_node_t *one, const struct route *way)
{
    const yaml_node_t *old = value_of(f, one, way->six ? "gateway6" : "gateway4", NULL);
    if (!way->whole || !scalar(old))
        return false;
    if (strcmp(scalar(old), way->via) != 0)
        replace(f, old, way->via);
    return true;
}

static void edit_routes(struct file *f, const yaml_node_t *one)
{
    const yaml_node_t *seq = value_of(f, one, "routes", NULL);
    CLEANUP(mem_free) char *items = xstrdup("");
    struct route way;
    seq = seq && seq->type == YAML_SEQUENCE_NODE ? seq : NULL;
    for (size_t i = 0; i < f->w->nroutes; i++)
        if (route_read(f->w->routes[i], &way) && !is_gateway(f, one, &way) &&
            (!seq || !goes_there(f, seq, &way)))
            add_item(&items, &way, seq);
    put_items(f, one, seq, items);
}

/* ── writing ── */

static int by_place(const void *a, const void *b)
{
    const struct edit *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* libyaml counts characters; these are bytes. */
static size_t byte_of(const char *text, size_t chars)
{
    size_t i = 0;
    while (text[i] && chars > 0) {
        i++;
        while (((unsigned char)text[i] & 0xc0) == 0x80)
            i++;
        chars--;
    }
    return i;
}

static char *apply(struct file *f)
{
    struct buf b;
    size_t at = 0;
    qsort(f->edits, f->n, sizeof f->edits[0], by_place);
    buf_init(&b, OUT_MAX);
    for (size_t i = 0; i < f->n; i++) {
        size_t from = byte_of(f->text, f->edits[i].from), to = byte_of(f->text, f->edits[i].to);
        if (from > at)
            buf_put(&b, f->text + at, from - at);
        buf_put(&b, f->edits[i].text, strlen(f->edits[i].text));
        at = to > at ? to : at;
    }
    buf_put(&b, f->text + at, strlen(f->text + at));
    char *all = b.overflow ? NULL : xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return all;
}

static bool load(const char *text, yaml_document_t *ret)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    bool fine = yaml_parser_load(&parser, ret);
    yaml_parser_delete(&parser);
    return fine;
}

static int edit(struct file *f)
{
    struct changed c = {.list = xstrdup("")};
    const yaml_node_t *one = find(f);
    int rc = one ? edit_addresses(f, one, &c) : -EOPNOTSUPP;
    for (int six = 0; rc == 0 && six < 2; six++)
        edit_dhcp(f, one, &c, six);
    if (rc == 0)
        edit_routes(f, one);
    free(c.list);
    return rc;
}

bool keep_netplan_has(const char *text, const struct net_want *w)
{
    struct file f = {.text = text, .w = w};
    if (!load(text, &f.doc))
        return false;
    bool has = find(&f) != NULL;
    yaml_document_delete(&f.doc);
    return has;
}

int keep_netplan(const char *text, const struct net_want *w, char **ret, struct fault *reterr)
{
    struct file f = {.text = text, .w = w};
    if (!load(text, &f.doc))
        return fault_set(reterr, FAULT_STOP_JOB, EOPNOTSUPP, "the file of netplan is no YAML");
    int rc = edit(&f);
    char *all = rc == 0 ? apply(&f) : NULL;
    for (size_t i = 0; i < f.n; i++)
        free(f.edits[i].text);
    yaml_document_delete(&f.doc);
    if (!all)
        return fault_set(reterr, FAULT_STOP_JOB, EOPNOTSUPP,
                         "netplan says more of %.20s than addresses: it has to be changed by hand",
                         w->name);
    *ret = all;
    return 0;
}
