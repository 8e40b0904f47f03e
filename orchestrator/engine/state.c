/* state: the tables. Whoever sets a state asks here first. Pure. */
#include "orchestrator/engine/state.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/base/mem.h"

static const char *const job_states[JOB_STATES] = {
    "created", "running", "pausing", "paused", "stopping", "stopped", "done", "partial", "failed"};
static const char *const job_events[JOB_EVENTS] = {
    "start", "retry", "pause", "resume", "stop", "paused", "stopped", "done", "partly", "failed"};
static const char *const pair_states[PAIR_STATES] = {"pending", "waiting", "running", "paused",
                                                     "stopped", "done",    "partial", "failed"};
static const char *const pair_events[PAIR_EVENTS] = {"queue", "launch", "result", "again", "pause",
                                                     "stop",  "done",   "partly", "fail"};
static const char *const step_states[STEP_STATES] = {"intended", "sent", "accepted", "done"};

static const struct job_rule {
    enum job_state in;
    enum job_event on;
    enum job_state next;
} job_rules[] = {
    {JOB_CREATED,  JOB_EV_START,       JOB_RUNNING },
    {JOB_DONE,     JOB_EV_START,       JOB_RUNNING },
    {JOB_PARTIAL,  JOB_EV_START,       JOB_RUNNING },
    {JOB_FAILED,   JOB_EV_START,       JOB_RUNNING },
    {JOB_STOPPED,  JOB_EV_START,       JOB_RUNNING },
    {JOB_PARTIAL,  JOB_EV_RETRY,       JOB_RUNNING },
    {JOB_FAILED,   JOB_EV_RETRY,       JOB_RUNNING },
    {JOB_STOPPED,  JOB_EV_RETRY,       JOB_RUNNING },
    {JOB_RUNNING,  JOB_EV_PAUSE,       JOB_PAUSING },
    {JOB_PAUSING,  JOB_EV_RESUME,      JOB_RUNNING },
    {JOB_PAUSED,   JOB_EV_RESUME,      JOB_RUNNING },
    {JOB_RUNNING,  JOB_EV_STOP,        JOB_STOPPING},
    {JOB_PAUSING,  JOB_EV_STOP,        JOB_STOPPING},
    {JOB_PAUSED,   JOB_EV_STOP,        JOB_STOPPING},
    {JOB_PAUSING,  JOB_EV_ALL_PAUSED,  JOB_PAUSED  },
    {JOB_STOPPING, JOB_EV_ALL_STOPPED, JOB_STOPPED },
    {JOB_RUNNING,  JOB_EV_ALL_DONE,    JOB_DONE    },
    {JOB_PAUSING,  JOB_EV_ALL_DONE,    JOB_DONE    },
    {JOB_PAUSED,   JOB_EV_ALL_DONE,    JOB_DONE    },
    {JOB_STOPPING, JOB_EV_ALL_DONE,    JOB_DONE    },
    {JOB_RUNNING,  JOB_EV_SOME_LEFT,   JOB_PARTIAL },
    {JOB_PAUSING,  JOB_EV_SOME_LEFT,   JOB_PARTIAL },
    {JOB_PAUSED,   JOB_EV_SOME_LEFT,   JOB_PARTIAL },
    {JOB_STOPPING, JOB_EV_SOME_LEFT,   JOB_PARTIAL },
    {JOB_RUNNING,  JOB_EV_NONE_DONE,   JOB_FAILED  },
    {JOB_PAUSING,  JOB_EV_NONE_DONE,   JOB_FAILED  },
    {JOB_PAUSED,   JOB_EV_NONE_DONE,   JOB_FAILED  },
    {JOB_STOPPING, JOB_EV_NONE_DONE,   JOB_FAILED  },
};

static const struct pair_rule {
    enum pair_state in;
    enum pair_event on;
    enum pair_state next;
} pair_rules[] = {
    {PAIR_PENDING, PAIR_EV_QUEUE,  PAIR_WAITING},
    {PAIR_PAUSED,  PAIR_EV_QUEUE,  PAIR_WAITING},
    {PAIR_STOPPED, PAIR_EV_QUEUE,  PAIR_WAITING},
    {PAIR_DONE,    PAIR_EV_QUEUE,  PAIR_WAITING},
    {PAIR_PARTLY,  PAIR_EV_QUEUE,  PAIR_WAITING},
    {PAIR_FAILED,  PAIR_EV_QUEUE,  PAIR_WAITING},
    {PAIR_WAITING, PAIR_EV_LAUNCH, PAIR_RUNNING},
    {PAIR_RUNNING, PAIR_EV_LAUNCH, PAIR_RUNNING},
    {PAIR_RUNNING, PAIR_EV_RESULT, PAIR_RUNNING},
    {PAIR_WAITING, PAIR_EV_AGAIN,  PAIR_WAITING},
    {PAIR_RUNNING, PAIR_EV_AGAIN,  PAIR_WAITING},
    {PAIR_WAITING, PAIR_EV_PAUSE,  PAIR_PAUSED },
    {PAIR_RUNNING, PAIR_EV_PAUSE,  PAIR_PAUSED },
    {PAIR_WAITING, PAIR_EV_STOP,   PAIR_STOPPED},
    {PAIR_RUNNING, PAIR_EV_STOP,   PAIR_STOPPED},
    {PAIR_PAUSED,  PAIR_EV_STOP,   PAIR_STOPPED},
    {PAIR_RUNNING, PAIR_EV_DONE,   PAIR_DONE   },
    {PAIR_RUNNING, PAIR_EV_PARTLY, PAIR_PARTLY },
    {PAIR_WAITING, PAIR_EV_FAIL,   PAIR_FAILED },
    {PAIR_RUNNING, PAIR_EV_FAIL,   PAIR_FAILED },
    {PAIR_PAUSED,  PAIR_EV_FAIL,   PAIR_FAILED },
};

int job_next(enum job_state in, enum job_event on)
{
    for (size_t i = 0; i < ARRAY_SIZE(job_rules); i++)
        if (job_rules[i].in == in && job_rules[i].on == on)
            return (int)job_rules[i].next;
    return -EPROTO;
}

int pair_next(enum pair_state in, enum pair_event on)
{
    for (size_t i = 0; i < ARRAY_SIZE(pair_rules); i++)
        if (pair_rules[i].in == in && pair_rules[i].on == on)
            return (int)pair_rules[i].next;
    return -EPROTO;
}

static int find(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -EINVAL;
}

const char *job_state_name(enum job_state s)
{
    return job_states[s];
}

const char *job_event_name(enum job_event ev)
{
    return job_events[ev];
}

const char *pair_state_name(enum pair_state s)
{
    return pair_states[s];
}

const char *pair_event_name(enum pair_event ev)
{
    return pair_events[ev];
}

const char *step_state_name(enum step_state s)
{
    return step_states[s];
}

int job_state_parse(const char *name)
{
    return find(job_states, JOB_STATES, name);
}

int pair_state_parse(const char *name)
{
    return find(pair_states, PAIR_STATES, name);
}

int step_state_parse(const char *name)
{
    return find(step_states, STEP_STATES, name);
}
