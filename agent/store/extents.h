/* extents: which blocks of a file it shares with others (reflinks). Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Bytes of name in the folder dir that other files hold as well; 0 when none, or when nobody can
 * tell. Looks at the first thousands of extents only. */
uint64_t extents_shared(int dir, const char *name);

/* Can files on the file system of fd share blocks, as far as its kind says? *retspace: two files
 * whose blocks may be the same have the same one; dev: of the file. */
bool extents_may_share(int fd, uint64_t dev, uint64_t *retspace);
/* Do two nameless files in this folder? Leaves nothing; for a destination, once. */
bool extents_can_share(int folder);

/* Where the block at one place of a file lies, as one number: the same for two files that hold that
 * very block at the same place. Different blocks may have the same one, seldom: nothing may rely on
 * it but where to look. */
#define EXTENT_MARKS 20U
/* Up to EXTENT_MARKS, of the places 0, 64 KiB, 128 KiB, 256 KiB… at which other files hold the
 * block as well. One call of the file system where nothing is shared. 0: nothing is, or nobody can
 * tell. */
unsigned extents_marks(int fd, uint64_t space, uint64_t size, uint64_t ret[EXTENT_MARKS]);
