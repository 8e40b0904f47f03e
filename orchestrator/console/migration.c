/* migration: one run of `godwit migrate`, from the start of the children to the report. Main
 * thread. */
#include "orchestrator/console/migration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/console/client.h"
#include "orchestrator/console/embed.h"
#include "orchestrator/console/interrupt.h"
#include "orchestrator/console/jobspec.h"
#include "orchestrator/console/progress.h"
#include "orchestrator/console/report.h"
#include "orchestrator/console/show.h"
#include "orchestrator/console/watch.h"

#define START_MS 60000 /* until both agents are there */
#define STOP_MS 15000  /* until an interrupted job has come to rest */
#define POLL_FIRST_MS 30
#define POLL_MS 500

static void rest(int64_t ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* The embedded orchestrator answers, or one of the three has ended. */
static int wait_ready(struct migration *m)
{
    int64_t deadline = clock_mono_ms() + START_MS;
    struct fault f = {0};
    while (!interrupt_seen() && clock_mono_ms() < deadline) {
        json_t *doc = NULL;
        if (!embed_alive(m->embed, &f))
            return run_fail(EXIT_FAILED, "%s (more in %s)", f.text, m->dir);
        int rc = run_try(&m->run, "status", NULL, &doc, &f);
        json_decref(doc);
        if (rc == EXIT_DONE)
            return rc;
        m->run.client = client_close(m->run.client);
        rest(20);
    }
    return run_fail(EXIT_FAILED, "the embedded orchestrator does not answer: %s (more in %s)",
                    f.text, m->dir);
}

static int give_token(struct migration *m, const char *host)
{
    if (!embed_wants_tokens(m->embed)) {
        (void)embed_token(m->embed, host, NULL);
        return EXIT_DONE;
    }
    const struct arg args[] = {
        {"host", host    },
        {"ttl",  "600000"},
        ARGS_END
    };
    json_t *doc = NULL;
    struct fault f = {0};
    /* The one of an earlier address, if any, must make room for its name. */
    (void)run_try(&m->run, "agent revoke",
                  (const struct arg[]){
                      {"host", host},
                      ARGS_END
    },
                  &doc, &f);
    json_decref(doc);
    int rc = run_ask(&m->run, "token create", args, &doc);
    if (rc == EXIT_DONE && embed_token(m->embed, host, show_str(doc, "token")) < 0)
        rc = run_fail(EXIT_FAILED, "the %s agent has ended (more in %s)", host, m->dir);
    json_decref(doc);
    return rc;
}

static size_t count_online(const json_t *doc)
{
    size_t n = 0, i = 0;
    const json_t *one = NULL;
    json_array_foreach(show_find(doc, "agents"), i, one) n +=
        strcmp(show_str(one, "presence"), "online") == 0;
    return n;
}

static int wait_agents(struct migration *m)
{
    int64_t deadline = clock_mono_ms() + START_MS;
    struct fault f = {0};
    while (!interrupt_seen() && clock_mono_ms() < deadline) {
        json_t *doc = NULL;
        int rc = run_try(&m->run, "agent list", NULL, &doc, &f);
        size_t online = count_online(doc);
        json_decref(doc);
        if (rc == EXIT_DONE && online == 2)
            return rc;
        if (!embed_alive(m->embed, &f))
            return run_fail(EXIT_FAILED, "%s (more in %s)", f.text, m->dir);
        rest(20);
    }
    return run_fail(EXIT_FAILED, "the embedded agents did not start (more in %s)", m->dir);
}

/* "auto", or the hook's name. */
static const char *snapshot_word(const char *how)
{
    const char *colon = strchr(how, ':');
    return colon ? colon + 1 : how;
}

/* Its name tells the options: a job keeps those it was made with. malloc'd canonical JSON. */
static int make_spec(struct migration *m, char **ret, struct fault *reterr)
{
    const struct migrate_opts *o = m->opts;
    CLEANUP(mem_free) char *from = text_printable(m->src, strlen(m->src));
    CLEANUP(mem_free) char *to = text_printable(m->dst, strlen(m->dst));
    CLEANUP(mem_free) char *source = xasprintf(EMBED_SOURCE ":%s", from);
    CLEANUP(mem_free) char *destination = xasprintf(EMBED_DESTINATION ":%s", to);
    bool look = strcmp(o->verify, "in-flight") != 0, list = strcmp(o->manifest, "off") != 0;
    CLEANUP(mem_free)
    char *proof =
        xasprintf("%s%s%s", look ? ".verify-" : "", look ? o->verify : "", list ? ".manifest" : "");
    for (char *c = proof; *c; c++) /* "sample:5%" is no name */
        *c = *c == ':' || *c == '%' ? '-' : *c;
    CLEANUP(mem_free) char *filter = jobspec_filter_name(&o->filter);
    m->job = xasprintf("migrate%s%s%s%s%s%s%s%s%s%s%s", o->delete_extras ? ".delete" : "",
                       o->dry_run ? ".dry-run" : "", o->checksum ? ".checksum" : "",
                       o->delta ? ".delta" : "", o->one_file_system ? ".one-fs" : "",
                       strcmp(o->compress, "auto") == 0 ? "" : ".compress-",
                       strcmp(o->compress, "auto") == 0 ? "" : o->compress, proof,
                       strcmp(o->snapshot, "none") == 0 ? "" : ".snapshot-",
                       strcmp(o->snapshot, "none") == 0 ? "" : snapshot_word(o->snapshot), filter);
    char all[] = "all"; /* what could not be kept stands in the report */
    struct jobspec s = {.name = m->job,
                        .accept_loss = all,
                        .delete_extras = o->delete_extras,
                        .dry_run = o->dry_run,
                        .checksum = o->checksum,
                        .delta = o->delta,
                        .one_file_system = o->one_file_system,
                        .compress = o->compress,
                        .verify = o->verify,
                        .manifest = o->manifest,
                        .snapshot = o->snapshot,
                        .filter = o->filter};
    int rc = jobspec_add(&s, source, destination, "", reterr);
    if (rc == 0)
        rc = jobspec_json(&s, ret, reterr);
    jobspec_done(&s);
    return rc;
}

static int ask_job(struct migration *m, const char *command, const char *job, json_t **ret)
{
    const struct arg args[] = {
        {"job", job},
        ARGS_END
    };
    return run_ask(&m->run, command, args, ret);
}

static int begin_job(struct migration *m, json_t **ret)
{
    const struct arg args[] = {
        {"job",      m->job           },
        {"override", m->opts->override},
        ARGS_END
    };
    return run_ask(&m->run, "job start", args, ret);
}

static bool job_moves(const char *state)
{
    return !progress_over(state) && strcmp(state, "created") != 0 && strcmp(state, "paused") != 0;
}

/* A run that was cut off goes on by itself when the orchestrator is back: one with other options
 * must not. */
static void stop_others(struct migration *m)
{
    json_t *doc = NULL, *one = NULL, *answer = NULL;
    size_t i = 0;
    struct fault f = {0};
    if (run_try(&m->run, "job list", NULL, &doc, &f) == EXIT_DONE)
        json_array_foreach(show_find(doc, "jobs"), i, one)
        {
            const char *job = show_str(one, "job");
            if (strcmp(job, m->job) == 0 || !job_moves(show_str(one, "state")))
                continue;
            const struct arg args[] = {
                {"job", job},
                ARGS_END
            };
            (void)run_try(&m->run, "job stop", args, &answer, &f);
            json_decref(answer);
        }
    json_decref(doc);
}

/* The job may have one from an earlier run. */
static int set_rate(struct migration *m)
{
    const char *rate = m->opts->rate;
    const struct arg args[] = {
        {"scope", "job" },
        {"name",  m->job},
        {"rate",  rate  },
        ARGS_END
    };
    json_t *doc = NULL;
    struct fault f = {0};
    int rc = run_try(&m->run, rate ? "limit set" : "limit remove", args, &doc, &f);
    json_decref(doc);
    return rc && rate ? run_fail(rc, "%s", f.text) : EXIT_DONE;
}

static int start_job(struct migration *m)
{
    CLEANUP(mem_free) char *spec = NULL;
    struct fault f = {0};
    if (make_spec(m, &spec, &f) < 0)
        return run_fail(EXIT_USAGE, "%s", f.text);
    stop_others(m);
    const struct arg args[] = {
        {"spec", spec},
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_try(&m->run, "job create", args, &doc, &f);
    json_decref(doc);
    if (rc && rc != EXIT_CONFLICT) /* conflict: it is there from the last run */
        return run_fail(rc, "%s", f.text);
    rc = ask_job(m, "job show", m->job, &doc);
    const char *state = show_str(doc, "state");
    bool paused = strcmp(state, "paused") == 0, moves = job_moves(state);
    json_decref(doc);
    if (rc == EXIT_DONE)
        rc = set_rate(m);
    if (rc || moves)
        return rc;
    rc = paused ? ask_job(m, "job resume", m->job, &doc) : begin_job(m, &doc);
    json_decref(doc);
    return rc;
}

/* Until the job is over; after deadline (0: none) EXIT_TIMED_OUT. *retstate is malloc'd. */
static int follow(struct migration *m, int64_t deadline, char **retstate)
{
    int64_t pause = POLL_FIRST_MS; /* small folders are over in no time */
    for (;;) {
        json_t *doc = NULL;
        struct fault f = {0};
        if (!embed_alive(m->embed, &f))
            return run_fail(EXIT_FAILED, "%s (more in %s)", f.text, m->dir);
        int rc = run_try(&m->run, "job show",
                         (const struct arg[]){
                             {"job", m->job},
                             ARGS_END
        },
                         &doc, &f);
        bool caught = interrupt_seen() && !deadline;
        if (doc && m->view)
            watch_view_draw(m->view, doc);
        free(*retstate);
        *retstate = xstrdup(show_str(doc, "state"));
        json_decref(doc);
        if (rc && !interrupt_seen())
            return run_fail(rc, "%s", f.text);
        if (rc == EXIT_DONE && progress_over(*retstate))
            return EXIT_DONE;
        if (caught || (deadline && clock_mono_ms() > deadline))
            return EXIT_TIMED_OUT;
        rest(pause);
        pause = pause * 2 < POLL_MS ? pause * 2 : POLL_MS;
    }
}

/* Ctrl-C: the job stops at a safe point. */
static int stop_job(struct migration *m, char **retstate)
{
    run_say("stopping at a safe point");
    struct fault f = {0};
    json_t *doc = NULL;
    const struct arg args[] = {
        {"job", m->job},
        ARGS_END
    };
    m->run.client = client_close(m->run.client);
    (void)run_try(&m->run, "job stop", args, &doc, &f);
    json_decref(doc);
    (void)follow(m, clock_mono_ms() + STOP_MS, retstate);
    return run_fail(EXIT_FAILED, "interrupted: what has arrived is whole; the same command goes on "
                                 "from there");
}

static int keep_report(const struct migration *m, json_t *doc, char **retpath)
{
    char at[24];
    clock_format(clock_wall_ms(), at);
    for (char *p = at; *p; p++)
        if (*p == ':')
            *p = '-';
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return -errno;
    report_text(out, doc);
    if (fclose(out) != 0)
        return -errno;
    *retpath = xasprintf("%s/report-%s.txt", m->dir, at);
    CLEANUP(mem_free) char *path = xasprintf("%s/report-%s.json", m->dir, at);
    CLEANUP(mem_free) char *json = json_dumps(doc, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    int rc = file_write(*retpath, 0600, text, len);
    return rc < 0 || !json ? rc : file_write(path, 0600, json, strlen(json));
}

static int tell_report(struct migration *m, const struct run *asked)
{
    CLEANUP(mem_free) char *path = NULL;
    json_t *doc = NULL;
    int rc = ask_job(m, "job report", m->job, &doc);
    if (rc)
        return rc;
    int kept = keep_report(m, doc, &path);
    if (kept == 0)
        (void)json_object_set_new(doc, "kept", json_string(path));
    CLEANUP(mem_free) char *lost = report_not_kept(show_find(doc, "totals"));
    if (run_json(asked)) {
        run_print_json(doc);
        if (lost)
            run_say("%s", lost);
    } else if (!m->opts->quiet) {
        report_text(stdout, doc);
    } else if (lost) {
        run_say("%s", lost);
    }
    (void)fflush(stdout);
    if (kept < 0)
        run_say("the report could not be kept in %s: %s", m->dir, strerror(-kept));
    else if (!m->opts->quiet)
        run_say("report: %s", path);
    json_decref(doc);
    return EXIT_DONE;
}

/* Everything between the start of the children and their end. */
static int migrate_embedded(struct migration *m, const struct run *asked)
{
    CLEANUP(mem_free) char *state = NULL;
    int rc = wait_ready(m);
    if (rc == EXIT_DONE)
        rc = give_token(m, EMBED_SOURCE);
    if (rc == EXIT_DONE)
        rc = give_token(m, EMBED_DESTINATION);
    if (rc == EXIT_DONE)
        rc = wait_agents(m);
    if (rc == EXIT_DONE)
        rc = start_job(m);
    if (rc)
        return rc;
    rc = follow(m, 0, &state);
    if (rc == EXIT_TIMED_OUT)
        return stop_job(m, &state);
    if (rc)
        return rc;
    rc = tell_report(m, asked);
    return rc ? rc : report_exit(state);
}

int migration_run(struct migration *m, const struct run *asked)
{
    struct fault f = {0};
    interrupt_catch();
    if (embed_start(m->dir, &m->embed, &f) < 0) {
        interrupt_release();
        return run_fail(EXIT_FAILED, "%s", f.text);
    }
    m->globals = (struct globals){
        .output = asked->globals->output, .state = m->dir, .reply_ms = asked->globals->reply_ms};
    m->run = (struct run){.cmd = asked->cmd, .globals = &m->globals};
    if (!m->opts->quiet)
        m->view = watch_view_new(stderr);
    int rc = migrate_embedded(m, asked);
    m->run.client = client_close(m->run.client);
    m->view = watch_view_free(m->view);
    m->embed = embed_stop(m->embed);
    interrupt_release();
    return rc;
}
