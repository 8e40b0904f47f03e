/* golden: fills messages by reflection. Writes wire bytes itself, so that protobuf-c's packer is
 * checked against a second opinion. Only tests; any thread. */
#include "tests/golden/golden.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "proto/access.pb-c.h"
#include "proto/accounts.pb-c.h"
#include "proto/envelope.pb-c.h"
#include "proto/files.pb-c.h"
#include "proto/quota.pb-c.h"
#include "proto/shares.pb-c.h"
#include "proto/vm_look.pb-c.h"

static const ProtobufCMessageDescriptor *const files[] = {
    &godwit__inventory_order__descriptor,
    &godwit__inventory_result__descriptor,
    &godwit__ticket__descriptor,
    &godwit__transfer_options__descriptor,
    &godwit__receive_order__descriptor,
    &godwit__send_order__descriptor,
    &godwit__prepare_order__descriptor,
    &godwit__prepare_result__descriptor,
    &godwit__clean_order__descriptor,
    &godwit__failures_order__descriptor,
    &godwit__failures_result__descriptor,
    &godwit__lane_hello__descriptor,
    &godwit__lane_welcome__descriptor,
    &godwit__verify_order__descriptor,
    &godwit__verify_result__descriptor,
    &godwit__sign_order__descriptor,
    &godwit__sign_result__descriptor,
    &godwit__seal_order__descriptor,
    &godwit__host_order__descriptor,
    &godwit__host_result__descriptor,
    &godwit__shares_order__descriptor,
    &godwit__shares_inventory__descriptor,
    &godwit__share_apply_order__descriptor,
    &godwit__share_apply_result__descriptor,
    &godwit__probe_order__descriptor,
    &godwit__probe_result__descriptor,
    &godwit__vm_inventory__descriptor,
    &godwit__vm_look_order__descriptor,
    &godwit__vm_look__descriptor,
    &godwit__vm_check_order__descriptor,
    &godwit__vm_check__descriptor,
    &godwit__vm_mark_order__descriptor,
    &godwit__vm_marks__descriptor,
    &godwit__vm_move_order__descriptor,
    &godwit__vm_move_answer__descriptor,
    &godwit__accounts_result__descriptor,
    &godwit__accounts_order__descriptor,
    &godwit__accounts_applied__descriptor,
    &godwit__accounts_lane_order__descriptor,
    &godwit__account_secrets__descriptor,
    &godwit__accounts_taken__descriptor,
    &godwit__identities_order__descriptor,
    &godwit__identities__descriptor,
    &godwit__access_order__descriptor,
    &godwit__access_result__descriptor,
    &godwit__map_order__descriptor,
    &godwit__map_page__descriptor,
    &godwit__quota_order__descriptor,
    &godwit__quota_result__descriptor,
};

static bool is_body(const ProtobufCFieldDescriptor *f)
{
    return f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

static const ProtobufCFieldDescriptor *body_of(size_t i)
{
    const ProtobufCMessageDescriptor *d = &godwit__envelope__descriptor;
    for (unsigned n = 0; n < d->n_fields; n++) {
        if (is_body(&d->fields[n]) && i-- == 0)
            return &d->fields[n];
    }
    return NULL;
}

static size_t body_count(void)
{
    size_t n = 0;
    while (body_of(n))
        n++;
    return n;
}

size_t golden_count(void)
{
    return body_count() + ARRAY_SIZE(files);
}

const char *golden_name(size_t i)
{
    const ProtobufCFieldDescriptor *body = body_of(i);
    return body ? body->name : files[i - body_count()]->short_name;
}

const ProtobufCMessageDescriptor *golden_descriptor(size_t i)
{
    return body_of(i) ? &godwit__envelope__descriptor : files[i - body_count()];
}

/* FNV-1a: any stable number that differs between fields. */
static uint64_t hash(const char *name)
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3ULL;
    return h | 1;
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static uint64_t number_of(const ProtobufCFieldDescriptor *f)
{
    uint64_t h = hash(f->name);
    const ProtobufCEnumDescriptor *e = f->descriptor;
    if (f->type == PROTOBUF_C_TYPE_BOOL)
        return 1;
    if (f->type == PROTOBUF_C_TYPE_ENUM)
        return (uint64_t)e->values[1].value;
    if (f->type == PROTOBUF_C_TYPE_UINT32)
        return strcmp(f->name, "version") == 0 ? WIRE_VERSION : (uint32_t)h;
    if (f->type == PROTOBUF_C_TYPE_SINT64)
        return zigzag(-(int64_t)(h >> 1));
    if (f->type == PROTOBUF_C_TYPE_SINT32)
        return zigzag(-(int64_t)(h >> 33));
    if (f->type == PROTOBUF_C_TYPE_UINT64)
        return h;
    abort(); /* a type that is new to the schema: give it a value here */
}

static void put_message(struct buf *b, const ProtobufCMessageDescriptor *d,
                        const ProtobufCFieldDescriptor *body);

static void put_tag(struct buf *b, const ProtobufCFieldDescriptor *f, unsigned wire_type)
{
    buf_put_varint(b, (uint64_t)f->id << 3 | wire_type);
}

static void put_value(struct buf *b, const ProtobufCFieldDescriptor *f)
{
    struct buf inner;
    buf_init(&inner, GOLDEN_MAX);
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        put_message(&inner, f->descriptor, NULL);
    else if (f->type == PROTOBUF_C_TYPE_BYTES)
        while (inner.len < 32) /* keys, pins and secrets have this length */
            buf_put_u8(&inner, (uint8_t)f->name[inner.len % strlen(f->name)]);
    else
        buf_put(&inner, f->name, strlen(f->name));
    put_tag(b, f, 2);
    buf_put_blob(b, inner.data, inner.len);
    buf_done(&inner);
}

static void put_packed(struct buf *b, const ProtobufCFieldDescriptor *f)
{
    struct buf inner;
    buf_init(&inner, GOLDEN_MAX);
    for (uint64_t i = 0; i < 3; i++)
        buf_put_varint(&inner, number_of(f) >> (20 * i));
    put_tag(b, f, 2);
    buf_put_blob(b, inner.data, inner.len);
    buf_done(&inner);
}

static void put_field(struct buf *b, const ProtobufCFieldDescriptor *f)
{
    bool again = f->label == PROTOBUF_C_LABEL_REPEATED;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_PACKED) {
        put_packed(b, f);
    } else if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES ||
               f->type == PROTOBUF_C_TYPE_MESSAGE) {
        put_value(b, f);
        if (again)
            put_value(b, f);
    } else {
        put_tag(b, f, 0);
        buf_put_varint(b, number_of(f));
    }
}

/* Fields in the order of their numbers, as packers write them; of a oneof only the named one. */
static void put_message(struct buf *b, const ProtobufCMessageDescriptor *d,
                        const ProtobufCFieldDescriptor *body)
{
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (!is_body(&d->fields[i]) || &d->fields[i] == body)
            put_field(b, &d->fields[i]);
    }
}

void golden_pack(size_t i, struct buf *b)
{
    put_message(b, golden_descriptor(i), body_of(i));
}

void golden_pack_name(const char *name, struct buf *b)
{
    for (size_t i = 0; i < golden_count(); i++) {
        if (strcmp(golden_name(i), name) == 0) {
            golden_pack(i, b);
            return;
        }
    }
    abort();
}
