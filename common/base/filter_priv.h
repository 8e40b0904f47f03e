/* filter_priv: the matcher of one pattern, for filter.c, tests and the fuzz target. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* glob: * and ? stop at a slash, ** does not, [a-z] and [!a-z] are one character that is no slash,
 * a backslash takes the next character as it is, \xNN is that byte. Names are bytes. */
bool glob_match(const char *glob, size_t glob_len, const char *text, size_t len);
/* NULL, or what is wrong with the pattern. */
const char *glob_check(const char *glob, size_t len);
