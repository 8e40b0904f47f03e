/* rate: bytes a second as people write them. Any thread. */
#pragma once
#include <stdint.h>

#include "common/base/bucket.h"

#define RATE_UNLIMITED BUCKET_UNLIMITED

/* "200MiB/s", "1GB/s", "100Mbit/s" (bits count 8 to a byte), "none" (0: nothing may go),
 * "unlimited". -EINVAL for all else, also for less than 1 KiB/s, with which nothing would ever end,
 * and for more than 1 TiB/s. */
int rate_parse(const char *text, uint64_t *ret);
/* The shortest form: "100 MiB/s", "12.5 MB/s", "none", "unlimited". */
void rate_text(uint64_t rate, char ret[24]);
