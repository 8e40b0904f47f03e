/* asking: programs of this host that tell who somebody is. Blocking; worker threads. */
#pragma once
#include <stddef.h>

#include "proto/access.pb-c.h"

#define ASKING_BATCH 100U /* SIDs of one call: of 60 bytes */

/* Standard output of a program that ended well; malloc'd, NULL: it did not. */
char *asking_out(const char *const *argv);
/* Of one that ran, however it ended. */
char *asking_any(const char *const *argv);
/* wbinfo OPTION with the SIDs of these rows: "--lookup-sids=". As asking_out(). */
char *asking_sids(const char *option, Godwit__Identity *const *rows, size_t n);
