/* vm_world: a machine on two made-up hosts, and the agents that act on it: the world that the moves
 * of tests happen in. It is in shared memory: it outlives a killed daemon. Only tests. */
#pragma once
#include "proto/vm_look.pb-c.h"
#include "tests/unit/engine/bench.h"

#define DO GODWIT__VM_MOVE_ACTION__VM_MOVE_DO
#define UNDO GODWIT__VM_MOVE_ACTION__VM_MOVE_UNDO
#define SIGHT(s) GODWIT__VM_MOVE_SIGHT__IS__##s

/* What there is of one machine on both hosts. In shared memory: it outlives a killed daemon. */
struct world {
    int here, there; /* VmMoveSight.Is */
    bool reserved, shelved, stated, fenced, saved, seeded, marked;
    bool ran;
    bool blind; /* the destination does not see the marks */
    bool on;    /* the source reaches the destination */
    char digest[16];
};
extern struct world *w;

/* Who fails, and how. */
enum how { NOT_AT_ALL, BEFORE, AFTER, RETRIES, SILENT, CANCELS, BREAKS, FALLS, LINGERS };
struct bad {
    const char *stage;
    enum how how;
    int action;
    unsigned times; /* 0: always */
    bool looks;     /* once it has failed, nobody says where the machine is */
};
extern struct bad bad;
extern bool tells_nothing; /* acts do not say where the machine is */
extern int tells_there;    /* what the destination's say of it; 0: what is so */
extern bool tells_defined; /* that its definition outlives its run there */
extern unsigned failed;    /* how often somebody has failed */

struct fake_answer agents(const struct fake_op *op, unsigned nth);
/* A job "wave" of one machine by that type, planned, and a new world for it. */
void move_job(struct bench *b, const char *type, bool runs);
/* "stop.S -stop.S" … in the order in which they were sent. malloc'd. */
char *story(const struct bench *b);
/* It is where it was, running if it ran, and nothing else is anywhere. */
void check_back(const char *what);
void check_moved(const char *what);

int enter(struct bench *b, const char *phase);
const char *state_of(struct bench *b); /* of its only machine; static */
char *remedy_of(struct bench *b);      /* malloc'd */
void go_back(struct bench *b);         /* asks for it, and lets it happen */
