/* cmd_cutover: `godwit cutover …`. Main thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/cutover_paper.h"
#include "orchestrator/console/cutover_watch.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

struct cutover_opts {
    char *method, *new_name, *source_address, *map, *probe_user, *probe_host, *by_hand;
    bool name_only, ssh_keys, accept_failures, wait, destination_off, carry_back, carry_deletes;
    uint64_t max_outage_ms, silence_ms, timeout_ms, soak_ms;
    uint32_t at_once, budget;
};

/* ── what there is to see ── */

static const struct column stage_columns[] = {
    {"NOW",     "percent",      CELL_PERCENT},
    {"AS SEED", "seed_percent", CELL_PERCENT},
    {"ON",      "on",           CELL_TEXT   },
    {"STATE",   "state",        CELL_TEXT   },
    {"STAGE",   "stage",        CELL_TEXT   },
    {"REASON",  "reason",       CELL_TEXT   },
    {NULL,      NULL,           CELL_TEXT   },
};

static void print_pair(const json_t *pair)
{
    cutover_print_state(pair);
    show_table(stdout, stage_columns, json_object_get(pair, "stages"));
}

static int cutover_stages(struct run *r)
{
    return cutover_each(r, print_pair, NULL);
}

/* ── what is done ── */

/* "": what was said before does not hold any more. */
static void set_text(json_t *o, const char *key, const char *value)
{
    if (value)
        (void)json_object_set_new(o, key, *value ? json_string(value) : json_null());
}

static void set_lines(json_t *o, const char *key, const char *lines)
{
    if (!lines)
        return;
    json_t *list = *lines ? json_array() : json_null();
    for (const char *s = lines; *s;) {
        size_t n = strcspn(s, "\n");
        (void)json_array_append_new(list, json_stringn(s, n));
        s += n + (s[n] == '\n');
    }
    (void)json_object_set_new(o, key, list);
}

/* "VALUE" for all pairs, "HOST=VALUE" for the one with that source. */
static void set_by_host(json_t *o, const char *key, const char *lines)
{
    json_t *by = json_object();
    for (const char *s = lines ? lines : ""; *s;) {
        size_t n = strcspn(s, "\n"), host = strcspn(s, "=\n");
        CLEANUP(mem_free)
        char *value = xmemdup(host < n ? s + host + 1 : s, n - (host < n ? host + 1 : 0));
        CLEANUP(mem_free) char *name = xmemdup(s, host < n ? host : 0);
        (void)json_object_set_new(by, name, json_string(value));
        s += n + (s[n] == '\n');
    }
    if (json_object_size(by) > 0)
        (void)json_object_set(o, key, by);
    json_decref(by);
}

/* Of a number and a flag nobody sees whether it was said or is how it begins. */
static bool said(const struct run *r, const char *option)
{
    size_t n = strlen(option);
    for (int i = 0; i < r->argc && strcmp(r->argv[i], "--") != 0; i++)
        if (strncmp(r->argv[i], "--", 2) == 0 && strncmp(r->argv[i] + 2, option, n) == 0 &&
            (r->argv[i][2 + n] == '\0' || r->argv[i][2 + n] == '='))
            return true;
    return false;
}

static void set_number(const struct run *r, json_t *o, const char *option, const char *key,
                       uint64_t n)
{
    if (said(r, option))
        (void)json_object_set_new(o, key, json_integer((json_int_t)n));
}

static void set_flag(const struct run *r, json_t *o, const char *option, const char *key, bool on)
{
    if (said(r, option))
        (void)json_object_set_new(o, key, json_boolean(on));
}

