/* cmd_job: `godwit job …`: the rows, and the commands that are one question. Main thread. */
#include "orchestrator/console/cmd_job.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "orchestrator/console/jobspec.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"
#include "orchestrator/console/watch.h"

#define VALIDATE_MS 60000 /* hosts that have not answered by then are unknown */

struct start_opts {
    struct watch_opts watch;
    char *phase;
    char *accept_loss;
    char *override;
    bool dry_run;
    bool wait;
};

struct validate_opts {
    char *override;
    bool quick;
};

struct retry_opts {
    char *cause;
};

struct show_opts {
    char *state;
};

static const struct column list_columns[] = {
    {"JOB",      "job",      CELL_TEXT   },
    {"WORKLOAD", "workload", CELL_TEXT   },
    {"STATE",    "state",    CELL_TEXT   },
    {"DONE",     "percent",  CELL_PERCENT},
    {"PAIRS",    "pairs",    CELL_COUNT  },
    {"RUNNING",  "running",  CELL_COUNT  },
    {"FINISHED", "done",     CELL_COUNT  },
    {"PARTIAL",  "partial",  CELL_COUNT  },
    {"FAILED",   "failed",   CELL_COUNT  },
    {"CREATED",  "created",  CELL_TEXT   },
    {NULL,       NULL,       CELL_TEXT   },
};

static const struct column job_fields[] = {
    {"Job",      "job",      CELL_TEXT   },
    {"Id",       "id",       CELL_TEXT   },
    {"Workload", "workload", CELL_TEXT   },
    {"State",    "state",    CELL_TEXT   },
    {"Reason",   "reason",   CELL_TEXT   },
    {"Phase",    "phase",    CELL_TEXT   },
    {"Run",      "run",      CELL_PLAIN  },
    {"Dry run",  "dry_run",  CELL_YES    },
    {"Done",     "percent",  CELL_PERCENT},
    {"Created",  "created",  CELL_TEXT   },
    {"Started",  "started",  CELL_TEXT   },
    {"Ended",    "ended",    CELL_TEXT   },
    {NULL,       NULL,       CELL_TEXT   },
};

static const struct column pair_columns[] = {
    {"PAIR",        "n",              CELL_COUNT  },
    {"SOURCE",      "source",         CELL_PLACE  },
    {"DESTINATION", "destination",    CELL_PLACE  },
    {"STATE",       "state",          CELL_TEXT   },
    {"DONE",        "percent",        CELL_PERCENT},
    {"FILES",       "counters.files", CELL_COUNT  },
    {"BYTES",       "counters.bytes", CELL_BYTES  },
    {"RATE",        "rate",           CELL_RATE   },
    {"DOING",       "doing",          CELL_TEXT   },
    {"REASON",      "reason",         CELL_TEXT   },
    {NULL,          NULL,             CELL_TEXT   },
};

static int job_list(struct run *r)
{
    json_t *doc = NULL;
    int rc = run_ask(r, "job list", NULL, &doc);
    if (rc)
        return rc;
    const json_t *jobs = show_find(doc, "jobs");
    if (run_json(r))
        run_print_json(doc);
    else if (json_array_size(jobs) == 0)
        run_say("there are no jobs; godwit job create --help tells how to make one");
    else
        show_table(stdout, list_columns, jobs);
    json_decref(doc);
    return EXIT_DONE;
}

/* The pairs in that state; state NULL: all. A new reference. */
static json_t *pairs_in(const json_t *doc, const char *state)
{
    json_t *list = json_array();
    size_t i = 0;
    json_t *pair = NULL;
    json_array_foreach(show_find(doc, "pairs"), i,
                       pair) if (!state || strcmp(show_str(pair, "state"), state) == 0)(void)
        json_array_append(list, pair);
    return list;
}

#define LAST_PASSES 20 /* of a long list; -o json has all */

/* What the last pass of each pair looked at: a full scan takes its time, and has a reason. */
static void show_last_passes(const json_t *pairs)
{
    size_t i = 0, n = 0;
    const json_t *pair = NULL;
    json_array_foreach(pairs, i, pair)
    {
        const char *text = show_str(pair, "last_pass");
        if (!*text || ++n > LAST_PASSES)
            continue;
        CLEANUP(mem_free) char *clean = show_clean(text);
        (void)printf("%sPair %.0f, last pass: %s\n", n == 1 ? "\n" : "", show_num(pair, "n"),
                     clean);
    }
    if (n > LAST_PASSES)
        (void)printf("and %zu more\n", n - LAST_PASSES);
}

