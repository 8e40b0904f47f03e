/* hostile_priv: what the parts of the hostile scenario share. */
#pragma once
#include "tests/scenario/good.h"
#include "tests/unit/test.h"

#define ANSWER_MS 10000 /* for an answer that has to come, on a machine that is busy */
#define SILENCE_MS 300  /* for one that must not */

/* One daemon for all cases of a group, and one good agent that is there from the start. */
struct siege {
    struct daemon daemon;
    struct good good; /* "good" */
    pid_t pid;
    unsigned hosts; /* made so far: names differ */
};

/* Ends each case: the same process answers the same agent, its console, and a new agent. */
void siege_holds(struct siege *s);
/* An enrolled, welcomed agent under a name of its own. */
void siege_join(struct siege *s, struct good *ret);
/* The name for the next host. */
void siege_name(struct siege *s, char ret[64]);

extern const struct CMUnitTest hostile_zap_cases[], hostile_enrol_cases[], hostile_wire_cases[],
    hostile_session_cases[];
extern const size_t hostile_zap_count, hostile_enrol_count, hostile_wire_count,
    hostile_session_count;
