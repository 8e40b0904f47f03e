/* scan: limits before allocation. Not a decoder; any thread. */
#include "common/wire/scan.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/wire/limits.h"

#define MAX_DEPTH 6    /* the schema's deepest message is shallower; recursion is banned from it */
#define MAX_FIELDS 128 /* of one descriptor: the schema's largest has 24 */

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* Bytes of the UTF-8 sequence at p, 0 when it is none (overlong, surrogate, out of range, cut). */
static size_t utf8_step(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || want > n)
        return 0;
    for (size_t i = 1; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || outside ? 0 : want;
}

static bool is_control(uint8_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

/* Text reaches terminals and JSON: neither may be steered by a peer. NUL would hide what follows.
 */
static void scan_text(struct scan *s, const uint8_t *p, size_t n)
{
    for (size_t i = 0, step; i < n; i += step) {
        step = utf8_step(p + i, n - i);
        if (step > 0 && !is_control(p[i]))
            continue;
        step = 1;
        s->dirty = true;
        if (s->scrub)
            s->scrub[(size_t)(p - s->base) + i] = '?';
    }
}

static const struct scan_limit *limit_of(const struct scan *s, const ProtobufCMessageDescriptor *d,
                                         const ProtobufCFieldDescriptor *f)
{
    for (const struct scan_limit *l = s->limits; l->message; l++) {
        if (l->message == d && strcmp(l->field, f->name) == 0)
            return l;
    }
    return NULL;
}

static enum wire_type type_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return BYTES;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return FIXED32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return FIXED64;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
    default:
        return VARINT;
    }
}

/* The value's bytes for BYTES, NULL with *retlen 0 for the rest; c->bad when cut. */
static const uint8_t *skip_value(struct cursor *c, uint64_t wire_type, size_t *retlen)
{
    *retlen = 0;
    switch (wire_type) {
    case VARINT:
        (void)cursor_varint(c);
        return NULL;
    case FIXED64:
        (void)cursor_u64(c);
        return NULL;
    case FIXED32:
        (void)cursor_u32(c);
        return NULL;
    case BYTES:
        return cursor_blob(c, LIMIT_CONTROL_BYTES, retlen);
    default: /* groups, and numbers that mean nothing */
        c->bad = true;
        return NULL;
    }
}

static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessageDescriptor *d, uint64_t id)
{
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (d->fields[i].id == id)
            return &d->fields[i];
    }
    return NULL;
}

/* One message's counts: how often each field was seen, and members of its oneof. */
struct seen {
    uint32_t count[MAX_FIELDS];
    unsigned oneof;
};

static bool may_come_again(const struct scan *s, const ProtobufCMessageDescriptor *d,
                           const ProtobufCFieldDescriptor *f, struct seen *seen)
{
    size_t n = ++seen->count[f - d->fields];
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && ++seen->oneof > 1)
        return false;
    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return n == 1;
    const struct scan_limit *l = limit_of(s, d, f);
    return l && n <= l->max_count;
}

static int scan_level(struct scan *s, const ProtobufCMessageDescriptor *d, struct cursor c,
                      unsigned depth);

static int scan_value(struct scan *s, const ProtobufCMessageDescriptor *d,
                      const ProtobufCFieldDescriptor *f, struct cursor value, unsigned depth)
{
    const struct scan_limit *l = limit_of(s, d, f);
    size_t len = cursor_left(&value), max = l ? l->max_len : 0;
    if (max == 0)
        max = f->type == PROTOBUF_C_TYPE_STRING ? LIMIT_STRING : LIMIT_CONTROL_BYTES;
    if (len > max)
        return -EBADMSG;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return scan_level(s, f->descriptor, value, depth + 1);
    if (f->type == PROTOBUF_C_TYPE_STRING)
        scan_text(s, value.at, len);
    return 0;
}

static int scan_level(struct scan *s, const ProtobufCMessageDescriptor *d, struct cursor c,
                      unsigned depth)
{
    struct seen seen = {.oneof = 0};
    if (depth > MAX_DEPTH || d->n_fields > MAX_FIELDS)
        return -EBADMSG;
    while (cursor_left(&c)) {
        uint64_t tag = cursor_varint(&c);
        const ProtobufCFieldDescriptor *f = field_of(d, tag >> 3);
        size_t len = 0;
        const uint8_t *p = skip_value(&c, tag & 7, &len);
        if (c.bad || tag >> 3 == 0 || ++s->fields > s->max_fields)
            return -EBADMSG;
        if (!f)
            continue;
        if ((tag & 7) != type_of(f) || !may_come_again(s, d, f, &seen))
            return -EBADMSG;
        int rc = (tag & 7) == BYTES ? scan_value(s, d, f, cursor_of(p, len), depth) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int scan_message(struct scan *s, const ProtobufCMessageDescriptor *d, const void *data, size_t len)
{
    s->base = data;
    s->fields = 0;
    s->dirty = false;
    return scan_level(s, d, cursor_of(data, len), 1);
}
