/* keep: the configuration files by which a host has its addresses again after a restart: which
 * manager owns an interface, and its file with other addresses. The editors are pure. */
#pragma once
#include <stddef.h>

#include "agent/identity/net.h"

#define KEEP_FILE_MAX (1U << 20)

enum keep_manager { KEEP_NONE, KEEP_NETWORKD, KEEP_IFUPDOWN, KEEP_NETWORKMANAGER, KEEP_NETPLAN };

const char *keep_name(enum keep_manager m); /* "networkd"; "" for none */
/* Who has this interface, and the file that says so; malloc'd, "" when it is not known. */
enum keep_manager keep_find(const struct site *v, const char *interface, char **retfile);

/* The file with w's changes; malloc'd. What they do not understand and would have to change is
 * -EOPNOTSUPP: a person has to. Hostile bytes. */
int keep_networkd(const char *text, const struct net_want *w, char **ret, struct fault *reterr);
int keep_ifupdown(const char *text, const struct net_want *w, char **ret, struct fault *reterr);
/* A connection's file; the one of netplan that speaks of the interface. */
int keep_networkmanager(const char *text, const struct net_want *w, char **ret,
                        struct fault *reterr);
int keep_netplan(const char *text, const struct net_want *w, char **ret, struct fault *reterr);
bool keep_netplan_has(const char *text, const struct net_want *w);

/* Writes the file of w->name's manager, having kept what it was; 1 when it changed. -EOPNOTSUPP: no
 * manager of which we know is there. */
int keep_write(const struct site *v, const struct net_want *w, struct fault *reterr);
/* Would it be possible? Writes nothing. */
int keep_try(const struct site *v, const struct net_want *w, struct fault *reterr);
/* Managers read their files again; what they cannot do is no failure. */
void keep_reload(const struct site *v, const char *interface);
