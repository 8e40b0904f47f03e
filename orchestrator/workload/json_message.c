/* json_message: fields by protobuf's own description. Main thread. */
#include "orchestrator/workload/json_message.h"

#include <stdint.h>
#include <string.h>

#include "common/base/mem.h"

/* What one value takes in its struct; 0: of a kind that is not taken. */
static size_t size_of(ProtobufCType t)
{
    if (t == PROTOBUF_C_TYPE_UINT64 || t == PROTOBUF_C_TYPE_SINT64)
        return sizeof(uint64_t);
    if (t == PROTOBUF_C_TYPE_UINT32 || t == PROTOBUF_C_TYPE_ENUM)
        return sizeof(uint32_t);
    if (t == PROTOBUF_C_TYPE_BOOL)
        return sizeof(protobuf_c_boolean);
    return t == PROTOBUF_C_TYPE_STRING || t == PROTOBUF_C_TYPE_MESSAGE ? sizeof(void *) : 0;
}

/* As message_json() writes it: "live-vsm" for LIVE_VSM. 0 where there is no such value. */
static uint32_t enum_of(const ProtobufCEnumDescriptor *d, const json_t *v)
{
    const char *text = json_string_value(v);
    for (unsigned i = 0; text && i < d->n_values; i++) {
        const char *a = d->values[i].name, *b = text;
        while (*a && *b && (*a == '_' ? '-' : *a >= 'A' && *a <= 'Z' ? *a - 'A' + 'a' : *a) == *b) {
            a++;
            b++;
        }
        if (!*a && !*b)
            return (uint32_t)d->values[i].value;
    }
    return 0;
}

static void put_value(const ProtobufCFieldDescriptor *f, const json_t *v, void *at)
{
    json_int_t n = json_integer_value(v);
    protobuf_c_boolean b = json_is_true(v);
    uint32_t n32 = n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
    void *p = NULL;
    if (f->type == PROTOBUF_C_TYPE_ENUM && json_is_string(v))
        n32 = enum_of(f->descriptor, v);
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        p = xstrdup(json_is_string(v) ? json_string_value(v) : "");
        memcpy(at, &p, sizeof p);
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        p = json_message(f->descriptor, v);
        memcpy(at, &p, sizeof p);
    } else if (f->type == PROTOBUF_C_TYPE_BOOL) {
        memcpy(at, &b, sizeof b);
    } else if (size_of(f->type) == sizeof n32) {
        memcpy(at, &n32, sizeof n32);
    } else if (size_of(f->type) == sizeof n) {
        memcpy(at, &n, sizeof n);
    }
}

static void put_list(const ProtobufCFieldDescriptor *f, const json_t *list, ProtobufCMessage *m)
{
    size_t n = json_array_size(list), size = size_of(f->type);
    if (n == 0 || size == 0)
        return;
    char *items = xcalloc(n, size);
    for (size_t i = 0; i < n; i++)
        put_value(f, json_array_get(list, i), items + i * size);
    memcpy((char *)m + f->quantifier_offset, &n, sizeof n);
    memcpy((char *)m + f->offset, &items, sizeof items);
}

ProtobufCMessage *json_message(const ProtobufCMessageDescriptor *d, const json_t *j)
{
    ProtobufCMessage *m = xcalloc(1, d->sizeof_message);
    protobuf_c_message_init(d, m);
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        const json_t *v = json_object_get(j, f->name);
        if (f->label == PROTOBUF_C_LABEL_REPEATED)
            put_list(f, v, m);
        else if (v && !json_is_null(v))
            put_value(f, v, (char *)m + f->offset);
    }
    return m;
}
