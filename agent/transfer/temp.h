/* temp: the two kinds of temporary names of a pair (agent/store/pairname.h), and where a transfer
 * keeps its own files. Only names; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/store/pairname.h"

/* Of a small file: never used again after a crash when n is. */
void temp_small(const char *token, uint64_t n, char ret[PAIR_TEMP_MAX]);
/* Of a large file: the same each time for the same name. */
void temp_large(const char *token, const char *name, size_t len, char ret[PAIR_TEMP_MAX]);
/* Is name a temporary name of the second kind for one of these hashes of names? */
uint64_t temp_large_key(const char *name, size_t len);
bool temp_is_large(const char *token, const char *temp, uint64_t *retkey);

/* STATE_DIR/transfer/PAIR.SUFFIX, malloc'd; the folder is made. suffix: "failed", "sent". */
char *temp_state_path(const char *state_dir, const char *pair, const char *suffix);
char *temp_state_dir(const char *state_dir); /* for unlinked files; malloc'd */
