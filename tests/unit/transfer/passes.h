/* passes: trees with a change feed on a file system of their own, so that nobody else's changes are
 * in its list, and passes over them. Needs root. */
#pragma once
#include <stdbool.h>

#include "tests/unit/transfer/trees.h"

extern struct feed *feed;
extern char looked[96]; /* what the last pass said of itself */

bool passes_enter(void);    /* a mount namespace; false: not here */
bool passes_are_long(void); /* GODWIT_ALL=yes */
int passes_setup(void **state_);
int passes_teardown(void **state_);
/* By bash, which ends at the first failure; sh: in the source. */
void sh(const char *text);
void sh_in(const char *dir, const char *text);
/* What failed is printed. */
void pass(struct both *b, const struct transfer_options *o);
