/* dns: what names stand for at the domain's own name server, and secure updates of it with a
 * ticket. Process with rights. */
#pragma once
#include <stddef.h>

#include "agent/identity/stage.h"
#include "proto/undo.pb-c.h"

#define DNS_VALUES 64

/* The stage "dns": of the destination: its new names stand for the addresses that it has now; of
 * the source: its new name does. Only records that would mislead are touched. */
int dns_stage(struct stage_run *r);
int dns_probe(struct stage_run *r);
/* The stage "tidy": what the destination was called before stands for nothing, and its account,
 * that nobody is any more, is disabled until commit. */
int dns_tidy(struct stage_run *r);
int dns_undone(struct stage_run *r); /* as it was, by the notes of the stage */

/* ── pure ── */
/* The records of one name and type in what `dig +noall +answer` printed. Hostile bytes. */
void dns_parse(const char *text, const char *name, const char *type, Godwit__UndoDns *ret);
void dns_done(Godwit__UndoDns *d); /* its texts; not the struct */
/* For `nsupdate`: the record set becomes this. malloc'd; NULL: something in it is no name or
 * address. */
char *dns_script(const Godwit__UndoDns *want);
/* "192.0.2.7/24" -> "7.2.0.192.in-addr.arpa"; malloc'd, NULL: no address. */
char *dns_reverse(const char *address);
/* The same values, in whatever order? */
bool dns_same(const Godwit__UndoDns *a, const Godwit__UndoDns *b);