static int job_show(struct run *r)
{
    const struct show_opts *o = r->opts;
    const struct arg args[] = {
        {"job", r->words[0]},
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "job show", args, &doc);
    if (rc)
        return rc;
    json_t *pairs = pairs_in(doc, o->state);
    if (run_json(r)) {
        if (o->state)
            (void)json_object_set(doc, "pairs", pairs);
        run_print_json(doc);
    } else {
        show_fields(stdout, job_fields, doc);
        (void)fputc('\n', stdout);
        show_table(stdout, pair_columns, pairs);
        show_last_passes(pairs);
    }
    json_decref(pairs);
    json_decref(doc);
    return EXIT_DONE;
}

static int start_phase(struct run *r, const struct start_opts *o)
{
    const struct arg args[] = {
        {"job",         r->words[0]              },
        {"phase",       o->phase                 },
        {"dry_run",     o->dry_run ? "yes" : NULL},
        {"accept_loss", o->accept_loss           },
        {"override",    o->override              },
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "job start", args, &doc);
    if (rc)
        return rc;
    if (run_json(r) && !o->wait)
        run_print_json(doc);
    json_decref(doc);
    if (o->wait)
        return watch_job(r, r->words[0], &o->watch);
    if (!run_json(r))
        run_say("%s is running; godwit job watch %s shows it", r->words[0], r->words[0]);
    return EXIT_DONE;
}

static int job_start(struct run *r)
{
    return start_phase(r, r->opts);
}

static int job_inventory(struct run *r)
{
    struct start_opts o = *(const struct start_opts *)r->opts;
    char phase[] = "inventory";
    o.phase = phase;
    return start_phase(r, &o);
}

static const struct column check_columns[] = {
    {"CHECK",      "id",         CELL_TEXT},
    {"RESULT",     "result",     CELL_TEXT},
    {"FROM",       "from",       CELL_TEXT},
    {"OVERRIDDEN", "overridden", CELL_YES },
    {"FOUND",      "evidence",   CELL_TEXT},
    {"WHAT TO DO", "remedy",     CELL_TEXT},
    {NULL,         NULL,         CELL_TEXT},
};

static int ask_checks(struct run *r, const char *probe, json_t **ret, struct fault *f)
{
    const struct validate_opts *o = r->opts;
    const struct arg args[] = {
        {"job",      r->words[0]},
        {"probe",    probe      },
        {"override", o->override},
        ARGS_END
    };
    return run_try(r, "job validate", args, ret, f);
}

/* The checks come along also when one of them fails. */
static int job_validate(struct run *r)
{
    const struct validate_opts *o = r->opts;
    const struct timespec moment = {.tv_nsec = 100 * 1000 * 1000};
    int64_t until = clock_mono_ms() + VALIDATE_MS;
    json_t *doc = NULL;
    struct fault f = {0};
    int rc = ask_checks(r, o->quick ? NULL : "yes", &doc, &f);
    while (!o->quick && show_flag(doc, "probing") && clock_mono_ms() < until) {
        (void)nanosleep(&moment, NULL);
        json_decref(doc);
        doc = NULL;
        rc = ask_checks(r, NULL, &doc, &f);
    }
    if (run_json(r))
        run_print_json(doc);
    else
        show_table(stdout, check_columns, show_find(doc, "checks"));
    json_decref(doc);
    return rc ? run_fail(rc, "%s", f.text) : EXIT_DONE;
}

static int job_pause(struct run *r)
{
    return run_each(r, "job", NULL, "pauses; godwit job resume goes on from there");
}

static int job_resume(struct run *r)
{
    return run_each(r, "job", NULL, "goes on");
}

static int job_stop(struct run *r)
{
    return run_each(r, "job", NULL, "stops; what has arrived stays");
}

static int job_retry(struct run *r)
{
    const struct retry_opts *o = r->opts;
    const struct arg args[] = {
        {"cause", o->cause && *o->cause ? o->cause : NULL},
        ARGS_END
    };
    return run_each(r, "job", args, "does again what failed");
}

static int job_delete(struct run *r)
{
    if (run_declined("Forget %s%s? Reports are kept, files stay where they are.", r->words[0],
                     r->nwords > 1 ? " and the others" : ""))
        return EXIT_FAILED;
    return run_each(r, "job", NULL,
                    "is forgotten; its reports are kept, files stay where they are");
}

