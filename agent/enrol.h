/* enrol: redeems a one-time token for a place in the fleet. Blocking; any thread, alone in its
 * process or before the loop starts. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/envelope.pb-c.h"

struct home;
struct token;

/* What an answer to EnrolRequest means. */
enum enrol_verdict {
    ENROL_IN,     /* *ret is filled */
    ENROL_ASK,    /* an operator has to approve: ask again with the same key */
    ENROL_BUSY,   /* too many at once: ask again */
    ENROL_DENIED, /* why says so */
    ENROL_BROKEN, /* an answer that makes no sense */
};

/* why holds one sentence for people, "" when there is nothing to say. */
enum enrol_verdict enrol_judge(const Godwit__Envelope *e, const struct token *t, struct home *ret,
                               char *why, size_t whylen);
/* Exit code of design.md; errors on standard error. */
int enrol_run(const char *state_dir, const char *token, int64_t wait_ms, bool again);
