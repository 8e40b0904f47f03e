/* claims: which source file each file of the destination with several names was taken for in this
 * session, so that it never stands for two. Locks inside; any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define CLAIMS_MAX (1U << 20) /* more files with several names are replaced rather than kept */

struct claims;
struct claims *claims_new(void);
struct claims *claims_free(struct claims *c);
/* True: here is source's, from now on if not before. */
bool claims_take(struct claims *c, uint64_t here_dev, uint64_t here_ino, uint64_t source_ino);
