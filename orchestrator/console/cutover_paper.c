/* cutover_paper: tables of one document that the daemon gives. Main thread. */
#include "orchestrator/console/cutover_paper.h"

#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/show.h"

int cutover_ask(struct run *r, json_t **ret)
{
    const struct arg args[] = {
        {"job", r->words[0]},
        ARGS_END
    };
    return run_ask(r, "cutover show", args, ret);
}

int cutover_each(struct run *r, void (*one)(const json_t *pair), json_t *(*as_json)(const json_t *))
{
    json_t *doc = NULL;
    size_t i;
    const json_t *pair;
    int rc = cutover_ask(r, &doc);
    if (rc)
        return rc;
    if (run_json(r)) {
        json_t *o = as_json ? as_json(doc) : json_incref(doc);
        run_print_json(o);
        json_decref(o);
    } else {
        json_array_foreach(json_object_get(doc, "pairs"), i, pair)
        {
            (void)printf("%s", i ? "\n" : "");
            one(pair);
        }
    }
    json_decref(doc);
    return EXIT_DONE;
}

void cutover_print_state(const json_t *pair)
{
    const char *state = show_str(pair, "cutover");
    (void)printf("%s to %s, %s: %s\n", show_str(pair, "source_host"),
                 show_str(pair, "destination_host"), show_str(pair, "method"),
                 *state ? state : "not begun");
}

/* ── report ── */

static const struct column check_columns[] = {
    {"CHECK",  "id",     CELL_TEXT},
    {"ON",     "on",     CELL_TEXT},
    {"RESULT", "result", CELL_TEXT},
    {"WHY",    "text",   CELL_TEXT},
    {"REMEDY", "remedy", CELL_TEXT},
    {NULL,     NULL,     CELL_TEXT},
};

static const struct column outage_columns[] = {
    {"Predicted outage", "outage.predicted_ms", CELL_AGE },
    {"Measured outage",  "outage.measured_ms",  CELL_AGE },
    {"Taken back",       "why",                 CELL_TEXT},
    {NULL,               NULL,                  CELL_TEXT},
};

static const struct column finding_columns[] = {
    {"USERS", "check",  CELL_TEXT},
    {"BY",    "target", CELL_TEXT},
    {"OK",    "passed", CELL_YES },
    {"",      "text",   CELL_TEXT},
    {NULL,    NULL,     CELL_TEXT},
};

static const struct column written_columns[] = {
    {"Written since the cutover", "written.files", CELL_COUNT},
    {"Carried back",              "carry.files",   CELL_COUNT},
    {"Carried deletes",           "carry.deleted", CELL_COUNT},
    {"Not carried back",          "carry.failed",  CELL_COUNT},
    {NULL,                        NULL,            CELL_TEXT },
};

static const struct column path_columns[] = {
    {"ONLY ON THE DESTINATION", "path", CELL_TEXT},
    {NULL,                      NULL,   CELL_TEXT},
};

static const struct column identity_columns[] = {
    {"IDENTITY", "what",   CELL_TEXT},
    {"OF",       "on",     CELL_TEXT},
    {"JUDGED",   "judged", CELL_TEXT},
    {"BEFORE",   "before", CELL_TEXT},
    {"AFTER",    "after",  CELL_TEXT},
    {"WHY",      "why",    CELL_TEXT},
    {NULL,       NULL,     CELL_TEXT},
};

static void print_left(const json_t *pair)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(pair, "left"), i, one)
    {
        (void)printf("Not taken back: %s\n", json_string_value(one) ? json_string_value(one) : "");
    }
}

static void print_report(const json_t *pair)
{
    cutover_print_state(pair);
    show_fields(stdout, outage_columns, pair);
    show_table(stdout, check_columns, json_object_get(pair, "checks"));
    show_table(stdout, finding_columns, json_object_get(pair, "findings"));
    show_fields(stdout, written_columns, pair);
    if (!show_flag(json_object_get(pair, "carry"), "done"))
        show_table(stdout, path_columns, show_find(pair, "written.paths"));
    show_table(stdout, identity_columns, json_object_get(pair, "identity"));
    print_left(pair);
}

int cutover_report(struct run *r)
{
    return cutover_each(r, print_report, NULL);
}

static unsigned count_failed(const json_t *checks)
{
    size_t i;
    unsigned n = 0;
    const json_t *c;
    json_array_foreach(checks, i, c)
    {
        n += strcmp(show_str(c, "result"), "fail") == 0;
    }
    return n;
}

