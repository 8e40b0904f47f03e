/* json_message: message_json's other direction, for what was kept as JSON. Main thread. */
#pragma once
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

/* A message of that kind with what j has of its fields; others keep their defaults. Bytes are not
 * taken. Freed with protobuf_c_message_free_unpacked(). */
ProtobufCMessage *json_message(const ProtobufCMessageDescriptor *d, const json_t *j);
