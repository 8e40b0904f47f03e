/* A live move's call, and what is asked and told meanwhile: news come once, each wish is told, and
 * a hypervisor that answers nobody keeps nobody waiting: what is left behind goes by itself later.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/calling.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define LIMIT_MS 20000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;

/* A hypervisor of which one call lasts until it is let go. */
static struct world {
    bool hangs, deaf; /* the move, the questions */
    bool speed, downtime, post_copy, aborted;
    unsigned yanked, closed, asked;
    char target[8], live[16];
    int rc;
} w;

static void world_anew(bool hangs, bool deaf)
{
    (void)pthread_mutex_lock(&lock);
    w = (struct world){.hangs = hangs, .deaf = deaf};
    (void)pthread_mutex_unlock(&lock);
}

/* Waits while *flag, under the lock. */
static void wait_while(const bool *flag)
{
    int64_t until = clock_mono_ms() + LIMIT_MS;
    while (*flag && clock_mono_ms() < until)
        clock_cond_wait(&changed, &lock, 100);
    assert_false(*flag);
}

static void let_go(bool *flag)
{
    (void)pthread_mutex_lock(&lock);
    *flag = false;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
}

static int does_migrate(struct virt *v, const char *uuid, const struct virt_migration *m,
                        struct fault *reterr)
{
    (void)v;
    (void)uuid;
    (void)pthread_mutex_lock(&lock);
    wait_while(&w.hangs);
    (void)strncpy(w.live, m->live, sizeof w.live - 1);
    int rc = w.rc;
    (void)pthread_mutex_unlock(&lock);
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, -rc, "it fails here") : 0;
}

static int tells_progress(struct virt *v, const char *uuid, bool ended, struct virt_progress *ret)
{
    (void)v;
    (void)uuid;
    (void)ended;
    (void)pthread_mutex_lock(&lock);
    wait_while(&w.deaf);
    *ret = (struct virt_progress){.runs = true, .memory_done = ++w.asked};
    (void)pthread_mutex_unlock(&lock);
    return 0;
}

#define TOLD(what)                                                                                 \
    do {                                                                                           \
        (void)pthread_mutex_lock(&lock);                                                           \
        what;                                                                                      \
        (void)pthread_mutex_unlock(&lock);                                                         \
    } while (0)

static int is_told_speed(struct virt *v, const char *uuid, uint64_t mib_s)
{
    (void)v;
    (void)uuid;
    TOLD(w.speed = mib_s == 7);
    return 0;
}

static int is_told_downtime(struct virt *v, const char *uuid, uint64_t ms)
{
    (void)v;
    (void)uuid;
    TOLD(w.downtime = ms == 300);
    return 0;
}

static int is_told_post_copy(struct virt *v, const char *uuid)
{
    (void)v;
    (void)uuid;
    TOLD(w.post_copy = true);
    return 0;
}

static int is_told_abort(struct virt *v, const char *uuid)
{
    (void)v;
    (void)uuid;
    TOLD(w.aborted = true);
    return 0;
}

static int is_yanked(struct virt *v, const char *uuid, const char *target)
{
    (void)v;
    (void)uuid;
    TOLD(w.yanked++; (void)strncpy(w.target, target, sizeof w.target - 1));
    return 0;
}

static void is_closed(struct virt *v)
{
    TOLD(w.closed++; (void)pthread_cond_broadcast(&changed));
    free(v);
}

static const struct virt_ops ops = {.migrate = does_migrate,
                                    .progress = tells_progress,
                                    .set_speed = is_told_speed,
                                    .set_downtime = is_told_downtime,
                                    .post_copy = is_told_post_copy,
                                    .abort = is_told_abort,
                                    .yank = is_yanked,
                                    .close = is_closed};

static struct virt *connection(void)
{
    struct virt *v = xcalloc(1, sizeof *v);
    v->ops = &ops;
    return v;
}

/* What it is given goes away at once: it has its own. */
static struct calling *begin(void)
{
    char *live = xstrdup("<live/>"), *target = xstrdup("vda");
    const char *targets[] = {target};
    const struct virt_migration what = {.live = live, .targets = targets, .ntargets = 1};
    struct calling *c = NULL;
    assert_int_equal(calling_new(connection(), connection(), "uuid", &what, &c), 0);
    memset(live, 'x', strlen(live));
    free(live);
    free(target);
    return c;
}

static bool is_so(const bool *flag)
{
    (void)pthread_mutex_lock(&lock);
    bool is = *flag;
    (void)pthread_mutex_unlock(&lock);
    return is;
}

static unsigned count(const unsigned *of)
{
    (void)pthread_mutex_lock(&lock);
    unsigned n = *of;
    (void)pthread_mutex_unlock(&lock);
    return n;
}

#define UNTIL(expression)                                                                          \
    do {                                                                                           \
        int64_t until = clock_mono_ms() + LIMIT_MS;                                                \
        bool is = (expression);                                                                    \
        for (; !is && clock_mono_ms() < until; is = (expression))                                  \
            (void)poll(NULL, 0, 1);                                                                \
        assert_true(is);                                                                           \
    } while (0)

static void its_end_is_told(void **state)
{
    static const int cases[] = {0, -EIO};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault why = {.err = 1};
        world_anew(false, false);
        w.rc = cases[i];
        struct calling *c = begin();
        UNTIL(calling_is_over(c));
        calling_fault(c, &why);
        assert_int_equal(why.err, -cases[i]);
        assert_string_equal(w.live, "<live/>");
        assert_null(calling_free(c));
        UNTIL(count(&w.closed) == 2);
        assert_false(is_so(&w.aborted));
    }
}

static void news_come_once_and_wishes_are_told(void **state)
{
    struct virt_progress p = {.memory_done = 0};
    (void)state;
    world_anew(true, false);
    struct calling *c = begin();
    UNTIL(calling_news(c, &p));
    uint64_t first = p.memory_done;
    UNTIL(calling_news(c, &p));
    assert_true(p.memory_done > first);
    calling_speed(c, 7);
    calling_downtime(c, 300);
    calling_post_copy(c);
    UNTIL(is_so(&w.speed) && is_so(&w.downtime) && is_so(&w.post_copy));
    calling_abort(c, false);
    UNTIL(is_so(&w.aborted));
    assert_int_equal(count(&w.yanked), 0);
    calling_abort(c, true);
    UNTIL(count(&w.yanked) > 0);
    assert_string_equal(w.target, "vda");
    let_go(&w.hangs);
    UNTIL(calling_is_over(c));
    (void)calling_free(c);
    UNTIL(count(&w.closed) == 2);
}

/* Whichever hangs: its owner goes on at once, and the move that nobody follows is ended. */
static void who_hangs_is_left_behind(void **state)
{
    (void)state;
    for (int deaf = 0; deaf < 2; deaf++) {
        world_anew(true, deaf);
        struct calling *c = begin();
        calling_abort(c, false);
        assert_false(calling_is_over(c));
        assert_null(calling_free(c));
        let_go(&w.deaf);
        UNTIL(is_so(&w.aborted));
        assert_int_equal(count(&w.closed), 0);
        let_go(&w.hangs);
        UNTIL(count(&w.closed) == 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_end_is_told),
        cmocka_unit_test(news_come_once_and_wishes_are_told),
        cmocka_unit_test(who_hangs_is_left_behind),
    };
    clock_cond_init(&changed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
