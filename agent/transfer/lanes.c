/* lanes: how a session gets its lanes. The first connects alone and begins to send; the others
 * connect side by side meanwhile, since each takes some round trips of the link; over a far link
 * they shake hands while the first does, and wait until it has begun the session. The step's
 * thread, and one for each that connects. */
#include "agent/transfer/lanes.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/bucket.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define WELCOME_MS 30000
#define FAR_US 20000 /* a round trip that no busy host makes of a short one */

struct joining {
    struct joining *next;
    struct sender *s;
    uint32_t index;
    bool early; /* connects while the first lane does */
    pthread_t thread;
};

static void add_early(struct sender *s);

static void hello_make(const struct sender *s, uint32_t index, struct lane_hello *ret)
{
    const struct transfer_spec *p = s->spec;
    *ret = (struct lane_hello){
        .entry = {.session = s->session,
                  .lane = index,
                  .can = (p->options.delta && !s->source ? (unsigned)LANE_CAN_DELTA : 0) |
                         (moved_can(s) ? (unsigned)LANE_CAN_MOVE : 0)},
        .near = s->source != NULL  /* a proxy is often the destination's own agent */
    };
    (void)snprintf(ret->id, sizeof ret->id, "%s", p->ticket_id);
    (void)snprintf(ret->pair, sizeof ret->pair, "%s", p->pair);
    memcpy(ret->secret, p->secret, sizeof ret->secret);
    rootid_pack(&s->root_id, ret->entry.root);
    ret->entry.root_len = ROOTID_BYTES;
}

static bool is_stopped(struct sender *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool stopped = s->fault.what_next != FAULT_NONE;
    (void)pthread_mutex_unlock(&s->lock);
    return stopped;
}

/* Up to where the destination may be told what this lane is for. */
static int reach(struct sender *s, const char *endpoint, uint32_t index, int cancel_fd,
                 struct lane **ret)
{
    struct lane *l = NULL;
    uint32_t rtt_us = 0;
    int fd = lane_dial(endpoint, cancel_fd, &rtt_us);
    if (fd < 0)
        return fd;
    if (index == 0 && rtt_us > FAR_US)
        add_early(s);
    int rc = lane_connect_on(&l, fd, step_env(s->step)->identity, s->spec->peer_pin, cancel_fd);
    if (rc < 0)
        return rc;
    if (s->spec->hurry)
        lane_hurry(l);
    lane_wait_when_full(l); /* what we send is within the credit, and thousands may fail at once */
    *ret = l;
    return 0;
}

/* Frees l when it fails. */
static int enter(struct sender *s, struct lane *l, uint32_t index, struct lane_welcome *retwelcome)
{
    struct lane_hello h;
    struct fault f = {0};
    hello_make(s, index, &h);
    int rc = lane_hello_send(l, &h);
    if (rc == 0)
        rc = lane_welcome_receive(l, WELCOME_MS, retwelcome, &f);
    if (rc == 0) {
        if (retwelcome->credit > INT32_MAX)
            retwelcome->credit = INT32_MAX;
        return 0;
    }
    (void)lane_free(l);
    if (f.what_next == FAULT_STOP_JOB) {
        (void)pthread_mutex_lock(&s->lock);
        s->fault = f;
        (void)pthread_mutex_unlock(&s->lock);
    }
    return rc;
}

/* retwelcome NULL: only as far as reach(). */
static int connect_any(struct sender *s, uint32_t index, int cancel_fd, struct lane **ret,
                       struct lane_welcome *retwelcome)
{
    int rc = -EDESTADDRREQ;
    for (size_t i = 0; i < s->spec->nendpoints; i++) {
        struct lane *l = NULL;
        rc = reach(s, s->spec->endpoints[i], index, cancel_fd, &l);
        if (rc == 0 && retwelcome)
            rc = enter(s, l, index, retwelcome);
        if (rc == 0)
            *ret = l;
        if (rc == 0 || rc == -ECANCELED || is_stopped(s))
            break;
    }
    return rc;
}

int lanes_first(struct sender *s, struct lane **ret, uint64_t *retcredit, bool *retfresh)
{
    struct lane_welcome w;
    int rc = connect_any(s, 0, step_cancel_fd(s->step), ret, &w);
    if (rc < 0)
        return rc;
    *retcredit = w.credit;
    *retfresh = w.fresh;
    s->peer_last = w.last;
    s->peer_shares = w.can & LANE_CAN_SHARE;
    return 0;
}

