/* feed_priv: records to paths, for feed.c and its tests. */
#pragma once
#include <stdint.h>

struct feed_list;
struct feed_root;

/* The list of what [from, to) of a log says of root. NULL: *ret is settled; else why that cannot be
 * said: a static string. */
const char *feed_resolve(int log_fd, uint64_t from, uint64_t to, const struct feed_root *root,
                         struct feed_list **ret);
