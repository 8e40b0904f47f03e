/* zone: offsets from UTC of a time zone, read from the system's database (TZif). Knows no calendar,
 * and leaves the process's own zone alone. Any thread once it is open. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct zone;

#define ZONE_NAME_MAX 64

/* NULL or "": this machine's (TZ, else /etc/localtime, else UTC). -EINVAL: no zone's name; -ENOENT:
 * the database has none of that name; -EBADMSG: its file is damaged. */
int zone_open(const char *name, struct zone **ret);
/* The file's content; for tests. */
int zone_of(const void *data, size_t len, struct zone **ret);
struct zone *zone_free(struct zone *z);
DEFINE_CLEANUP(zone_free, struct zone *)

/* Seconds east of UTC at that time (seconds since 1970). */
int32_t zone_offset(const struct zone *z, int64_t utc_s);