int cutover_checks(struct run *r, int ran)
{
    json_t *doc = NULL, *pairs = json_array();
    size_t i;
    unsigned failed = 0;
    const json_t *pair;
    int rc = cutover_ask(r, &doc);
    json_array_foreach(json_object_get(doc, "pairs"), i, pair)
    {
        const json_t *checks = json_object_get(pair, "checks");
        unsigned n = count_failed(checks);
        failed += n;
        (void)json_array_append_new(
            pairs, json_pack("{s:s,s:s,s:b,s:O?}", "source_host", show_str(pair, "source_host"),
                             "destination_host", show_str(pair, "destination_host"), "fit", n == 0,
                             "checks", json_object_get(pair, "checks")));
        if (!run_json(r)) {
            (void)printf("%s%s to %s, %s\n", i ? "\n" : "", show_str(pair, "source_host"),
                         show_str(pair, "destination_host"), show_str(pair, "method"));
            show_table(stdout, check_columns, checks);
        }
        if (ran == EXIT_FAILED && n == 0)
            (void)run_fail(EXIT_FAILED, "%s", show_str(pair, "pair_reason"));
    }
    if (rc == EXIT_DONE && run_json(r)) {
        json_t *o = json_pack("{s:s,s:O}", "job", show_str(doc, "job"), "pairs", pairs);
        run_print_json(o);
        json_decref(o);
    }
    json_decref(pairs);
    json_decref(doc);
    return rc != EXIT_DONE ? rc : failed ? EXIT_PREFLIGHT : ran;
}

/* ── runbook ── */

static void print_commands(const json_t *stage)
{
    size_t i;
    const json_t *c;
    const char *before = "";
    json_array_foreach(json_object_get(stage, "commands"), i, c)
    {
        CLEANUP(mem_free) char *text = show_clean(show_str(c, "command"));
        if (strcmp(before, show_str(c, "on")) != 0)
            (void)printf("    on %s:\n", show_str(c, "on"));
        before = show_str(c, "on");
        (void)printf("        %s\n", text);
    }
}

static void print_stage(const json_t *stage)
{
    const char *state = show_str(stage, "state"), *after = show_str(stage, "after");
    bool done = strcmp(state, "done") == 0;
    CLEANUP(mem_free) char *what = show_clean(after);
    if (strcmp(state, "skipped") == 0)
        return;
    (void)printf("[%c] %3lld%%  %s  %s%s%s%s\n",
                 done                         ? 'x'
                 : strcmp(state, "open") == 0 ? ' '
                                              : '~',
                 (long long)show_int(stage, "percent"), show_str(stage, "id"),
                 show_str(stage, "stage"), done && *what ? "  (" : "", done ? what : "",
                 done && *what ? ")" : "");
    if (!done)
        print_commands(stage);
}

static void print_runbook(const json_t *pair)
{
    size_t i;
    const json_t *stage;
    (void)printf("# ");
    cutover_print_state(pair);
    if (!json_object_get(pair, "plan"))
        (void)printf("# there is no plan: godwit cutover prepare makes one, and the commands\n");
    (void)printf("# [x] done  [~] begun  [ ] to do\n");
    json_array_foreach(json_object_get(pair, "stages"), i, stage)
    {
        print_stage(stage);
    }
}

/* Of the same document what a person needs. */
static json_t *runbook_json(const json_t *doc)
{
    json_t *pairs = json_array();
    size_t i, k;
    const json_t *pair, *stage;
    json_array_foreach(json_object_get(doc, "pairs"), i, pair)
    {
        json_t *stages = json_array();
        json_array_foreach(json_object_get(pair, "stages"), k, stage)
        {
            if (strcmp(show_str(stage, "state"), "skipped") == 0)
                continue;
            (void)json_array_append_new(
                stages, json_pack("{s:s,s:I,s:s,s:s,s:O?}", "id", show_str(stage, "id"), "percent",
                                  (json_int_t)show_int(stage, "percent"), "stage",
                                  show_str(stage, "stage"), "state", show_str(stage, "state"),
                                  "commands", json_object_get(stage, "commands")));
        }
        (void)json_array_append_new(
            pairs, json_pack("{s:s,s:s,s:s,s:s,s:o}", "source_host", show_str(pair, "source_host"),
                             "destination_host", show_str(pair, "destination_host"), "method",
                             show_str(pair, "method"), "cutover", show_str(pair, "cutover"),
                             "stages", stages));
    }
    return json_pack("{s:s,s:o}", "job", show_str(doc, "job"), "pairs", pairs);
}

int cutover_runbook(struct run *r)
{
    return cutover_each(r, print_runbook, runbook_json);
}