/* malloc'd; NULL: nothing was said. */
static char *settings_of(const struct run *r)
{
    const struct cutover_opts *o = r->opts;
    json_t *s = json_object();
    set_text(s, "method", o->method);
    set_by_host(s, "new_names", o->new_name);
    set_by_host(s, "source_addresses", o->source_address);
    set_text(s, "probe_user", o->probe_user);
    set_text(s, "probe_host", o->probe_host);
    set_lines(s, "map", o->map);
    set_lines(s, "by_hand", o->by_hand);
    set_number(r, s, "soak", "soak", o->soak_ms / 1000);
    set_number(r, s, "at-once", "at_once", o->at_once);
    set_number(r, s, "budget", "budget", o->budget);
    set_number(r, s, "max-outage", "max_outage", (o->max_outage_ms + 999) / 1000);
    set_number(r, s, "silence", "silence", o->silence_ms / 1000);
    set_flag(r, s, "name-only", "name_only", o->name_only);
    set_flag(r, s, "ssh-keys", "ssh_keys", o->ssh_keys);
    set_flag(r, s, "accept-failures", "accept_failures", o->accept_failures);
    char *text = json_object_size(s) ? json_dumps(s, JSON_COMPACT) : NULL;
    json_decref(s);
    return text;
}

static int do_phase(struct run *r, const char *command, const char *settings)
{
    const struct cutover_opts *o = r->opts;
    json_t *doc = NULL;
    const struct arg args[] = {
        {"job",      r->words[0]},
        {"settings", settings   },
        ARGS_END
    };
    int rc = run_ask(r, command, args, &doc);
    json_decref(doc);
    if (rc)
        return rc;
    if (o->wait)
        return cutover_follow(r, r->words[0], o->timeout_ms);
    run_say("%s is under way; godwit cutover watch %s shows it", r->words[0], r->words[0]);
    return EXIT_DONE;
}

static int cutover_prepare(struct run *r)
{
    CLEANUP(mem_free) char *settings = settings_of(r);
    return do_phase(r, "cutover prepare", settings);
}

static int cutover_validate(struct run *r)
{
    const struct cutover_opts *o = r->opts;
    CLEANUP(mem_free) char *own = settings_of(r);
    json_t *doc = NULL, *s = own ? json_loads(own, 0, NULL) : json_object();
    (void)json_object_set_new(s, "only_look", json_true());
    CLEANUP(mem_free) char *settings = json_dumps(s, JSON_COMPACT);
    json_decref(s);
    const struct arg args[] = {
        {"job",      r->words[0]},
        {"settings", settings   },
        ARGS_END
    };
    int rc = run_ask(r, "cutover prepare", args, &doc);
    json_decref(doc);
    if (rc == EXIT_DONE)
        rc = cutover_wait(r, r->words[0], o->timeout_ms);
    return rc == EXIT_DONE || rc == EXIT_FAILED ? cutover_checks(r, rc) : rc;
}

static int cutover_rehearse(struct run *r)
{
    CLEANUP(mem_free) char *settings = settings_of(r);
    return do_phase(r, "cutover rehearse", settings);
}

/* A person is waited for: that is no failure, and not the end. */
static int waits_for_hand(struct run *r, int rc)
{
    json_t *doc = NULL;
    size_t i;
    const json_t *pair;
    if (rc != EXIT_FAILED || cutover_ask(r, &doc) != EXIT_DONE)
        return rc;
    json_array_foreach(json_object_get(doc, "pairs"), i, pair)
    {
        if (*show_str(pair, "hold"))
            rc = EXIT_PARTLY;
    }
    json_decref(doc);
    return rc;
}

static int cutover_run(struct run *r)
{
    CLEANUP(mem_free) char *settings = settings_of(r);
    return waits_for_hand(r, do_phase(r, "cutover run", settings));
}

static int cutover_resume(struct run *r)
{
    return waits_for_hand(r, do_phase(r, "cutover run", NULL));
}