int lanes_adopt(struct sender *s, struct lane *l, uint64_t credit, uint32_t index)
{
    struct worker *w = xcalloc(1, sizeof *w);
    w->s = s;
    w->lane = l;
    w->index = index;
    w->credit = (int64_t)credit;
    w->last = &w->first;
    w->compress.policy = lane_is_piped(l) ? COMPRESS_OFF : s->spec->options.compress;
    lane_set_bucket(l, step_bucket(s->step));
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_lock(&s->lock);
    int rc = w->wake < 0 ? -errno : s->walk_over || atomic_load(&s->broken) ? -ESHUTDOWN : 0;
    if (rc == 0)
        rc = -pthread_create(&w->thread, NULL, worker_run, w);
    if (rc == 0) {
        w->next = s->workers;
        s->workers = w;
        s->nworkers++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (rc == 0)
        return 0;
    if (w->wake >= 0)
        (void)fd_close(w->wake);
    free(w);
    return rc;
}

/* 0: the first lane has begun the session. -ECANCELED: none comes any more. */
static int wait_begun(struct sender *s)
{
    struct pollfd p[2] = {
        {.fd = s->joining_stop,  .events = POLLIN},
        {.fd = s->joining_begun, .events = POLLIN}
    };
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    return p[0].revents ? -ECANCELED : 0;
}

/* What was made ready before the session began; -ENOTCONN: nothing was, or it did not last. */
static int join_early(struct joining *j, struct lane **ret, struct lane_welcome *retwelcome)
{
    struct sender *s = j->s;
    struct lane *l = NULL;
    int made = j->early ? connect_any(s, j->index, s->joining_stop, &l, NULL) : -ENOTCONN;
    int rc = wait_begun(s);
    if (rc < 0) {
        (void)lane_free(l);
        return rc;
    }
    if (made < 0 || enter(s, l, j->index, retwelcome) < 0)
        return -ENOTCONN;
    *ret = l;
    return 0;
}

static void *join(void *arg)
{
    struct joining *j = arg;
    struct sender *s = j->s;
    struct lane *l = NULL;
    struct lane_welcome w;
    int rc = join_early(j, &l, &w);
    if (rc == -ENOTCONN && !is_stopped(s))
        rc = connect_any(s, j->index, s->joining_stop, &l, &w);
    if (rc == 0) {
        lane_set_cancel(l, step_cancel_fd(s->step));
        rc = lanes_adopt(s, l, w.credit, j->index);
    }
    atomic_fetch_sub(&s->nconnecting, 1);
    if (rc < 0 && l) {
        lane_close(l);
        (void)lane_free(l);
    }
    return NULL;
}

static void joining_close(struct sender *s)
{
    if (s->joining_stop >= 0)
        (void)fd_close(s->joining_stop);
    if (s->joining_begun >= 0)
        (void)fd_close(s->joining_begun);
    s->joining_is_open = false;
}

static bool joining_open(struct sender *s)
{
    if (s->joining_is_open)
        return true;
    s->joining_stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->joining_begun = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->joining_is_open = s->joining_stop >= 0 && s->joining_begun >= 0;
    if (!s->joining_is_open)
        joining_close(s);
    return s->joining_is_open;
}

static bool add(struct sender *s, bool early)
{
    if (s->njoined >= LANES_MOST * 2 || !joining_open(s))
        return false;
    struct joining *j = xcalloc(1, sizeof *j);
    *j = (struct joining){.next = s->joining, .s = s, .index = ++s->njoined, .early = early};
    atomic_fetch_add(&s->nconnecting, 1);
    if (pthread_create(&j->thread, NULL, join, j) != 0) {
        atomic_fetch_sub(&s->nconnecting, 1);
        free(j);
        return false;
    }
    s->joining = j;
    return true;
}

/* One TCP connection carries no more than its send buffer a round trip, and grows slowly: a long
 * link needs several at once, however few processors there are. All of LANES_MOST at once overrun
 * its queue, and a tenth is sent twice. Under a rate more lanes only share it. */
static unsigned wanted(const struct sender *s, bool is_long)
{
    unsigned cpus = (unsigned)get_nprocs();
    if (s->spec->options.lanes)
        return s->spec->options.lanes < LANES_MOST * 2 ? s->spec->options.lanes : LANES_MOST * 2;
    if (is_long && !bucket_is_limited(step_bucket(s->step)))
        return LANES_START;
    return cpus < 1 ? 1 : cpus < LANES_START ? cpus : LANES_START;
}

static void add_early(struct sender *s)
{
    unsigned want = wanted(s, true);
    while (s->njoined + 1 < want && add(s, true))
        ;
}

void lanes_begin(struct sender *s, bool is_long)
{
    unsigned want = wanted(s, is_long);
    if (joining_open(s))
        (void)eventfd_write(s->joining_begun, 1);
    while (s->njoined + 1 < want && add(s, false))
        ;
}

void lanes_add(struct sender *s)
{
    (void)add(s, false);
}

void lanes_end(struct sender *s)
{
    if (!s->joining_is_open)
        return;
    (void)eventfd_write(s->joining_stop, 1);
    while (s->joining) {
        struct joining *j = s->joining;
        s->joining = j->next;
        (void)pthread_join(j->thread, NULL);
        free(j);
    }
    joining_close(s);
    s->njoined = 0;
}
