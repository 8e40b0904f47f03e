/* spool: rows put aside on disk until the end of a run, read back deepest first. An unlinked file,
 * so that a crash leaves nothing and memory stays small. Locks inside; any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct spool;

int spool_new(struct spool **ret, const char *dir);
struct spool *spool_free(struct spool *s);
int spool_put(struct spool *s, uint32_t depth, const void *row, size_t len);
uint64_t spool_count(struct spool *s);
/* From the deepest to 0, in each depth the latest first. fn's value ends it when not 0. */
int spool_each(struct spool *s, int (*fn)(void *arg, const void *row, size_t len), void *arg);
