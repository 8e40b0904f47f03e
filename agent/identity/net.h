/* net: the live network of this host: addresses, MTU and routes of its interfaces, and the way from
 * what is to what ought to be. Persistence is keep's. Worker thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/identity/site.h"
#include "common/base/fault.h"
#include "proto/undo.pb-c.h"

#define NET_TEXT_MAX (1U << 20) /* of what `ip` prints */
#define NET_INTERFACES 64
#define NET_ADDRESSES 256 /* of one interface; routes likewise */

/* What `ip -j address`, `ip -j -4 route` and `ip -j -6 route` printed. Loopback, and addresses that
 * are not global, are left out; so are routes that the kernel makes by itself. Hostile bytes. */
int net_parse(const char *addresses, const char *routes4, const char *routes6,
              Godwit__UndoNetwork **ret, struct fault *reterr);
int net_look(const struct site *v, Godwit__UndoNetwork **ret, struct fault *reterr);
void net_free(Godwit__UndoNetwork *n);

/* By MAC, or by name when there is none; NULL: no such interface. */
const Godwit__UndoInterface *net_find(const Godwit__UndoNetwork *n, const char *mac,
                                      const char *name);
bool net_has(const Godwit__UndoInterface *i, const char *address);
/* Did it come with an end, by DHCP or a router's advertisement? */
bool net_leased(const Godwit__UndoInterface *i, const char *address);
/* Has it an address in the network of this one, which has a prefix? */
bool net_reaches(const Godwit__UndoInterface *i, const char *address);
/* "192.0.2.7/24", "2001:db8::7/64": nothing else becomes an argument. */
bool net_address_valid(const char *text);
bool net_host_valid(const char *text); /* the same without a prefix */

/* What one interface is to be, beside what it is already. Borrowed texts. */
struct net_want {
    const char *mac, *name; /* which one: by MAC when it has one */
    char **add;             /* "192.0.2.7/24" */
    size_t nadd;
    char **drop;
    size_t ndrop;
    char **routes; /* "default via 192.0.2.1"; a default one takes the place of another */
    size_t nroutes;
    unsigned mtu;             /* 0: as it is */
    bool free;                /* somebody asked just now: nobody else has what is added */
    bool exact;               /* routes that are not among these go */
    const char *dns, *domain; /* that came with a lease which ends; NULL: nothing is known */
};
bool net_route_valid(const char *text);
/* Every text of it, for it comes from elsewhere. */
int net_want_valid(const struct net_want *w, struct fault *reterr);

/* Lines for `ip -batch`: what is missing is added before what is too much goes; "" when nothing is
 * to do. malloc'd. */
char *net_commands(const Godwit__UndoInterface *now, const struct net_want *want);
/* Until nobody answers for what is to be added and is not here yet. 0, -EADDRINUSE. */
int net_await_free(const struct site *v, const struct net_want *want, int wait_ms,
                   struct fault *reterr);
/* Makes one interface so; 1 when something was changed, 0 when it was so already. An address that
 * another machine answers for is -EADDRINUSE, and nothing is changed. */
int net_make(const struct site *v, const struct net_want *want, struct fault *reterr);
/* Back to exactly this. Waits up to wait_ms for others to let go of its addresses. */
int net_restore(const struct site *v, const Godwit__UndoInterface *was, int wait_ms,
                struct fault *reterr);