/* What is left behind, and what came along. */
static void say_written(const json_t *pair)
{
    const json_t *carry = json_object_get(pair, "carry"), *w = json_object_get(pair, "written");
    char files[32];
    if (show_flag(carry, "done")) {
        show_count((uint64_t)show_int(carry, "files"), files);
        run_say("%s files that users wrote on %s were carried back, %lld deleted, %lld failed",
                files, show_str(pair, "destination_host"), (long long)show_int(carry, "deleted"),
                (long long)show_int(carry, "failed"));
    } else if (w && !show_flag(w, "known")) {
        run_say("nobody knows what users wrote on %s: it could not be asked",
                show_str(pair, "destination_host"));
    } else if (show_int(w, "files") > 0) {
        show_count((uint64_t)show_int(w, "files"), files);
        run_say("%s%s files that users wrote on %s stay there alone; godwit cutover report lists "
                "them, and --carry-back would have taken them along",
                show_flag(w, "more") ? "at least " : "", files, show_str(pair, "destination_host"));
    }
}

static void say_left(const json_t *pair)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(pair, "left"), i, one)
    {
        run_say("%s", json_string_value(one) ? json_string_value(one) : "");
    }
}

/* A run that was under way ends as a failed one; what was asked for is that it is back. */
static bool all_back(struct run *r)
{
    json_t *doc = NULL;
    size_t i;
    const json_t *pair;
    bool back = cutover_ask(r, &doc) == EXIT_DONE;
    json_array_foreach(json_object_get(doc, "pairs"), i, pair)
    {
        const char *state = show_str(pair, "cutover");
        back = back && (!*state || strcmp(state, "rolled back") == 0);
        if (strcmp(state, "rolled back") == 0)
            say_written(pair);
        say_left(pair);
    }
    json_decref(doc);
    return back;
}

static int cutover_rollback(struct run *r)
{
    const struct cutover_opts *o = r->opts;
    if (o->carry_deletes && !o->carry_back)
        return run_fail(EXIT_USAGE, "--carry-deletes goes with --carry-back");
    json_t *s = json_pack("{s:b,s:b,s:b}", "destination_off", o->destination_off, "carry_back",
                          o->carry_back, "carry_deletes", o->carry_deletes);
    CLEANUP(mem_free) char *settings = json_dumps(s, JSON_COMPACT);
    json_decref(s);
    int rc = do_phase(r, "cutover rollback", settings);
    if (!o->wait)
        return rc;
    bool back = (rc == EXIT_FAILED || rc == EXIT_DONE) && all_back(r);
    return rc == EXIT_FAILED && back ? EXIT_DONE : rc;
}

static int cutover_commit(struct run *r)
{
    if (run_declined("Commit %s? After this there is no way back to the source.", r->words[0]))
        return EXIT_FAILED;
    return do_phase(r, "cutover commit", NULL);
}

static int cutover_watch(struct run *r)
{
    const struct cutover_opts *o = r->opts;
    return cutover_follow(r, r->words[0], o->timeout_ms);
}

/* ── the table ── */

#define WAIT_ROWS                                                                                  \
    {.name = "wait",                                                                               \
     .kind = OPT_BOOL,                                                                             \
     .off = offsetof(struct cutover_opts, wait),                                                   \
     .def = "yes",                                                                                 \
     .help = "Follows the stages until the end; --wait=no comes back at once."},                   \
    {                                                                                              \
        .name = "timeout", .kind = OPT_DURATION, .off = offsetof(struct cutover_opts, timeout_ms), \
        .help = "Stop following after this time, with exit code 7; the cutover goes on."           \
    }

static const struct option_row wait_options[] = {
    WAIT_ROWS,
    {.name = NULL},
};

static const struct option_row rollback_options[] = {
    {.name = "destination-is-off",
     .kind = OPT_BOOL,
     .off = offsetof(struct cutover_opts, destination_off),
     .def = "no",
     .help = "A destination that does not answer is switched off for certain: the source does not "
             "wait for it."},
    {.name = "carry-back",
     .kind = OPT_BOOL,
     .off = offsetof(struct cutover_opts, carry_back),
     .def = "no",
     .help =
         "What users wrote on the new server since it serves goes to the source before that one "
         "serves again."},
    {.name = "carry-deletes",
     .kind = OPT_BOOL,
     .off = offsetof(struct cutover_opts, carry_deletes),
     .def = "no",
     .help = "With --carry-back: what the new server does not have any more goes from the source "
             "too."},
    WAIT_ROWS,
    {.name = NULL                                  },
};

static const struct option_row watch_options[] = {
    {.name = "timeout",
     .kind = OPT_DURATION,
     .off = offsetof(struct cutover_opts, timeout_ms),
     .help = "Stop following after this time, with exit code 7; the cutover goes on."},
    {.name = NULL},
};

static const struct option_row run_options[] = {
    {.name = "method",
     .kind = OPT_ENUM,
     .off = offsetof(struct cutover_opts, method),
     .choices = "transplant|rejoin",
     .help = "transplant takes the machine identity along as it is; rejoin joins the domain anew. "
             "Default: transplant, unless the destination's Samba is older."},
    {.name = "new-name",
     .kind = OPT_STRING,
     .off = offsetof(struct cutover_opts, new_name),
     .value = "[HOST=]NAME",
     .repeat = true,
     .help = "What the source is called afterwards; default: its own with four random digits."},
    {.name = "source-address",
     .kind = OPT_STRING,
     .off = offsetof(struct cutover_opts, source_address),
     .value = "[HOST=]ADDRESS/PREFIX",
     .repeat = true,
     .help = "At which its administrators reach the source afterwards; one of its own stays, "
             "another is added."},
    {.name = "map",
     .kind = OPT_STRING,
     .off = offsetof(struct cutover_opts, map),
     .value = "MAC=MAC",
     .repeat = true,
     .help = "The source's interface and the destination's that takes its addresses. Default: "
             "the one in the same network."},
    {.name = "by-hand",
     .kind = OPT_STRING,
     .off = offsetof(struct cutover_opts, by_hand),
     .value = "STAGE",
     .repeat = true,
     .help = "Stops before this stage, which a person does; its id is what `cutover runbook` "
             "prints. `cutover resume` goes on."},
    {.name = "name-only",
     .kind = OPT_BOOL,
     .off = offsetof(struct cutover_opts, name_only),
     .def = "no",
     .help = "No address moves: for servers in different networks."},
    {.name = "ssh-keys",
     .kind = OPT_BOOL,
     .off = offsetof(struct cutover_opts, ssh_keys),
     .def = "no",
     .help = "The SSH host keys move as well."},
    {.name = "probe-user",
     .kind = OPT_STRING,
     .off = offsetof(struct cutover_opts, probe_user),
     .value = "USER",
     .help = "As whom the new server is tried before it counts; docs/CUTOVER.md says where its "
             "password lies."},
    {.name = "probe-host",
     .kind = OPT_STRING,
     .off = offsetof(struct cutover_opts, probe_host),
     .value = "HOST",
     .help = "A third host with an agent, from which users are played before and after; what "
             "worked before has to work afterwards."},
    {.name = "soak",
     .kind = OPT_DURATION,
     .off = offsetof(struct cutover_opts, soak_ms),
     .help = "Commits by itself so long after 100 %, unless it was taken back. Default: never."},
    {.name = "at-once",
     .kind = OPT_UINT,
     .def = "0",
     .max = 10000,
     .value = "N",
     .off = offsetof(struct cutover_opts, at_once),
     .help = "Of a job with many servers, how many are cut over at the same time."},
    {.name = "budget",
     .kind = OPT_UINT,
     .def = "0",
     .max = 10000,
     .value = "N",
     .off = offsetof(struct cutover_opts, budget),
     .help =
         "How many of them may fail until those that have not begun are left alone; default 0."},
    {.name = "max-outage",
     .kind = OPT_DURATION,
     .off = offsetof(struct cutover_opts, max_outage_ms),
     .help = "Stops before the shares are closed when users would be without them for longer."},
    {.name = "silence",
     .kind = OPT_DURATION,
     .off = offsetof(struct cutover_opts, silence_ms),
     .help = "After so long without an order a host goes back by itself; default 2m, the source "
             "one minute later."},
    {.name = "accept-failures",
     .kind = OPT_BOOL,
     .off = offsetof(struct cutover_opts, accept_failures),
     .def = "no",
     .help = "Goes on although the final pass left files out."},
    WAIT_ROWS,
    {.name = NULL                                  },
};

static const char *const run_examples[] = {
    "godwit cutover prepare wave1 --source-address 192.0.2.77/24   # no host is changed",
    "godwit cutover run wave1 --max-outage 60s",
    "godwit cutover run wave1 --at-once 2 --soak 4h --source-address fs1=192.0.2.77/24 "
    "--source-address fs2=192.0.2.78/24",
    "godwit cutover rollback wave1                                 # the source serves again",
    NULL,
};

#define JOB_ROW(verb_, run_, options_, help_, more_)                                               \
    {                                                                                              \
        .noun = "cutover", .verb = (verb_), .words = "JOB", .min_words = 1, .max_words = 1,        \
        .kind = WORD_JOB, .options = (options_), .opts_size = sizeof(struct cutover_opts),         \
        .run = (run_), .help = (help_), .more = (more_), .examples = run_examples                  \
    }

const struct command cutover_commands[] = {
    JOB_ROW("stages", cutover_stages, NULL, "Lists every stage, whether it applies, and its state.",
            "A stage that does not apply is skipped, with the reason. Stages show two percentages: "
            "where it is done here, and where Windows' own migration service has it."),
    JOB_ROW(
        "prepare", cutover_prepare, run_options,
        "Asks both hosts what they are, makes the plan and checks it; no host is changed.",
        "What it was told is kept for `cutover run`; `cutover report` shows plan and checks. In "
        "a domain it makes the source's new account, disabled, and with --name-only names are "
        "remembered for a minute: `cutover rollback` takes both back."),
    JOB_ROW("validate", cutover_validate, run_options,
            "Checks all that can be known beforehand, and prints each check; changes nothing.",
            "Asks both hosts anew, as prepare does. Exit code 0: nothing is in the way; 8: a check "
            "failed."),
    JOB_ROW(
        "rehearse", cutover_rehearse, run_options,
        "Checks as prepare does, and lets the destination play its part apart from the network.",
        "Samba starts there under the source's names and addresses, in a network without a way "
        "out and on copies in memory; nothing is changed on either host or in the directory. "
        "`cutover report` lists what would fail, and the outage to expect."),
    JOB_ROW("run", cutover_run, run_options,
            "Fences the writers, copies what changed, and moves the identity.",
            "When a stage fails or is over its limit, all is taken back and the source serves as "
            "before. Nothing is final before `cutover commit`."),
    JOB_ROW("watch", cutover_watch, watch_options, "Follows a cutover, stage by stage.", NULL),
    JOB_ROW(
        "resume", cutover_resume, wait_options,
        "Goes on where a cutover was stopped; what is done is not done again.",
        "Each host is asked before anything is done, so what a person did counts. Of a stage of "
        "--by-hand its host has to say that it is so; else the cutover waits on (exit code 3)."),
    JOB_ROW(
        "rollback", cutover_rollback, rollback_options,
        "Takes back what was done: the source serves again as before.",
        "While a cutover runs, and afterwards until `cutover commit`. Says what users wrote on the "
        "new server meanwhile, which stays there unless --carry-back takes it along: then the pair "
        "is copied in the other direction while nobody is served, and the new server's version of "
        "a "
        "file counts."),
    JOB_ROW("commit", cutover_commit, wait_options,
            "Makes it final: the source's copy of the identity is worthless and destroyed.",
            "Asks on a terminal. There is no rollback after it."),
    JOB_ROW("report", cutover_report, NULL,
            "Shows checks, outage, what users were served, and the identity before and after.",
            "Each line of the identity is the same, changed as planned, or changed as nobody "
            "planned. With -o json also the plan and all that both hosts said."),
    JOB_ROW("runbook", cutover_runbook, NULL,
            "Prints the stages as commands that a person types, with what is done already.",
            "For each host, in their order; secrets stay in the files where they are. `cutover "
            "resume` goes on from what a person did; docs/CUTOVER.md, \"By hand\"."),
    {.noun = NULL},
};
