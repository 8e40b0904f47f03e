/* compress: LZ4 of one lane's records, and whether to try. One thread, the lane's. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/transfer/spec.h"
#include "common/base/buf.h"

struct compress {
    enum compress_policy policy;
    atomic_bool link_bound; /* set from outside: sends wait for the link most of the time */
    unsigned skip;          /* records still to be left alone after a poor result */
};

/* True: *ret holds LANE_HEADER_BYTES of room, the raw length and the packed body. */
bool compress_record(struct compress *c, const uint8_t *body, size_t len, struct buf *ret);
/* Hostile bytes into to[max]; *retlen. -EBADMSG. */
int compress_open(const uint8_t *body, size_t len, uint8_t *to, size_t max, size_t *retlen);
