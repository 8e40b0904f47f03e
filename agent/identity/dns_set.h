/* dns_set: record sets at the domain's own name server: asked with `dig`, noted, written by secure
 * updates (GSS-TSIG) with `nsupdate -g`: by the machine's key, and where that may not, by a
 * person's. Process with rights. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/identity/ads.h"
#include "agent/identity/stage.h"
#include "proto/undo.pb-c.h"

#define DNS_VALUES 64

/* A stage's changes. */
struct dns_work {
    struct stage_run *r;
    const char *dc;
    struct credential *person; /* owned; NULL: none is here */
    char *cache;               /* the ticket at hand */
    bool note;                 /* dry, but what would change is kept */
    bool dry, machine, mine;   /* mine: the ticket is the machine's; machine: it has one to try */
    int changed;
};

/* machine: its own key is tried first. */
void dns_begin(struct dns_work *w, struct stage_run *r, const char *dc, bool machine);
void dns_end(struct dns_work *w);

/* What a name stands for now; dns_done() it. 0 or -errno with the fault. */
int dns_ask(const struct dns_work *w, const char *name, const char *type, Godwit__UndoDns *ret);
/* Does the server answer for the reverse names of this address? */
bool dns_has_reverse(const struct dns_work *w, const char *address);
/* The set becomes these values; ttl 0: as it was. Noted first, unless it is so. */
int dns_set(struct dns_work *w, const char *name, const char *type, char **values, size_t n,
            uint32_t ttl);
/* As noted: 1, -errno. */
int dns_put(struct dns_work *w, const Godwit__UndoDns *was);
