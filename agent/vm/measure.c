/* measure: one measurement of a machine at a time, for all who ask meanwhile. QEMU (10.0 at least)
 * breaks when a second one begins before the first one's thread runs: the second thread ends
 * without leaving the list of those that read under RCU, and who walks that list later, at the end
 * of a live move, walks it for ever. Any thread; they share the list under one lock. */
#include "agent/vm/measure.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/virt.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/mem.h"

struct measuring {
    struct measuring *next;
    char *uuid;
    unsigned refs;
    bool over;
    int rc;
    uint64_t rate;
    struct fault fault;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all below */
static pthread_cond_t changed;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct measuring *under_way;

int64_t measure_wait_ms = 5000; /* a hypervisor may hang in it */

static void set_up(void)
{
    clock_cond_init(&changed);
}

static struct measuring *find(const char *uuid)
{
    struct measuring *m = under_way;
    while (m && strcmp(m->uuid, uuid) != 0)
        m = m->next;
    return m;
}

static struct measuring *begin(const char *uuid)
{
    struct measuring *m = xcalloc(1, sizeof *m);
    m->uuid = xstrdup(uuid);
    m->next = under_way;
    under_way = m;
    return m;
}

/* Nobody finds it any more; those who wait for it have it. */
static void end(struct measuring *m)
{
    struct measuring **at = &under_way;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    m->over = true;
    (void)pthread_cond_broadcast(&changed);
}

static void unref(struct measuring *m)
{
    if (--m->refs > 0)
        return;
    free(m->uuid);
    free(m);
}

/* What came of it. Under the lock. */
static int wait_for(struct measuring *m, uint64_t *ret, struct fault *reterr)
{
    int64_t until = clock_mono_ms() + measure_wait_ms, left;
    while (!m->over && (left = until - clock_mono_ms()) > 0)
        clock_cond_wait(&changed, &lock, left);
    if (!m->over)
        return fault_set(reterr, FAULT_STOP_JOB, EBUSY, "it is being measured, without an end");
    if (m->rc < 0)
        *reterr = m->fault;
    else
        *ret = m->rate;
    return m->rc;
}

int measure_dirty_rate(struct virt *v, const char *uuid, uint64_t *ret, struct fault *reterr)
{
    (void)pthread_once(&once, set_up);
    (void)pthread_mutex_lock(&lock);
    struct measuring *m = find(uuid);
    bool mine = !m;
    if (mine)
        m = begin(uuid);
    m->refs++;
    if (mine) {
        (void)pthread_mutex_unlock(&lock);
        int rc = v->ops->dirty_rate(v, uuid, &m->rate, &m->fault);
        (void)pthread_mutex_lock(&lock);
        m->rc = rc;
        end(m);
    }
    int rc = wait_for(m, ret, reterr);
    unref(m);
    (void)pthread_mutex_unlock(&lock);
    return rc;
}
