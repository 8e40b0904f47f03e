/* cutting: made-up agents of a cutover, who fails among them, and questions that tests of it ask.
 */
#pragma once
#include "tests/unit/engine/bench.h"

/* Who fails, and how: by side and stage. */
struct cutting_bad {
    const char *stage, *host; /* host NULL: any */
    bool source, silent;
    enum fault_class next;
    int err, action;
    unsigned times; /* 0: always */
};
extern struct cutting_bad cutting_bad;
extern unsigned cutting_failed; /* how often it did */

struct fake_answer cutting_agents(const struct fake_op *op, unsigned nth);
/* "stop", or one of several: "names+join". */
bool cutting_has_stage(const struct fake_op *op, const char *stage);
void cutting_fail_at(const char *stage, bool source, enum fault_class next);
int cutting_enter(struct bench *b, const char *phase, const char *settings);
int cutting_back(struct bench *b);
const char *cutting_state(struct bench *b); /* "cut over", …; static */
void cutting_copied(struct bench *b);       /* a job "wave" of one pair that has copied */
/* "stop.S -stop.S" … in the order in which they were sent; repeats are one. malloc'd. */
char *cutting_story(const struct bench *b);
