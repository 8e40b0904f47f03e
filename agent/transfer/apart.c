/* apart: the limit of descriptors counts for a table of them, not for the process. Any thread. */
#include "agent/transfer/apart.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

struct call {
    int keep, rc;
    void (*fn)(void *arg);
    void *arg;
};

/* What the others close meanwhile is not to stay open here. */
static int leave(int keep)
{
    unsigned own = keep > STDERR_FILENO ? (unsigned)keep : STDERR_FILENO;
    if (unshare(CLONE_FILES) < 0 || close_range(own + 1, ~0U, 0) < 0)
        return -errno;
    if (own > STDERR_FILENO + 1U && close_range(STDERR_FILENO + 1U, own - 1, 0) < 0)
        return -errno;
    return 0;
}

static void *run(void *arg)
{
    struct call *c = arg;
    c->rc = leave(c->keep);
    if (c->rc == 0)
        c->fn(c->arg);
    return NULL;
}

int apart_call(int keep, void (*fn)(void *arg), void *arg)
{
    struct call c = {.keep = keep, .fn = fn, .arg = arg};
    pthread_t thread;
    int rc = -pthread_create(&thread, NULL, run, &c);
    if (rc == 0)
        rc = -pthread_join(thread, NULL);
    return rc < 0 ? rc : c.rc;
}
