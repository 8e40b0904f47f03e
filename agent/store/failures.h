/* failures: what went wrong, grouped by cause with a few examples, for a step's result. Locks
 * inside; any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct failures;
struct step_result;

struct failures *failures_new(void);
struct failures *failures_free(struct failures *f); /* NULL is fine; returns NULL */
/* err: positive errno. what: "open", "read" … path: raw bytes. Groups beyond the room of a result
 * are counted in the last one. */
void failures_add(struct failures *f, int err, const char *what, const char *path, size_t len);
/* The same for what is no failure of the item: it is shown, and not counted. */
void failures_note(struct failures *f, int err, const char *what, const char *path, size_t len);
uint64_t failures_count(struct failures *f);
/* Moves the groups into the result, which must have none. */
void failures_take(struct failures *f, struct step_result *ret);
