/* watch: follows a job until it ends. Main thread. */
#include "orchestrator/console/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/console/client.h"
#include "orchestrator/console/interrupt.h"
#include "orchestrator/console/progress.h"
#include "orchestrator/console/report.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

#define POLL_MS 1000
#define POLL_MIN_MS 100
#define POLL_SHARE 4      /* of the time watched so far */
#define LOST_MAX_MS 60000 /* an orchestrator that restarts is back before */

struct watching {
    struct run *run;
    const char *job;
    int64_t began;
    int64_t deadline; /* 0: none */
    int64_t lost_since;
    struct watch_view *view; /* NULL: JSON lines */
};

static void sleep_ms(int64_t ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* A lost orchestrator is waited for: the job goes on without it. EXIT_DONE: *ret may be NULL. */
static int poll_job(struct watching *w, json_t **ret)
{
    const struct arg args[] = {
        {"job", w->job},
        ARGS_END
    };
    struct fault f = {0};
    int rc = run_try(w->run, "job show", args, ret, &f);
    if (rc == EXIT_DONE) {
        w->lost_since = 0;
        return rc;
    }
    json_decref(*ret);
    *ret = NULL;
    if (interrupt_seen())
        return EXIT_DONE;
    bool first = w->lost_since == 0;
    bool lost = rc == EXIT_TIMED_OUT || f.err == ECONNREFUSED || f.err == ENOENT;
    if (first)
        w->lost_since = clock_mono_ms();
    if (!lost || clock_mono_ms() - w->lost_since > LOST_MAX_MS)
        return run_fail(rc, "%s", f.text);
    if (first)
        run_say("%s; waiting for it", f.text);
    w->run->client = client_close(w->run->client);
    return EXIT_DONE;
}

static void draw(const struct watching *w, json_t *doc)
{
    if (w->view) {
        watch_view_draw(w->view, doc);
        return;
    }
    (void)json_dumpf(doc, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
}

static int leave(const struct watching *w, const char *why)
{
    run_say("%s; job %s goes on. godwit job watch %s shows it again, godwit job stop %s ends it",
            why, w->job, w->job, w->job);
    return EXIT_TIMED_OUT;
}

/* Until the job ends, at most so long: the daemon answers when it has ended. One that cannot (it is
 * older, or restarts) is asked again after a rest. */
static void await_end(struct watching *w, int64_t ms)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)ms);
    const struct arg args[] = {
        {"job", w->job},
        {"ms",  text  },
        ARGS_END
    };
    struct fault f = {0};
    json_t *doc = NULL;
    int64_t asked = clock_mono_ms();
    bool can = ms > 0 && w->lost_since == 0 && (uint64_t)ms * 2 < w->run->globals->reply_ms;
    if (can && run_try(w->run, "job wait", args, &doc, &f) != EXIT_DONE) {
        w->run->client = client_close(w->run->client); /* an answer may still be under way */
        can = false;
    }
    json_decref(doc);
    int64_t left = ms - (clock_mono_ms() - asked);
    if (!can && left > 0 && !interrupt_seen())
        sleep_ms(left);
}

/* A job of thousands of pairs takes longer to ask for: keep the daemon's load small. */
static void rest(struct watching *w, int64_t took)
{
    int64_t pause = POLL_MIN_MS + (clock_mono_ms() - w->began) / POLL_SHARE;
    if (pause > POLL_MS)
        pause = POLL_MS;
    if (pause < took * 10)
        pause = took * 10;
    if (w->deadline && pause > w->deadline - clock_mono_ms())
        pause = w->deadline - clock_mono_ms();
    await_end(w, pause < 0 ? 0 : pause);
}

/* Asks and draws once. -1: the job goes on; else an exit code. */
static int look(struct watching *w)
{
    json_t *doc = NULL;
    int rc = poll_job(w, &doc);
    if (rc)
        return rc;
    if (doc)
        draw(w, doc);
    const char *state = show_str(doc, "state");
    rc = doc && progress_over(state) ? report_exit(state) : -1;
    json_decref(doc);
    return rc;
}

static int follow(struct watching *w)
{
    for (;;) {
        int64_t asked = clock_mono_ms();
        int rc = look(w);
        if (rc >= 0)
            return rc;
        if (interrupt_seen() || ferror(stdout)) /* nobody reads on */
            return leave(w, "stopped watching");
        if (w->deadline && clock_mono_ms() >= w->deadline)
            return leave(w, "the time is up");
        rest(w, clock_mono_ms() - asked);
    }
}

int watch_job(struct run *r, const char *job, const struct watch_opts *o)
{
    struct watching w = {.run = r, .job = job, .began = clock_mono_ms()};
    if (o->timeout_ms)
        w.deadline = clock_mono_ms() + (int64_t)o->timeout_ms;
    if (!run_json(r))
        w.view = watch_view_new(stdout);
    interrupt_catch();
    int rc = follow(&w);
    interrupt_release();
    w.view = watch_view_free(w.view);
    return rc;
}

int job_watch(struct run *r)
{
    return watch_job(r, r->words[0], r->opts);
}
