/* pairname: the names that a pair gives to its catalogue and to its temporary files, the same in
 * every run, so that what a crash left is found. Pure; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAIR_TOKEN_LEN 12 /* hex digits */
#define PAIR_TEMP_MAX 64

/* "JOBID.N" as the orchestrator names pairs; it becomes part of file names. */
bool pair_valid(const char *pair);
void pair_token(const char *pair, char ret[PAIR_TOKEN_LEN + 1]);
/* ".godwit-TOKEN-N" */
void pair_temp_name(const char token[PAIR_TOKEN_LEN + 1], uint64_t n, char ret[PAIR_TEMP_MAX]);
bool pair_is_temp(const char token[PAIR_TOKEN_LEN + 1], const char *name, size_t len);
/* STATE_DIR/catalogue/PAIR.db; malloc'd. The folder is made by whoever opens it. */
char *pair_catalogue_path(const char *state_dir, const char *pair);