static const struct option_row show_options[] = {
    {.name = "pairs-in",
     .kind = OPT_ENUM,
     .off = offsetof(struct show_opts, state),
     .choices = "pending|waiting|running|paused|stopped|done|partial|failed",
     .value = "STATE",
     .help = "Only the pairs in this state."},
    {.name = NULL},
};

static const struct option_row retry_options[] = {
    {.name = "cause",
     .kind = OPT_STRING,
     .off = offsetof(struct retry_opts, cause),
     .value = "CODE",
     .help = "Only what failed by this cause, as job report names it: EACCES, VERIFY_CONTENT …"},
    {.name = NULL},
};

static const struct option_row start_options[] = {
    {.name = "phase",
     .kind = OPT_ENUM,
     .off = offsetof(struct start_opts, phase),
     .choices = "inventory|transfer",
     .help = "inventory only counts; transfer counts and copies (the default)."},
    {.name = "dry-run",
     .kind = OPT_BOOL,
     .off = offsetof(struct start_opts, dry_run),
     .def = "no",
     .help = "Says what would be done, and changes nothing."},
    {.name = "accept-loss",
     .kind = OPT_STRING,
     .off = offsetof(struct start_opts, accept_loss),
     .value = "CLASS",
     .repeat = true,
     .help = "Moves although the destination cannot keep that; from then on it is accepted, and "
             "stands in the journal."},
    {.name = "override",
     .kind = OPT_STRING,
     .off = offsetof(struct start_opts, override),
     .value = "ID",
     .repeat = true,
     .help = "Starts although that check fails (job validate --help has the ids); stands in the "
             "journal."},
    {.name = "wait",
     .kind = OPT_BOOL,
     .off = offsetof(struct start_opts, wait),
     .def = "no",
     .help = "Watches the job and ends with its exit code."},
    {.name = "timeout",
     .kind = OPT_DURATION,
     .off = offsetof(struct start_opts, watch.timeout_ms),
     .help = "With --wait: stop watching after this time, with exit code 7; the job goes on."},
    {.name = NULL},
};

static const struct option_row inventory_options[] = {
    {.name = "wait",
     .kind = OPT_BOOL,
     .off = offsetof(struct start_opts, wait),
     .def = "no",
     .help = "Watches the job and ends with its exit code."},
    {.name = "timeout",
     .kind = OPT_DURATION,
     .off = offsetof(struct start_opts, watch.timeout_ms),
     .help = "With --wait: stop watching after this time, with exit code 7; the job goes on."},
    {.name = NULL                      },
};

static const struct option_row validate_options[] = {
    {.name = "override",
     .kind = OPT_STRING,
     .off = offsetof(struct validate_opts, override),
     .value = "ID",
     .repeat = true,
     .help = "That check need not pass."},
    {.name = "quick",
     .kind = OPT_BOOL,
     .off = offsetof(struct validate_opts, quick),
     .def = "no",
     .help = "Only what the orchestrator knows by itself; asks no host."},
    {.name = NULL                       },
};

static const struct option_row watch_options[] = {
    {.name = "timeout",
     .kind = OPT_DURATION,
     .off = offsetof(struct watch_opts, timeout_ms),
     .help = "Stop watching after this time, with exit code 7; the job goes on."},
    {.name = NULL},
};

static const struct option_row report_options[] = {
    {.name = "run",
     .kind = OPT_STRING,
     .off = offsetof(struct report_opts, run),
     .value = "N",
     .help = "The report of that run; runs are counted from 1. Default: the last one."},
    {.name = "csv",
     .kind = OPT_BOOL,
     .off = offsetof(struct report_opts, csv),
     .def = "no",
     .help = "One line for each pair, for spreadsheets."},
    {.name = NULL                      },
};

static const struct option_row failures_options[] = {
    {.name = "pair",
     .kind = OPT_UINT,
     .off = offsetof(struct failures_opts, pair),
     .def = "0",
     .max = LIMIT_PAIRS,
     .value = "N",
     .help = "Of this pair only; 0 is all of them."},
    {.name = "cause",
     .kind = OPT_STRING,
     .off = offsetof(struct failures_opts, cause),
     .def = "",
     .value = "CODE",
     .help = "Only what failed by that cause, such as EACCES."},
    {.name = "csv",
     .kind = OPT_BOOL,
     .off = offsetof(struct failures_opts, csv),
     .def = "no",
     .help = "As CSV: pair, code, path."},
    {.name = NULL                        },
};

