/* envelope: the gate that every control message passes, in and out. Knows no sockets. Any thread.
 */
#include "common/wire/envelope.h"

#include <errno.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "common/wire/scan.h"

#define TYPE(t) (1ULL << GODWIT__ENVELOPE__BODY_##t)

/* What each role may say. Types are numbered below 64 so that a set is one word. */
static const struct role {
    uint64_t types;
    size_t max_bytes;
    size_t max_fields;
    bool scrub; /* repair foreign text; else refuse the message */
} roles[] = {
    [WIRE_ENROLEE] = {TYPE(ENROL_REQUEST),                                                            LIMIT_ENROL_BYTES,   64,   true },
    [WIRE_AGENT] = {TYPE(HELLO) | TYPE(HEARTBEAT) | TYPE(GOODBYE) | TYPE(REFUSAL) | TYPE(ACCEPTED) |
                        TYPE(PROGRESS) | TYPE(RESULT) | TYPE(ROTATE_KEY_REPLY),
                      LIMIT_CONTROL_BYTES,                                                                                 8192, true },
    [WIRE_CONSOLE] = {TYPE(CONSOLE_REQUEST),                                                          LIMIT_CONTROL_BYTES, 512,  false},
    [WIRE_ORCHESTRATOR] = {TYPE(WELCOME) | TYPE(HEARTBEAT_REPLY) | TYPE(GOODBYE) | TYPE(REFUSAL) |
                               TYPE(ORDER) | TYPE(CANCEL) | TYPE(RESULT_ACK) | TYPE(RATE) |
                               TYPE(ROTATE_KEY) | TYPE(SERVER_KEYS) | TYPE(ENROL_REPLY) |
                               TYPE(CONSOLE_REPLY),
                      LIMIT_CONTROL_BYTES,                                                                                 512,  true },
};

#define LIMIT(msg, name, len, n)                                                                   \
    {                                                                                              \
        &godwit__##msg##__descriptor, name, len, n                                                 \
    }

static const struct scan_limit limits[] = {
    LIMIT(envelope, "op_id", 32, 0),
    LIMIT(envelope, "trace_id", 64, 0),
    LIMIT(hello, "running", 32, LIMIT_RUNNING),
    LIMIT(hello, "finished", 32, LIMIT_RUNNING),
    LIMIT(hello, "lane_pin", 32, 0),
    LIMIT(hello, "sign_key", 32, 0),
    LIMIT(hello, "instance", 64, 0),
    LIMIT(result, "failures", 0, LIMIT_FAILURE_GROUPS),
    LIMIT(failure_group, "examples", LIMIT_PATH, LIMIT_FAILURE_EXAMPLES),
    LIMIT(rate, "next", 0, LIMIT_RATE_WINDOWS),
    LIMIT(credential, "secret", LIMIT_SECRET, 0),
    LIMIT(credential, "user", LIMIT_USER, 0),
    LIMIT(server_keys, "keys", 0, LIMIT_SERVER_KEYS),
    LIMIT(server_key, "public_key", 32, 0),
    LIMIT(rotate_key_reply, "public_key", 32, 0),
    LIMIT(enrol_request, "token_id", 32, 0),
    LIMIT(enrol_request, "secret", 32, 0),
    LIMIT(console_request, "command", 64, 0),
    LIMIT(console_request, "args", 0, LIMIT_CONSOLE_ARGS),
    LIMIT(console_arg, "name", 64, 0),
    LIMIT(console_arg, "value", LIMIT_CONSOLE_ARG, 0),
    LIMIT(console_arg, "packed", LIMIT_CONSOLE_PACKED, 0),
    {NULL, NULL, 0, 0},
};

/* Some bytes that scan well are still refused by protobuf-c; both must agree to let one in. */
static int unpack_checked(const uint8_t *data, size_t len, const struct role *role,
                          Godwit__Envelope **ret)
{
    struct scan s = {.limits = limits, .max_fields = role->max_fields};
    int rc = scan_message(&s, &godwit__envelope__descriptor, data, len);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) uint8_t *copy = NULL;
    if (s.dirty) {
        if (!role->scrub)
            return -EBADMSG;
        s.scrub = copy = xmemdup(data, len);
        (void)scan_message(&s, &godwit__envelope__descriptor, data, len);
    }
    Godwit__Envelope *e = godwit__envelope__unpack(NULL, len, copy ? copy : data);
    if (!e)
        return -EBADMSG;
    *ret = e;
    return 0;
}

int wire_unpack(const void *data, size_t len, enum wire_role from, Godwit__Envelope **ret)
{
    const struct role *role = &roles[from];
    if (len > role->max_bytes)
        return -EMSGSIZE;
    Godwit__Envelope *e = NULL;
    int rc = unpack_checked(data, len, role, &e);
    if (rc < 0)
        return rc;
    if (e->version < WIRE_VERSION_MIN)
        rc = -EPROTONOSUPPORT;
    else if (e->body_case == GODWIT__ENVELOPE__BODY__NOT_SET || e->body_case > 63)
        rc = -EBADMSG;
    else if (!(role->types & 1ULL << e->body_case))
        rc = -EPERM;
    if (rc < 0) {
        wire_free(e);
        return rc;
    }
    *ret = e;
    return 0;
}

void wire_free(Godwit__Envelope *e)
{
    if (e)
        godwit__envelope__free_unpacked(e, NULL);
}

zframe_t *wire_pack(const Godwit__Envelope *e)
{
    Godwit__Envelope out = *e;
    out.version = WIRE_VERSION;
    size_t n = godwit__envelope__get_packed_size(&out);
    if (n > LIMIT_CONTROL_BYTES)
        abort(); /* a peer would refuse it for ever: a bug of ours, not weather */
    zframe_t *frame = zframe_new(NULL, n);
    (void)godwit__envelope__pack(&out, zframe_data(frame));
    return frame;
}

const char *wire_type_name(Godwit__Envelope__BodyCase type)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field(&godwit__envelope__descriptor, (unsigned)type);
    return f && type >= GODWIT__ENVELOPE__BODY_HELLO ? f->name : "unknown";
}

char *wire_text(const char *text)
{
    char *same;
    memcpy(&same, &text, sizeof same);
    return same;
}

void wire_refusal(Godwit__Envelope *ret, Godwit__Refusal *body, Godwit__Refusal__Code code,
                  const char *text)
{
    *body = (Godwit__Refusal)GODWIT__REFUSAL__INIT;
    body->code = code;
    body->text = wire_text(text);
    *ret = (Godwit__Envelope)GODWIT__ENVELOPE__INIT;
    ret->body_case = GODWIT__ENVELOPE__BODY_REFUSAL;
    ret->refusal = body;
}
