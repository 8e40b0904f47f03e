/* list: all that this host shares, as the message that travels. Reads only. Worker threads. */
#pragma once
#include "agent/share/server.h"
#include "common/base/fault.h"
#include "proto/shares.pb-c.h"

enum share_want { SHARE_NONE, SHARE_LIST, SHARE_PAIR, SHARE_ALL }; /* as SharesOrder.smb and .nfs */

/* *ret is to be freed with godwit__shares_inventory__free_unpacked(). A host without Samba or NFS
 * has none of it, which is no error. */
int list_shares(const struct server *v, const Godwit__SharesOrder *o, Godwit__SharesInventory **ret,
                struct fault *reterr);
/* Is the share of this name one of printers? value: of its parameter "printable", or NULL. */
Godwit__ShareKind list_kind(const char *name, const char *printable);