static const struct option_row journal_options[] = {
    {.name = "after",
     .kind = OPT_UINT,
     .off = offsetof(struct journal_opts, after),
     .def = "0",
     .value = "SEQ",
     .help = "Only rows after this number."},
    {.name = NULL},
};

static const char *const create_examples[] = {
    "godwit job create -f wave.yaml",
    "godwit job create -f wave.csv --name wave1 --delete",
    "godwit job create files --pair fs1:/srv/data=new1:/srv/data --name data",
    NULL,
};
static const char *const inventory_examples[] = {
    "godwit job inventory wave1 --wait", "godwit inventory show wave1    # what was found", NULL};
static const char *const start_examples[] = {
    "godwit job start wave1 --phase inventory --wait    # what is there?",
    "godwit job start wave1 --dry-run --wait            # what would be done?",
    "godwit job start wave1                             # do it",
    NULL,
};
static const char *const watch_examples[] = {
    "godwit job watch wave1            # Ctrl-C leaves the job running",
    "godwit job watch wave1 > log      # plain lines when it is no terminal",
    NULL,
};
static const char *const report_examples[] = {
    "godwit job report wave1",
    "godwit job report wave1 --run 1 -o json",
    "godwit job report wave1 --csv > wave1.csv",
    NULL,
};
static const struct option_row map_options[] = {
    {.name = "pair",
     .kind = OPT_UINT,
     .off = offsetof(struct map_opts, pair),
     .def = "0",
     .max = LIMIT_PAIRS,
     .value = "N",
     .help = "Only that pair; 0 is all of them."},
    {.name = NULL},
};

static const char *const map_examples[] = {"godwit job map wave1",
                                           "godwit job map wave1 --pair 2 -o json", NULL};

static const char *const validate_examples[] = {
    "godwit job validate wave1", "godwit job validate wave1 --override clock-skew", NULL};
static const char *const access_examples[] = {
    "godwit job access wave1", "godwit job access wave1 --user 'LAB\\alice' --user bob --paths 100",
    NULL};
static const char *const pause_examples[] = {"godwit job pause wave1 wave2", NULL};
static const char *const resume_examples[] = {"godwit job resume wave1 wave2", NULL};
static const char *const stop_examples[] = {"godwit job stop wave1", NULL};
static const char *const retry_examples[] = {
    "godwit job report wave1    # what failed, and what to do about it", "godwit job retry wave1",
    "godwit job retry wave1 --cause EACCES    # what the report calls (EACCES), and only that",
    NULL};
static const char *const delete_examples[] = {"godwit job delete wave1", NULL};
static const char *const failures_examples[] = {"godwit job failures wave1 --csv >failures.csv",
                                                "godwit job failures wave1 --cause EACCES", NULL};
static const char *const journal_examples[] = {"godwit job journal wave1",
                                               "godwit job journal wave1 --after 40 -o json", NULL};
static const char *const list_examples[] = {"godwit job list -o json", NULL};
static const char *const show_examples[] = {
    "godwit job show wave1 --pairs-in failed    # what went wrong, and why", NULL};

/* The shape most rows share: jobs as words. */
#define JOB_ROW(verb_, max_, help_, run_, ...)                                                     \
    {                                                                                              \
        .noun = "job", .verb = (verb_), .words = (max_) == 1 ? "JOB" : "JOB...", .min_words = 1,   \
        .max_words = (max_), .kind = WORD_JOB, .help = (help_), .run = (run_), __VA_ARGS__         \
    }
#define OPTIONS(rows_, type_) .options = (rows_), .opts_size = sizeof(struct type_)
#define NO_OPTIONS .options = NULL

