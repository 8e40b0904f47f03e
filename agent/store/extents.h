/* extents: which blocks of a file it shares with others (reflinks). Any thread. */
#pragma once
#include <stdint.h>

/* Bytes of name in the folder dir that other files hold as well; 0 when none, or when nobody can
 * tell. Looks at the first thousands of extents only. */
uint64_t extents_shared(int dir, const char *name);
