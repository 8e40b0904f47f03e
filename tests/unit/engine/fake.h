/* fake: a fleet of made-up agents for the engine's tests: fleet.h without sockets, and agents that
 * answer orders from an op log that survives the engine's process. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/fault.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/store/store.h"
#include "proto/envelope.pb-c.h"

#define FAKE_OPS 65536
#define FAKE_HOSTS 64

struct fake_op {
    char op_id[17], host[64], kind[32], only_cause[32];
    unsigned orders; /* how often it was ordered */
    char stage[128]; /* of identity.stage and vm.stage; several with + between them */
    int action;
    bool source, planned; /* planned: the order has a plan with moves */
    bool sight_only;      /* of vm.look */
    uint32_t silence_s;
    bool accepted, over, acknowledged, cancelled, only_failed;
    int why;                   /* of the cancel */
    uint32_t latency_us, pace; /* what it tells with its progress */
    unsigned rates;            /* how often it was told one, order included */
    bool limited;
    uint64_t rate;
    size_t nwindows;
    struct {
        int64_t from_ms;
        bool limited;
        uint64_t rate;
    } window[8];
};

struct fake_host {
    char name[64];
    bool online, unknown, old; /* old: cannot keep rates */
    uint32_t lane_port;        /* 0: 7410 */
    uint8_t lane_key;          /* another one, another key */
    int64_t seen_ms;
};

/* Do the made-up servers belong to a domain? */
extern bool fake_member;

/* How an agent ends a step. NULL script: DONE. */
struct fake_answer {
    bool silent; /* no result */
    Godwit__Result__Status status;
    enum fault_class next;
    int err;
    const char *text;
    uint64_t failed; /* items, as one failure group */
};
typedef struct fake_answer (*fake_script)(const struct fake_op *op, unsigned nth_of_kind);

/* Lives in shared memory: a killed child leaves it to the next. */
struct fleet {
    struct fake_op ops[FAKE_OPS];
    size_t nops;
    struct fake_host hosts[FAKE_HOSTS];
    size_t nhosts;
    unsigned most_on_host, most; /* steps that ran at once, with step_ms > 0 */
    bool full;                   /* fleet_send says -EAGAIN */
};

#define FAKE_BODY 4096
/* What a test's agents say in their results; 0: what fake.c has them say. NULL: always that. */
extern size_t (*fake_body)(const struct fake_op *op, uint8_t ret[FAKE_BODY]);

struct fleet *fake_fleet(void);
void fake_fleet_free(struct fleet *f);
struct fake_host *fake_host_named(struct fleet *f, const char *name);

/* Events, as the real fleet raises them. */
void fake_online(struct fleet *f, const char *host); /* says hello with what its op log holds */
void fake_lost(struct fleet *f, const char *host);
void fake_revoke(struct fleet *f, const char *host);
/* One step's voice. */
void fake_accept(struct fleet *f, struct fake_op *op);
void fake_progress(struct fleet *f, struct fake_op *op, const Godwit__Counters *c);
void fake_finish(struct fleet *f, struct fake_op *op, struct fake_answer a);
/* Every open op of a host that is there is answered. Returns how many. */
size_t fake_pump(struct fleet *f, fake_script script);
struct fake_op *fake_last(struct fleet *f, const char *kind);
size_t fake_count(struct fleet *f, const char *kind);
