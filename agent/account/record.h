/* record: what was decided for the accounts of one source, on disk before it is done, so that the
 * same order after a crash, and later orders, come to the same end. One step at a time holds it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/account/plan.h"

struct account_records;

/* Waits for another step that has one open. -errno; a file that is none is -EBADMSG. */
int account_records_open(const char *state_dir, const char *source, struct account_records **ret);
struct account_records *account_records_free(struct account_records *r); /* NULL is fine */
const struct account_record *account_records_get(const struct account_records *r, size_t *retn);
/* Adds what rows will be made; op: the order. Durable when it returns. */
int account_records_save(struct account_records *r, const struct account_row *rows, size_t n,
                         const char *op);
/* Was this account to be made by that very order? */
bool account_record_is_of(const struct account_records *r, const struct account_row *row,
                          const char *op);
