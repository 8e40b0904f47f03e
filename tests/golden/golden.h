/* golden: one filled message of each type, made from its descriptor: text fields hold their own
 * name, numbers a hash of it, so that a renumbered field shows. Only tests; any thread. */
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "common/base/buf.h"

#define GOLDEN_MAX (64 << 10) /* bytes of one message */

/* All bodies of the envelope first, then the messages of the files workload. */
size_t golden_count(void);
/* "hello", "SendOrder": the file is NAME.bin. */
const char *golden_name(size_t i);
/* What the file holds: the envelope, or the message itself. */
const ProtobufCMessageDescriptor *golden_descriptor(size_t i);
/* Appends the packed message to b. */
void golden_pack(size_t i, struct buf *b);
/* The same by name; aborts when there is none. */
void golden_pack_name(const char *name, struct buf *b);
