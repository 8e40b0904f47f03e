/* list_priv: what the files of list share: growing the message. Worker threads. */
#pragma once
#include "agent/share/list.h"
#include "agent/share/smbconf.h"

struct samba;

struct listing {
    const struct server *server;
    const Godwit__SharesOrder *order;
    Godwit__SharesInventory *inv;
};

void list_text(char **field, const char *text); /* NULL leaves the default */
void *list_grown(void *list, size_t n);         /* room for one more pointer */
void list_parameter(Godwit__ShareParameter ***list, size_t *n, const char *name, const char *value);
void list_warn(struct listing *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
Godwit__Share *list_add(struct listing *l, const char *name, Godwit__ShareOrigin origin);
/* path, kind, whether it belongs to the pair: from what is in force for it. */
void list_place(struct listing *l, Godwit__Share *s);

void list_raw(struct listing *l, const struct samba *s); /* list_raw.c: includes, copies, unknown */
void list_usershares(struct listing *l, const struct samba *s); /* list_user.c */
void list_exports(struct listing *l);                           /* list_nfs.c */
