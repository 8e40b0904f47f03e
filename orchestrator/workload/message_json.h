/* message_json: any result body as JSON, field by field, by protobuf's own description. Main
 * thread. */
#pragma once
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

/* Texts printable, numbers as they are, enums by name in small letters, bytes left out, messages as
 * objects; what is not set is null. New reference. */
json_t *message_json(const ProtobufCMessage *m);
