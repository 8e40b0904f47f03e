/* crew: walker threads over one pathstack. The caller's thread only waits, ticks and cancels. */
#include "agent/files/crew.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/store/pathstack.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define STACK_BYTES (8 << 20)
#define TICK_MS 250

struct crew {
    const struct crew_conf *conf;
    struct pathstack *stack;
    atomic_bool cancelled;
    atomic_int rc;       /* the first error */
    atomic_uint running; /* the last to leave writes to over_fd */
    int over_fd;
};

struct walker {
    struct crew *crew;
    unsigned number;
    pthread_t thread;
};

bool crew_cancelled(const struct crew *c)
{
    return atomic_load_explicit(&c->cancelled, memory_order_relaxed);
}

int crew_push(struct crew *c, const char *rel, size_t len, const char *name, size_t name_len)
{
    char small[512];
    size_t n = len + (len ? 1 : 0) + name_len;
    CLEANUP(mem_free) char *big = n > sizeof small ? xmalloc(n) : NULL;
    char *path = big ? big : small, *at = path;
    if (len) {
        memcpy(at, rel, len);
        at += len;
        *at++ = '/';
    }
    memcpy(at, name, name_len);
    return pathstack_push(c->stack, path, n, 0);
}

static void end_walk(struct crew *c, int rc)
{
    int none = 0;
    (void)atomic_compare_exchange_strong(&c->rc, &none, rc);
    atomic_store(&c->cancelled, true);
    pathstack_abort(c->stack);
}

static void *walk(void *arg)
{
    const struct walker *w = arg;
    struct crew *c = w->crew;
    char *path = NULL;
    size_t len = 0;
    uint32_t flags = 0;
    int rc;
    while ((rc = pathstack_pop(c->stack, true, &path, &len, &flags)) == 1) {
        int done = c->conf->visit(c, w->number, path, len, c->conf->arg);
        free(path);
        pathstack_done(c->stack);
        if (done < 0)
            end_walk(c, done);
    }
    if (rc < 0)
        end_walk(c, rc);
    if (atomic_fetch_sub(&c->running, 1) == 1)
        (void)eventfd_write(c->over_fd, 1);
    return NULL;
}

static void attend(struct crew *c)
{
    struct pollfd fds[2] = {
        {.fd = c->over_fd,         .events = POLLIN},
        {.fd = c->conf->cancel_fd, .events = POLLIN}
    };
    for (;;) {
        int n = poll(fds, ARRAY_SIZE(fds), TICK_MS);
        if (c->conf->tick)
            c->conf->tick(c->conf->arg);
        if (n > 0 && fds[0].revents)
            return;
        if (n > 0 && fds[1].revents) {
            end_walk(c, -ECANCELED);
            fds[1].fd = -1;
        }
    }
}

unsigned crew_size(unsigned workers)
{
    cpu_set_t cpus;
    if (workers == 0)
        workers = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
    return workers < 1 ? 1 : workers > CREW_MAX ? CREW_MAX : workers;
}

static int run_threads(struct crew *c, unsigned want)
{
    struct walker walkers[CREW_MAX];
    unsigned started = 0;
    atomic_store(&c->running, want);
    for (; started < want; started++) {
        walkers[started] = (struct walker){.crew = c, .number = started};
        int rc = pthread_create(&walkers[started].thread, NULL, walk, &walkers[started]);
        if (rc == 0)
            continue;
        end_walk(c, -rc);
        if (atomic_fetch_sub(&c->running, want - started) == want - started)
            (void)eventfd_write(c->over_fd, 1);
        break;
    }
    attend(c);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(walkers[i].thread, NULL);
    return atomic_load(&c->rc);
}

int crew_run(const struct crew_conf *conf)
{
    struct crew c = {.conf = conf};
    CLEANUP(fd_close) int over = eventfd(0, EFD_CLOEXEC);
    if (over < 0)
        return -errno;
    c.over_fd = over;
    int rc = pathstack_new(&c.stack, conf->spill_dir, STACK_BYTES);
    if (rc < 0)
        return rc;
    rc = pathstack_push(c.stack, "", 0, 0);
    if (rc == 0)
        rc = run_threads(&c, crew_size(conf->workers));
    (void)pathstack_free(c.stack);
    return rc;
}
