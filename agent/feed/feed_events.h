/* feed_events: what fanotify says, as records of the list of changes. Reads no files; any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/feed/feed_log.h"

/* What a feed asks the kernel for. Kernels before 5.17 know no renames in one event. */
#define FEED_RENAME 0x10000000ULL
#define FEED_EVENTS                                                                                \
    (FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM |        \
     FAN_MOVED_TO | FAN_ONDIR)

/* One buffer of a group with FAN_REPORT_DFID_NAME and FAN_REPORT_FID. False: something in it could
 * not be understood, or the kernel says that it lost events: nothing is certain any more. */
bool feed_events_parse(const void *data, size_t len,
                       void (*fn)(void *arg, const struct feed_record *r), void *arg);
