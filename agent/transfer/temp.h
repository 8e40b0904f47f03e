/* temp: the names that a transfer gives to what is not whole yet, and where it keeps its own files.
 * Only names; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEMP_TOKEN_LEN 16
#define TEMP_NAME_MAX 64

/* What marks the temporary names of one pair. */
void temp_token(const char *pair, char ret[TEMP_TOKEN_LEN + 1]);
/* ".godwit-TOKEN-N": of a small file, never used again after a crash. */
void temp_small(const char *token, uint64_t n, char ret[TEMP_NAME_MAX]);
/* ".godwit-TOKEN-p…": of a large file, the same each time for the same name. */
void temp_large(const char *token, const char *name, size_t len, char ret[TEMP_NAME_MAX]);
bool temp_is(const char *token, const char *name);       /* one of this pair's, of either kind */
bool temp_is_large(const char *token, const char *name); /* of the second kind */

/* STATE_DIR/transfer/PAIR.SUFFIX, malloc'd; the folder is made. suffix: "catalogue", "failed",
 * "sent". */
char *temp_state_path(const char *state_dir, const char *pair, const char *suffix);
char *temp_state_dir(const char *state_dir); /* for unlinked files; malloc'd */
