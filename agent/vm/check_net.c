/* check_net: what a machine would be connected to here, and whether its packets fit. Worker
 * threads. */
#include <string.h>

#include "agent/vm/check_priv.h"
#include "agent/vm/link.h"

static bool is_network(const Godwit__VmHost *h, const char *name)
{
    for (size_t i = 0; i < h->n_networks; i++)
        if (strcmp(h->networks[i]->name, name) == 0 && h->networks[i]->active)
            return true;
    return false;
}

static void check_interface(struct checking *c, const Godwit__VmInterface *i)
{
    bool there;
    const char *what = i->kind;
    if (strcmp(i->kind, "network") == 0)
        there = is_network(c->ret->host, i->source);
    else if (strcmp(i->kind, "bridge") == 0)
        there = link_is_there(i->source, "") &&
                (link_is_there(i->source, "bridge") || link_is_there("ovs-system", ""));
    else if (strcmp(i->kind, "direct") == 0)
        there = link_is_there(i->source, "");
    else {
        bool own = strcmp(i->kind, "user") == 0 || strcmp(i->kind, "null") == 0;
        check_say(c, "networks", i->mac, own ? PASS : UNKNOWN, "%s is connected by %s", i->mac,
                  i->kind);
        return;
    }
    if (strcmp(i->kind, "direct") == 0)
        what = "device";
    check_say(c, "networks", i->mac, there ? PASS : FAIL, "%s %s is %shere", what, i->source,
              there ? "" : "not ");
}

/* What its guest sends at once has to fit into what it hangs on: a bridge drops what is larger and
 * says nothing. Where no size was given to its interface the guest may use all that the source's
 * bridge carries. */
static void check_mtu(struct checking *c, const Godwit__VmInterface *i)
{
    const char *on = link_of(c->ret->host, i);
    uint32_t want = i->mtu ? i->mtu : i->link_mtu, have = link_mtu(on);
    if (want == 0)
        return;
    if (have == 0)
        check_say(c, "mtu", i->mac, WARN, "%s: how large its packets may be here cannot be told",
                  i->mac);
    else
        check_say(c, "mtu", i->mac, have < want ? FAIL : PASS,
                  "%s: %s here carries packets of %u bytes, %s %u", i->mac, on, have,
                  i->mtu ? "its interface was given" : "what it hangs on at the source carries",
                  want);
}

void check_networks(struct checking *c)
{
    for (size_t i = 0; i < c->d->n_interfaces; i++) {
        check_interface(c, c->d->interfaces[i]);
        check_mtu(c, c->d->interfaces[i]);
    }
    if (c->d->n_interfaces == 0)
        check_say(c, "networks", "", PASS, "it is connected to none");
    check_say(c, "mtu", "", PASS, "nothing is known of packets that would not fit");
}
