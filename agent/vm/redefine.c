/* redefine: libxml2's tree, a few nodes of it changed. Any thread. */
#include "agent/vm/redefine.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define DEPTH_MAX 64

struct change {
    const Godwit__VmMovePlan *plan;
    unsigned long long seen; /* disks of the plan, by their place in it */
    bool snapshot;           /* the machine is what it was when that was taken */
};

static bool is(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0;
}

static xmlNode *child(xmlNode *n, const char *name)
{
    for (xmlNode *c = n->children; c; c = c->next)
        if (is(c, name))
            return c;
    return NULL;
}

static bool attribute_is(xmlNode *n, const char *name, const char *value)
{
    xmlChar *v = n ? xmlGetNoNsProp(n, (const xmlChar *)name) : NULL;
    bool same = v && strcmp((const char *)v, value) == 0;
    xmlFree(v);
    return same;
}

static void drop(xmlNode *n, const char *name)
{
    xmlNode *c = child(n, name);
    if (!c)
        return;
    xmlUnlinkNode(c);
    xmlFreeNode(c);
}

/* Whatever it was (a volume, a device, a file), it is this file or device now. */
static void set_place(xmlNode *disk, const char *path, bool device)
{
    xmlNode *s = child(disk, "source");
    if (s) {
        while (s->properties)
            (void)xmlRemoveProp(s->properties);
    } else {
        s = xmlNewChild(disk, NULL, (const xmlChar *)"source", NULL);
    }
    (void)xmlSetProp(disk, (const xmlChar *)"type", (const xmlChar *)(device ? "block" : "file"));
    (void)xmlSetProp(s, (const xmlChar *)(device ? "dev" : "file"), (const xmlChar *)path);
}

static void set_file(xmlNode *disk, const char *path)
{
    set_place(disk, path, false);
}

/* When a snapshot was taken, the image that is below the disk now may have been the disk. */
static void change_past(const struct change *c, xmlNode *n, const Godwit__VmMoveDisk *d)
{
    xmlNode *s = child(n, "source");
    if (!s || attribute_is(s, "file", d->source)) {
        if (s)
            set_file(n, d->path);
        return;
    }
    for (size_t i = 0; i < c->plan->n_bases; i++)
        if (attribute_is(s, "file", c->plan->bases[i]->source)) {
            set_file(n, c->plan->bases[i]->path);
            return;
        }
}

static void change_disk(struct change *c, xmlNode *n)
{
    xmlNode *target = child(n, "target");
    for (size_t i = 0; target && i < c->plan->n_disks && i < 64; i++) {
        const Godwit__VmMoveDisk *d = c->plan->disks[i];
        if (!attribute_is(target, "dev", d->target))
            continue;
        c->seen |= 1ULL << i;
        drop(n, "backingStore"); /* libvirt reads it from the image anew */
        drop(n, "mirror");
        if (d->how == GODWIT__VM_MOVE_DISK__HOW__EJECT)
            drop(n, "source");
        else if (c->snapshot && d->how == GODWIT__VM_MOVE_DISK__HOW__SEEDED)
            change_past(c, n, d);
        else if (d->how != GODWIT__VM_MOVE_DISK__HOW__SHARED || attribute_is(n, "type", "volume"))
            set_place(n, d->path, d->to_device); /* a volume's pool may have another name there */
    }
}

static void change_interface(const struct change *c, xmlNode *n)
{
    xmlNode *s = child(n, "source");
    drop(n, "target"); /* the host's end: named anew */
    for (size_t i = 0; s && i < c->plan->n_networks; i++) {
        const Godwit__VmMoveNetwork *w = c->plan->networks[i];
        const char *by = attribute_is(s, "bridge", w->from)    ? "bridge"
                         : attribute_is(s, "network", w->from) ? "network"
                                                               : NULL;
        if (!by)
            continue;
        (void)xmlSetProp(s, (const xmlChar *)by, (const xmlChar *)w->to);
        return;
    }
}

/* <disk> and <interface> stand in <devices>; a snapshot has a whole machine in it. */
static int walk(struct change *c, xmlNode *n, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return -EBADMSG;
    for (xmlNode *k = n->children; k; k = k->next) {
        if (is(n, "devices") && is(k, "disk"))
            change_disk(c, k);
        else if (is(n, "devices") && is(k, "interface"))
            change_interface(c, k);
        int rc = walk(c, k, depth + 1);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int missing(const struct change *c)
{
    for (size_t i = 0; i < c->plan->n_disks && i < 64; i++)
        if (!(c->seen & 1ULL << i) && c->plan->disks[i]->kind == GODWIT__VM_MOVE_DISK__KIND__IMAGE)
            return -ENOENT;
    return 0;
}

int redefine(const char *xml, size_t len, const Godwit__VmMovePlan *plan, char **ret)
{
    struct change c = {.plan = plan};
    if (len > INT32_MAX || plan->n_disks > 64)
        return -EBADMSG;
    xmlDoc *doc = xmlReadMemory(xml, (int)len, "machine", NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    bool machine = root && is(root, "domain");
    c.snapshot = !machine;
    int rc = machine || (root && is(root, "domainsnapshot")) ? 0 : -EBADMSG;
    if (rc == 0 && doc->intSubset)
        rc = -EBADMSG; /* no entities of its own */
    if (rc == 0)
        rc = walk(&c, root, 0);
    if (rc == 0 && machine)
        rc = missing(&c);
    if (rc == 0) {
        xmlChar *text = NULL;
        int n = 0;
        xmlDocDumpMemory(doc, &text, &n);
        if (text && n > 0)
            *ret = xmemdup(text, (size_t)n);
        else
            rc = -ENOMEM;
        if (text)
            explicit_bzero(text, (size_t)(n > 0 ? n : 0));
        xmlFree(text);
    }
    xmlFreeDoc(doc);
    return rc;
}
