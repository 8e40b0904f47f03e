/* scan: walks packed protobuf bytes beside their descriptor and refuses what breaks a limit, before
 * protobuf-c allocates anything. Knows shapes, not meanings. Any thread. */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A limit that differs from the defaults: strings LIMIT_STRING, bytes no limit of their own,
 * repeated fields none at all. */
struct scan_limit {
    const ProtobufCMessageDescriptor *message;
    const char *field;
    size_t max_len;   /* bytes of one value; 0: the default */
    size_t max_count; /* of a repeated field */
};

struct scan {
    const struct scan_limit *limits; /* ends with message NULL */
    size_t max_fields;               /* in the whole message */
    uint8_t *scrub;                  /* writable copy of the bytes: bad text becomes '?' in it */
    const uint8_t *base;             /* start of the bytes; set by scan_message() */
    size_t fields;                   /* seen so far */
    bool dirty;                      /* some string is not clean UTF-8 text */
};

/* 0, or -EBADMSG: truncated, wrong wire type, a singular field or a second oneof member twice, a
 * limit broken, deeper than the schema. Fields that the descriptor does not know are skipped but
 * counted. */
int scan_message(struct scan *s, const ProtobufCMessageDescriptor *d, const void *data, size_t len);
