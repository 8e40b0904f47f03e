/* image_new: an empty disk image, thin: raw with one hole, or qcow2 with nothing in it but its own
 * tables. Written by ourselves, so that no tool has to be there. Worker threads. */
#pragma once
#include <stdint.h>

#define IMAGE_BYTES_MAX (1ULL << 50)

/* What it is to stand on. */
struct image_below {
    const char *path, *format;
};
/* path must not exist. format "raw" or "qcow2"; else -EOPNOTSUPP. below: NULL: it stands alone;
 * only with qcow2. Durable when it returns. */
int image_new(const char *path, const char *format, uint64_t bytes,
              const struct image_below *below);
