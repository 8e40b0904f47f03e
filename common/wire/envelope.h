/* envelope: packs and unpacks the one frame of a ZeroMQ message, refusing what its sender's role
 * may not say and whatever breaks a limit. Knows no sockets. Any thread. */
#pragma once
#include <czmq.h>

#include "common/base/cleanup.h"
#include "proto/envelope.pb-c.h"

/* Who sent it. Each role has a list of the types that it may send; all else is -EPERM. */
enum wire_role {
    WIRE_ENROLEE,      /* unknown key on the enrolment socket */
    WIRE_AGENT,        /* listed key on the agents socket */
    WIRE_CONSOLE,      /* listed key on the console socket */
    WIRE_ORCHESTRATOR, /* what an agent, an enrolee or a console hears */
};

/* *ret is freed with wire_free(). -EMSGSIZE over the role's size; -EBADMSG not a message, or a
 * field over its limit, or no body; -EPROTONOSUPPORT version below WIRE_VERSION_MIN; -EPERM type
 * not in the role's list. Text that is not clean UTF-8 arrives with '?' in its place (console:
 * -EBADMSG). */
int wire_unpack(const void *data, size_t len, enum wire_role from, Godwit__Envelope **ret);
void wire_free(Godwit__Envelope *e); /* NULL is fine */
DEFINE_CLEANUP(wire_free, Godwit__Envelope *)

/* Sets version; the caller owns the frame. Aborts on a message over LIMIT_CONTROL_BYTES. */
zframe_t *wire_pack(const Godwit__Envelope *e);

/* The name of a body's type for logs: "hello". */
const char *wire_type_name(Godwit__Envelope__BodyCase type);

/* For a message's fields, which packing only reads. */
char *wire_text(const char *text);

/* Fills *ret and *body (the caller's) as a refusal; text is borrowed. */
void wire_refusal(Godwit__Envelope *ret, Godwit__Refusal *body, Godwit__Refusal__Code code,
                  const char *text);
