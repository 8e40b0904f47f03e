/* vm_checks: what is checked of one machine before anything is touched: one row a check, pure, from
 * what both hosts said (proto/vm_look.proto as JSON). Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm_facts {
    const json_t *look;     /* of the source; NULL: it did not answer */
    const json_t *check;    /* of the destination; likewise */
    const char *why;        /* of who did not answer; NULL: nobody knows */
    const json_t *options;  /* of the request: "override" and others */
    const char *from, *to;  /* hosts */
    uint64_t arriving;      /* memory of other machines that are to come there as well */
    uint64_t arriving_disk; /* and what their disks may grow to */
    int64_t over_s;         /* when the move would be over, since 1970, UTC; 0: nobody knows */
};

/* [{id, point, from, result, evidence, remedy, overridden?}]. New reference. */
json_t *vm_checks_run(const struct vm_facts *f);
/* The first that stops every type, NULL: none does. Borrowed. */
const json_t *vm_checks_stop(const json_t *checks);
const json_t *vm_check_of(const json_t *checks, const char *id);
/* Did it pass, or was it overridden? Warnings pass. */
bool vm_check_good(const json_t *checks, const char *id);
bool vm_check_overridden(const struct vm_facts *f, const char *id); /* somebody takes the risk */

/* ── what several files read of the facts ── */
const json_t *vm_machine(const struct vm_facts *f);
const json_t *vm_domain(const struct vm_facts *f);
const json_t *vm_arrival(const struct vm_facts *f, const char *target);
bool vm_is_disk(const json_t *disk);          /* no drive for media, and something is in it */
bool vm_to_library(const struct vm_facts *f); /* a copy alone is to go, into a library */
/* Both hosts see it, as far as that can be told without a mark. */
bool vm_is_shared(const struct vm_facts *f, const json_t *disk);
const char *vm_text(const json_t *o, const char *key); /* "" where there is none */
uint64_t vm_number(const json_t *o, const char *key);
bool vm_flag(const json_t *o, const char *key);
size_t vm_count(const json_t *o, const char *key);
