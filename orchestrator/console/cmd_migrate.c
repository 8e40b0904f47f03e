/* cmd_migrate: `godwit migrate SRC DST`: one folder to another on this machine, with an embedded
 * orchestrator and two agents; nothing keeps running. Main thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"
#include "orchestrator/console/client.h"
#include "orchestrator/console/embed.h"
#include "orchestrator/console/interrupt.h"
#include "orchestrator/console/jobspec.h"
#include "orchestrator/console/migrate_place.h"
#include "orchestrator/console/place.h"
#include "orchestrator/console/progress.h"
#include "orchestrator/console/report.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"
#include "orchestrator/console/watch.h"

#define ROOT_KEEPS "/var/lib/godwit/migrate"
#define START_MS 60000 /* until both agents are there */
#define STOP_MS 15000  /* until an interrupted job has come to rest */
#define POLL_MS 500

struct migrate_opts {
    bool delete_extras, dry_run, checksum, one_file_system, quiet;
    char *compress;
    char *keep;
};

struct migration {
    struct run run; /* of the embedded orchestrator */
    struct globals globals;
    const struct migrate_opts *opts;
    char *src, *dst;
    char *dir; /* what is kept for this pair of folders */
    char *job;
    struct embed *embed;
    struct watch_view *view; /* NULL: quiet */
};

static void rest(int64_t ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&ts, NULL);
}

/* One folder for each pair of folders, so that the next run knows what this one did. */
static int make_dir(struct migration *m, int *retlock)
{
    CLEANUP(mem_free) char *user = m->opts->keep || geteuid() == 0 ? NULL : place_user();
    CLEANUP(mem_free)
    char *base = m->opts->keep    ? xstrdup(m->opts->keep)
                 : geteuid() == 0 ? xstrdup(ROOT_KEEPS)
                 : user           ? xasprintf("%s/migrate", user)
                                  : xasprintf("/tmp/godwit-%u", geteuid());
    uint8_t digest[SHA256_LEN];
    char id[17];
    CLEANUP(mem_free) char *both = xasprintf("%s\n%s", m->src, m->dst);
    sha256_of(both, strlen(both), digest);
    text_hex(digest, 8, id);
    m->dir = xasprintf("%s/%s", base, id);
    int rc = file_mkdirs(m->dir, 0700);
    struct stat st;
    if (rc == 0 && (lstat(m->dir, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077)))
        rc = -EPERM;
    CLEANUP(mem_free) char *path = xasprintf("%s/lock", m->dir);
    int fd = rc == 0 ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (rc == 0 && fd < 0)
        rc = -errno;
    if (rc < 0)
        return run_fail(EXIT_FAILED,
                        "cannot keep state in %s (%s): name another folder with --keep", m->dir,
                        strerror(-rc));
    *retlock = fd;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return run_fail(EXIT_CONFLICT, "these two folders are being migrated already");
    return EXIT_DONE;
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

/* Its name tells the options: a job keeps those it was made with. malloc'd canonical JSON. */
static int make_spec(struct migration *m, char **ret, struct fault *reterr)
{
    const struct migrate_opts *o = m->opts;
    CLEANUP(mem_free) char *from = text_printable(m->src, strlen(m->src));
    CLEANUP(mem_free) char *to = text_printable(m->dst, strlen(m->dst));
    CLEANUP(mem_free) char *source = xasprintf(EMBED_SOURCE ":%s", from);
    CLEANUP(mem_free) char *destination = xasprintf(EMBED_DESTINATION ":%s", to);
    m->job = xasprintf("migrate%s%s%s%s%s%s", o->delete_extras ? ".delete" : "",
                       o->dry_run ? ".dry-run" : "", o->checksum ? ".checksum" : "",
                       o->one_file_system ? ".one-fs" : "",
                       strcmp(o->compress, "auto") == 0 ? "" : ".compress-",
                       strcmp(o->compress, "auto") == 0 ? "" : o->compress);
    struct jobspec s = {.name = m->job,
                        .delete_extras = o->delete_extras,
                        .dry_run = o->dry_run,
                        .checksum = o->checksum,
                        .one_file_system = o->one_file_system,
                        .compress = o->compress};
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
    if (rc || moves)
        return rc;
    rc = ask_job(m, paused ? "job resume" : "job start", m->job, &doc);
    json_decref(doc);
    return rc;
}

/* Until the job is over; after deadline (0: none) EXIT_TIMED_OUT. *retstate is malloc'd. */
static int follow(struct migration *m, int64_t deadline, char **retstate)
{
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
        rest(m->view ? POLL_MS : POLL_MS / 2);
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
        *p = *p == ':' ? '-' : *p;
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

static int migrate_locked(struct migration *m, const struct run *asked)
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

static int migrate_run(struct run *r)
{
    struct migration m = {.opts = r->opts};
    struct fault f = {0};
    CLEANUP(fd_close) int lock = -1;
    int rc = migrate_places(r->words[0], r->words[1], &m.src, &m.dst, &f);
    if (rc)
        return run_fail(rc, "%s", f.text);
    rc = make_dir(&m, &lock);
    if (rc == EXIT_DONE)
        rc = migrate_locked(&m, r);
    free(m.src);
    free(m.dst);
    free(m.dir);
    free(m.job);
    return rc;
}

#define FLAG(name_, member_, help_)                                                                \
    {                                                                                              \
        .name = (name_), .kind = OPT_BOOL, .off = offsetof(struct migrate_opts, member_),          \
        .def = "no", .help = (help_)                                                               \
    }

static const struct option_row options[] = {
    FLAG("delete", delete_extras, "Removes from DST what SRC does not have."),
    FLAG("dry-run", dry_run, "Says what would be done, and changes nothing."),
    {.name = "compress",
                                                                           .kind = OPT_ENUM,
                                                                           .off = offsetof(struct migrate_opts, compress),
                                                                           .def = "auto",
                                                                           .choices = "auto|on|off",
                                                                           .help = "Compression on the way; on one machine it seldom pays."},
    FLAG("checksum", checksum, "Reads both sides instead of trusting size and times."),
    FLAG("one-file-system", one_file_system, "Stays on the file system of SRC."),
    FLAG("quiet", quiet, "No progress and no report on the screen; errors and the exit code only."),
    {.name = "keep",
                                                                           .kind = OPT_STRING,
                                                                           .off = offsetof(struct migrate_opts, keep),
                                                                           .value = "DIR",
                                                                           .help = "Where reports, and what the next run has to know, are kept. Default: " ROOT_KEEPS
             " for root, else ~/.local/state/godwit/migrate."},
    {.name = NULL                      },
};

static const char *const examples[] = {
    "godwit migrate /srv/data /mnt/new/data           # what is in data becomes what is in "
    "new/data",
    "godwit migrate /srv/data /mnt/new/data           # again: sends only what changed",
    "godwit migrate ~/a ~/b --delete --dry-run        # says what would be removed",
    NULL,
};

const struct command migrate_commands[] = {
    {.noun = "migrate",
     .words = "SRC DST",
     .min_words = 2,
     .max_words = 2,
     .kind = WORD_FILE,
     .options = options,
     .opts_size = sizeof(struct migrate_opts),
     .help = "Makes what is in SRC what is in DST, on this machine, without any set-up.",
     .more = "Starts an orchestrator and two agents for the time of the migration; they speak over "
             "encrypted loopback connections, and nothing keeps running. An ordinary user migrates "
             "what that user may read, and is told what could not be kept. A second run sends only "
             "what changed. Ctrl-C stops at a safe point.", .examples = examples,
     .own_process = true,
     .run = migrate_run},
    {.noun = NULL   },
};
