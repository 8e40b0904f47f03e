/* cutover_watch: asks, and prints what is new. Main thread. */
#include "orchestrator/console/cutover_watch.h"

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
#include "orchestrator/console/show.h"

#define POLL_MS "300"
#define LOST_MAX_MS 60000
#define PAIRS_MAX 64

struct following {
    struct run *run;
    const char *job;
    char *shown[PAIRS_MAX]; /* the line before, of each pair */
    int64_t lost_since;
    bool quiet;
};

static void say_pair(struct following *f, size_t i, const json_t *pair)
{
    char elapsed[32];
    int64_t ms = show_int(pair, "elapsed_ms");
    const char *state = show_str(pair, "pair_state"), *doing = show_str(pair, "doing");
    bool waits = strcmp(state, "waiting") == 0, on = waits || strcmp(state, "running") == 0;
    const char *why = waits || !on ? show_str(pair, "pair_reason") : "";
    /* How long it still waits changes all the time: not a line for each second. */
    CLEANUP(mem_free) char *shown = xmemdup(why, strcspn(why, "0123456789"));
    CLEANUP(mem_free)
    char *line = xasprintf("%s to %s: %s%s%s", show_str(pair, "source_host"),
                           show_str(pair, "destination_host"), on ? doing : state, *why ? ": " : "",
                           waits ? shown : why);
    if (i >= PAIRS_MAX || (f->shown[i] && strcmp(f->shown[i], line) == 0))
        return;
    show_duration((uint64_t)(ms > 0 ? ms : 0), elapsed);
    CLEANUP(mem_free) char *clean = show_clean(line);
    (void)printf("%s%s%s%s\n", clean, on ? "  (" : "", on ? elapsed : "", on ? ")" : "");
    (void)fflush(stdout);
    free(f->shown[i]);
    f->shown[i] = line;
    line = NULL;
}

static void say_all(struct following *f, json_t *doc)
{
    size_t i;
    const json_t *pair;
    if (run_json(f->run)) {
        (void)json_dumpf(doc, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
        (void)fputc('\n', stdout);
        (void)fflush(stdout);
        return;
    }
    json_array_foreach(json_object_get(doc, "pairs"), i, pair)
    {
        say_pair(f, i, pair);
    }
}

/* -1: it goes on; else an exit code. */
static int look(struct following *f)
{
    const struct arg args[] = {
        {"job", f->job},
        ARGS_END
    };
    struct fault why = {0};
    json_t *doc = NULL;
    int rc = run_try(f->run, "cutover show", args, &doc, &why);
    if (rc == EXIT_DONE) {
        f->lost_since = 0;
        if (!f->quiet)
            say_all(f, doc);
        const char *state = show_str(doc, "state");
        rc = progress_over(state) ? report_exit(state) : -1;
        json_decref(doc);
        return rc;
    }
    json_decref(doc);
    f->run->client = client_close(f->run->client);
    if (f->lost_since == 0)
        f->lost_since = clock_mono_ms();
    if (rc == EXIT_NOT_FOUND || clock_mono_ms() - f->lost_since > LOST_MAX_MS)
        return run_fail(rc, "%s", why.text);
    return -1; /* an orchestrator that restarts: the cutover waits for it too */
}

/* The daemon answers when the job is over, or after the pause. */
static void rest(struct following *f)
{
    const struct arg args[] = {
        {"job", f->job },
        {"ms",  POLL_MS},
        ARGS_END
    };
    struct fault why = {0};
    json_t *doc = NULL;
    if (run_try(f->run, "job wait", args, &doc, &why) != EXIT_DONE) {
        f->run->client = client_close(f->run->client);
        (void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    }
    json_decref(doc);
}

static int follow(struct run *r, const char *job, uint64_t timeout_ms, bool quiet)
{
    struct following f = {.run = r, .job = job, .quiet = quiet};
    int64_t end = timeout_ms ? clock_mono_ms() + (int64_t)timeout_ms : INT64_MAX;
    int rc = -1;
    interrupt_catch();
    while ((rc = look(&f)) < 0) {
        if (interrupt_seen() || ferror(stdout) || clock_mono_ms() >= end) {
            run_say("stopped watching; the cutover of %s goes on", job);
            rc = EXIT_TIMED_OUT;
            break;
        }
        rest(&f);
    }
    interrupt_release();
    for (size_t i = 0; i < PAIRS_MAX; i++)
        free(f.shown[i]);
    return rc;
}

int cutover_follow(struct run *r, const char *job, uint64_t timeout_ms)
{
    return follow(r, job, timeout_ms, false);
}

int cutover_wait(struct run *r, const char *job, uint64_t timeout_ms)
{
    return follow(r, job, timeout_ms, true);
}
