/* store: the orchestrator's durable state. One connection owns all writing and checkpointing
 * (SQLite 3.40.1 has the WAL-reset bug). Callers see nouns, never SQL; PostgreSQL can follow behind
 * the same headers: agents.h, jobs.h, journal.h. Main thread. */
#pragma once
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

struct store;

/* Opens or creates path (0600), brings its schema up to date (refuses a newer one: -ENOTSUP),
 * raises the epoch by one. */
int store_open(struct store **ret, const char *path, struct fault *reterr);
struct store *store_close(struct store *s);
DEFINE_CLEANUP(store_close, struct store *)

uint64_t store_epoch(const struct store *s);
/* To least, or by one where it is there already. */
int store_lift_epoch(struct store *s, uint64_t least);
const char *store_realm(const struct store *s); /* random id made when the file was made */

/* Nested begins are errors. A failed commit has rolled back. */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);
