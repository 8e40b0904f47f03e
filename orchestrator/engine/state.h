/* state: the states of jobs, pairs and steps, their names, and which event leads where. Pure. */
#pragma once

enum job_state {
    JOB_CREATED,
    JOB_RUNNING,
    JOB_PAUSING,
    JOB_PAUSED,
    JOB_STOPPING,
    JOB_STOPPED,
    JOB_DONE,
    JOB_PARTIAL,
    JOB_FAILED,
    JOB_STATES
};

enum job_event {
    JOB_EV_START,
    JOB_EV_RETRY,
    JOB_EV_PAUSE,
    JOB_EV_RESUME,
    JOB_EV_STOP,
    JOB_EV_ALL_PAUSED,
    JOB_EV_ALL_STOPPED,
    JOB_EV_ALL_DONE,
    JOB_EV_SOME_LEFT, /* over, not everything was done */
    JOB_EV_NONE_DONE,
    JOB_EVENTS
};

enum pair_state {
    PAIR_PENDING,
    PAIR_WAITING,
    PAIR_RUNNING,
    PAIR_PAUSED,
    PAIR_STOPPED,
    PAIR_DONE,
    PAIR_PARTLY,
    PAIR_FAILED,
    PAIR_STATES
};

enum pair_event {
    PAIR_EV_QUEUE,  /* a run begins, or goes on after a pause */
    PAIR_EV_LAUNCH, /* a stage's steps are planned */
    PAIR_EV_RESULT, /* a step is over */
    PAIR_EV_AGAIN,  /* the stage has to be run once more */
    PAIR_EV_PAUSE,
    PAIR_EV_STOP,
    PAIR_EV_DONE,
    PAIR_EV_PARTLY,
    PAIR_EV_FAIL,
    PAIR_EVENTS
};

enum step_state { STEP_INTENDED, STEP_SENT, STEP_ACCEPTED, STEP_DONE, STEP_STATES };

/* The state that follows, or -EPROTO when the pair is not listed. */
int job_next(enum job_state in, enum job_event on);
int pair_next(enum pair_state in, enum pair_event on);

const char *job_state_name(enum job_state s);
const char *job_event_name(enum job_event ev);
const char *pair_state_name(enum pair_state s);
const char *pair_event_name(enum pair_event ev);
const char *step_state_name(enum step_state s);
/* -EINVAL: no such name. */
int job_state_parse(const char *name);
int pair_state_parse(const char *name);
int step_state_parse(const char *name);
