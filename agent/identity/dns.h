/* dns: what a cutover changes at the domain's name server, stage by stage. How record sets are
 * asked and written is dns_set. Process with rights. */
#pragma once
#include <stddef.h>

#include "agent/identity/stage.h"
#include "proto/undo.pb-c.h"

/* The stage "dns": of the destination: its new names stand for the addresses that it has now; of
 * the source: its new name does. Only records that would mislead are touched. */
int dns_stage(struct stage_run *r);
/* What would be changed, for a person who does it; and a keytab that a join has left for later. */
int dns_note(struct stage_run *r);
int dns_probe(struct stage_run *r);
/* The stage "tidy": what the destination was called before stands for nothing, and its account,
 * that nobody is any more, is disabled until commit. */
int dns_tidy(struct stage_run *r);
int dns_undone(struct stage_run *r); /* as it was, by the notes of the stage */
/* The stage "ttl" of the source, long before: where names alone move, others shall not remember for
 * long what they stood for. */
int dns_lower(struct stage_run *r);
/* At commit, of the destination: as long as they were remembered before. What fails is told. */
int dns_raise(struct stage_run *r);

/* ── pure ── */
/* The records of one name and type in what `dig +noall +answer` printed. Hostile bytes. */
void dns_parse(const char *text, const char *name, const char *type, Godwit__UndoDns *ret);
void dns_done(Godwit__UndoDns *d); /* its texts; not the struct */
/* For `nsupdate`: the record set becomes this. malloc'd; NULL: something in it is no name or
 * address. */
char *dns_script(const Godwit__UndoDns *want);
/* "192.0.2.7/24" -> "7.2.0.192.in-addr.arpa"; malloc'd, NULL: no address. */
char *dns_reverse(const char *address);
/* Does the server that said this (`dig +comments +authority NAME SOA`) answer for a zone of reverse
 * names that has this one? Hostile bytes. */
bool dns_is_zone(const char *text, const char *back);
/* The same values, in whatever order? */
bool dns_same(const Godwit__UndoDns *a, const Godwit__UndoDns *b);
