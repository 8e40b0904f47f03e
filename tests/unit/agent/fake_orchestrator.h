/* fake_orchestrator: a ROUTER with CURVE and our ZAP handler, moved by hand from a test; and an
 * agent loop on a thread that dials it. Only for tests. */
#pragma once
#include <czmq.h>
#include <pthread.h>
#include <stdint.h>

#include "agent/step.h"
#include "common/wire/curve.h"
#include "common/wire/zap.h"
#include "proto/envelope.pb-c.h"

struct fake {
    char *dir; /* state directory of the agent */
    struct zap *zap;
    zsock_t *router;
    int port;
    struct curve_key key;
    struct curve_key agent_key;
    zframe_t *peer; /* whom we last heard */
    char user[64];  /* its User-Id */
    uint64_t epoch;
    uint32_t heartbeat_ms;
    int64_t clock_ahead_ms; /* of the agent's */
    int64_t deadline_ms;    /* of orders, by this orchestrator's clock; 0: none */

    const struct step_kind *kinds;
    pthread_t thread;
    int stop_fd;
    int rc;
};

/* State directory with key and orchestrator.json, ROUTER bound on loopback. */
void fake_new(struct fake *f, const struct step_kind *kinds);
void fake_free(struct fake *f);
void fake_bind(struct fake *f);   /* again on the same port, with f->key */
void fake_unbind(struct fake *f); /* the orchestrator is away */
void fake_write_home(struct fake *f);
void fake_agent_start(struct fake *f);
void fake_agent_stop(struct fake *f);

/* The next message of this type within 5 s (others are dropped); NULL: none came. wire_free() it.
 */
Godwit__Envelope *fake_await(struct fake *f, Godwit__Envelope__BodyCase type);
Godwit__Envelope *fake_await_for(struct fake *f, Godwit__Envelope__BodyCase type, int64_t ms);
void fake_send(struct fake *f, Godwit__Envelope *e);
void fake_welcome(struct fake *f, Godwit__ServerKeys *keys); /* keys NULL: none */
void fake_greet(struct fake *f); /* awaits hello, answers with welcome */
void fake_order(struct fake *f, const char *op_id, const char *kind);
void fake_ack(struct fake *f, const char *op_id);
void fake_refuse(struct fake *f, Godwit__Refusal__Code code);
