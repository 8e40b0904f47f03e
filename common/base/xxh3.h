/* xxh3: XXH3 by the widest vectors that this processor has: two to three times as fast as those
 * that every processor of its kind has. The same digests. */
#pragma once
#include <xxhash.h>
/* There only where the library was built with it. */
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif
