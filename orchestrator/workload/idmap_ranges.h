/* idmap_ranges: what is wrong with the ranges of ids that a host's winbind is told to give, by what
 * its agent says of them ("LAB: rid 100000-199999"). Pure; any thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* False: nothing. ret: the first thing that is wrong, in words. */
bool idmap_ranges_odd(const json_t *backends, char *ret, size_t size);