const struct command job_commands[] = {
    {.noun = "job",
     .verb = "create",
     .words = "[WORKLOAD]",
     .max_words = 1,
     .kind = WORD_WORKLOAD,
     .options = jobspec_options,
     .opts_size = sizeof(struct jobspec),
     .help = "Makes a job from a file or from --pair options; it waits until it is started.",
     .more =
         "A job file in YAML has the keys name, workload, options, limits (pairs: N, rate: RATE, "
         "calendar: a list of windows) and pairs, "
         "a list of source: and destination:, or of HOST:PATH=HOST:PATH. A CSV file has lines "
         "of source,destination. Options given here win over those of the file. An error names "
         "line and column, and then no job is made. Bytes that are not UTF-8 are written \\xNN.", .examples = create_examples,
     .run = job_create},
    JOB_ROW(
        "validate", 1, "Checks whether a job could start now, and changes nothing.", job_validate,
        OPTIONS(validate_options, validate_opts),
        .more =
            "Asks the hosts of every pair, and sends a short burst from each source to its "
            "destination over a lane of their own. Each check passes, warns, fails, or is "
            "unknown, which stops like a failure (exit code 8). The checks: "
            "destinations-distinct, source-not-destination, hosts-known, hosts-online, "
            "free-space, inodes, file-system, clock-skew, lane-port, lane-port-back, throughput, "
            "rights-source, rights-destination, samba-versions, losses-accepted, "
            "identity-maps, "
            "files-unlocked. One more is made by each pass itself: source-root, whether the source "
            "folder is the one of the passes before.",
        .examples = validate_examples),
    JOB_ROW("map", 1, "Prints what the job's id map would change on the source, entry by entry.",
            job_map, OPTIONS(map_options, map_opts),
            .more =
                "Each entry whose owner, group, POSIX ACL or NT descriptor would be another one at "
                "the destination, with what it is before and after; then how many there are. "
                "Ids that accounts got in an earlier run count too. Nothing is changed.",
            .examples = map_examples),
    JOB_ROW("access", 1,
            "Asks both hosts whether users may open what they may open here there too, and changes "
            "nothing.",
            job_access, OPTIONS(access_options, access_opts),
            .more =
                "Samples users and paths at the source, and asks each host the same question as "
                "each user: may they read or list, write, delete? Of the host's own smbd in a "
                "session of the user, where a share has the path, and of the kernel. Rights are "
                "asked for by opening with them; nothing is written or deleted. A different answer "
                "is a finding with both reasons (exit code 1); exit code 3: not everything could "
                "be asked.",
            .examples = access_examples),
    JOB_ROW("inventory", 1,
            "Looks at the hosts and counts the files of every pair at once, and moves nothing.",
            job_inventory, OPTIONS(inventory_options, start_opts), .examples = inventory_examples),
    JOB_ROW("start", 1, "Starts a job, or its next run.", job_start,
            OPTIONS(start_options, start_opts), .examples = start_examples),
    JOB_ROW("pause", -1, "Lets a job come to rest at a safe point.", job_pause, NO_OPTIONS,
            .examples = pause_examples),
    JOB_ROW("resume", -1, "Lets a paused job go on; nothing durable is sent again.", job_resume,
            NO_OPTIONS, .examples = resume_examples),
    JOB_ROW("stop", -1, "Ends a job's run at a safe point.", job_stop, NO_OPTIONS,
            .examples = stop_examples),
    JOB_ROW("retry", -1, "Does again what failed in the last run, and only that.", job_retry,
            OPTIONS(retry_options, retry_opts), .examples = retry_examples),
    JOB_ROW("delete", -1, "Forgets a job; its reports are kept, files stay.", job_delete,
            NO_OPTIONS, .examples = delete_examples),
    {.noun = "job",
     .verb = "list",
     .words = "",
     .help = "Lists the jobs.",
     .examples = list_examples,
     .run = job_list},
    JOB_ROW("show", 1, "Shows a job and its pairs.", job_show, OPTIONS(show_options, show_opts),
            .examples = show_examples),
    JOB_ROW("watch", 1, "Shows a job's pairs while they run; ends with the job's exit code.",
            job_watch, OPTIONS(watch_options, watch_opts), .examples = watch_examples),
    JOB_ROW("report", 1, "Tells what a run did: totals, pairs, and failures by cause.", job_report,
            OPTIONS(report_options, report_opts), .examples = report_examples),
    JOB_ROW(
        "failures", 1, "Lists every item that failed in the last run, of all pairs.", job_failures,
        OPTIONS(failures_options, failures_opts), .examples = failures_examples,
        .more =
            "The sources keep the lists; they have to be there. job report has the causes, with "
            "examples and what to do."),
    JOB_ROW("journal", 1, "Lists the journal of a job: every intent and result, chained.",
            job_journal, OPTIONS(journal_options, journal_opts), .examples = journal_examples),
    {.noun = NULL},
};
