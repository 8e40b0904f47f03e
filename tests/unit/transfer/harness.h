/* harness: one transfer between two folders of this machine: both steps, a lane server on loopback,
 * and a struct step that stands in for the agent's. Tests and the pipe program. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/step.h"
#include "agent/transfer/spec.h"

struct harness {
    const char *source, *destination; /* absolute */
    const char *state;                /* folder for keys and both sides' state */
    uint16_t port;                    /* 0: any */
    struct feed *feed;                /* of the source; NULL: none */
    bool unprivileged;                /* as if not root */
    struct transfer_options options;
    uint64_t rate;                       /* bytes a second that the source may send; 0: any */
    bool verbose;                        /* progress to standard error */
    const struct source_ops *own_source; /* in the folder's place; NULL: the folder */
};

/* What the source said of its latency last, and the least pace that it ever allowed itself. */
extern atomic_uint harness_latency_us, harness_least_pace;

/* Both sides in this process, until both have ended. */
void harness_run(const struct harness *h, struct step_result *retsend,
                 struct step_result *retreceive);

/* One side, for a process of its own: the other one uses the same state folder and a fixed port. */
void harness_send(const struct harness *h, struct step_result *ret);
void harness_receive(const struct harness *h, struct step_result *ret);

/* One other step of the destination, or of the source, with these arguments. */
struct harness_call {
    void (*run)(struct step *s, struct step_result *ret);
    bool at_source;
    const void *args;
    size_t args_len;
    const struct sign_key *signer;
};
void harness_step(const struct harness *h, const struct harness_call *call,
                  struct step_result *ret);

/* From a signal handler or another thread: cancels the steps of this process. */
void harness_cancel(void);
