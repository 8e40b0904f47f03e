/* packed: console arguments that are larger than a message, as an LZ4 block. Any thread. */
#pragma once
#include "proto/console.pb-c.h"

/* Fills packed and packed_size (packed is malloc'd) from a text. -E2BIG: too large even so. */
int packed_put(Godwit__ConsoleArg *a, const char *text);

/* Of bytes from a stranger: value is what was packed in, for protobuf-c to free. At most one
 * argument may be packed. 0, -EBADMSG, -EMSGSIZE: then the request is not to be looked at. */
int packed_open(Godwit__ConsoleRequest *req);
