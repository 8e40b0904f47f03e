/* message_json: any result body as JSON. Main thread. */
#include "orchestrator/workload/message_json.h"

#include <stdint.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define LIST_MAX 2048 /* of one field: more is the agent's mistake */

/* Larger than JSON's integers can be: a lie of the agent, shown as the largest. */
static json_t *unsigned_json(uint64_t v)
{
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *text_json(const char *s)
{
    CLEANUP(mem_free) char *text = text_printable(s ? s : "", s ? strlen(s) : 0);
    return json_string(text);
}

static size_t size_of(ProtobufCType t)
{
    switch (t) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
    default:
        return 4;
    }
}

/* "RUNNING" as "running", also for what is unspecified; a number that is not known as a number. */
static json_t *enum_json(const ProtobufCEnumDescriptor *d, int32_t v)
{
    const ProtobufCEnumValue *e = protobuf_c_enum_descriptor_get_value(d, v);
    char name[64];
    size_t n = 0;
    if (!e)
        return json_integer(v);
    for (const char *p = v == 0 ? "unknown" : e->name; *p && n < sizeof name - 1; p++)
        name[n++] = (char)(*p == '_' ? '-' : *p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    name[n] = '\0';
    return json_string(name);
}

/* NULL: nothing to be shown. */
static json_t *value_json(const ProtobufCFieldDescriptor *f, const void *at)
{
    ProtobufCType t = f->type;
    union {
        uint64_t u64;
        int64_t i64;
        uint32_t u32;
        int32_t i32;
        protobuf_c_boolean b;
        const char *s;
        const ProtobufCMessage *m;
    } v = {.u64 = 0};
    if (t == PROTOBUF_C_TYPE_BYTES)
        return NULL;
    memcpy(&v, at, size_of(t));
    switch (t) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return unsigned_json(v.u64);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_integer((json_int_t)v.i64);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer((json_int_t)v.u32);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer((json_int_t)v.i32);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_json(f->descriptor, v.i32);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(v.b);
    case PROTOBUF_C_TYPE_STRING:
        return text_json(v.s);
    case PROTOBUF_C_TYPE_MESSAGE:
        return v.m ? message_json(v.m) : json_null();
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_BYTES:
    default:
        return NULL;
    }
}

static json_t *list_json(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    json_t *list = json_array();
    size_t n = 0;
    const char *items = NULL;
    memcpy(&n, (const char *)m + f->quantifier_offset, sizeof n);
    memcpy(&items, (const char *)m + f->offset, sizeof items);
    for (size_t i = 0; i < n && i < LIST_MAX; i++)
        (void)json_array_append_new(list, value_json(f, items + i * size_of(f->type)));
    return list;
}

json_t *message_json(const ProtobufCMessage *m)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        json_t *v = f->label == PROTOBUF_C_LABEL_REPEATED
                        ? list_json(m, f)
                        : value_json(f, (const char *)m + f->offset);
        if (v)
            (void)json_object_set_new(o, f->name, v);
    }
    return o;
}
