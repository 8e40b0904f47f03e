/* cmd_report: `godwit report …`: what can be shown to a third party, and checked by it. Main
 * thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "orchestrator/console/proof.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

#define KEYS_BYTES_MAX (16U << 20)

struct verify_opts {
    char *keys, *lists;
};

struct manifest_opts {
    uint32_t pair;
    char *run, *to;
};

/* ── keys ── */

static int report_keys(struct run *r)
{
    json_t *doc = NULL;
    size_t i = 0;
    const json_t *key = NULL;
    int rc = run_ask(r, "report keys", NULL, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        json_array_foreach(show_find(doc, "keys"), i, key)(void) printf(
            "%s %s %s\n", show_str(key, "role"), show_str(key, "name"), show_str(key, "key"));
    json_decref(doc);
    return EXIT_DONE;
}

/* ── verify ── */

static int read_keys(const char *path, struct proof_keys **ret)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    struct fault f = {0};
    int rc = file_read(path, KEYS_BYTES_MAX, &text, &len);
    if (rc < 0)
        return run_fail(EXIT_NOT_FOUND, "cannot read the keys in %s: %s", path, strerror(-rc));
    rc = proof_keys_parse(text, len, ret, &f);
    return rc < 0 ? run_fail(EXIT_USAGE, "%s: %s", path, f.text) : EXIT_DONE;
}

static const struct column line_columns[] = {
    {"WHAT",   "what",   CELL_TEXT},
    {"NAME",   "name",   CELL_TEXT},
    {"RESULT", "result", CELL_TEXT},
    {"FOUND",  "found",  CELL_TEXT},
    {NULL,     NULL,     CELL_TEXT},
};

static json_t *lines_json(const struct proof_line lines[PROOF_LINES])
{
    static const char *const results[] = {"good", "not checked", "missing", "wrong"};
    json_t *all = json_array();
    for (int i = 0; i < PROOF_LINES; i++)
        (void)json_array_append_new(all,
                                    json_pack("{s:s,s:s,s:s,s:s,s:s}", "what", lines[i].what,
                                              "name", lines[i].name, "key", lines[i].key, "result",
                                              results[lines[i].result], "found", lines[i].says));
    return all;
}

static int tell(struct run *r, enum proof_result worst, const struct proof_line lines[PROOF_LINES])
{
    static const int codes[] = {EXIT_DONE, EXIT_PARTLY, EXIT_FAILED, EXIT_FAILED};
    static const char *const says[] = {
        "the manifest is what both hosts and the orchestrator have signed",
        "nothing is wrong with what could be checked, but not all could",
        "this proves nothing: a signature is missing",
        "THIS IS NOT WHAT WAS SIGNED",
    };
    json_t *all = lines_json(lines);
    if (run_json(r)) {
        json_t *doc =
            json_pack("{s:i,s:b,s:O}", "schema", 1, "good", worst == PROOF_GOOD, "checks", all);
        run_print_json(doc);
        json_decref(doc);
    } else {
        show_table(stdout, line_columns, all);
    }
    json_decref(all);
    run_say("%s", says[worst]);
    return codes[worst];
}

static int report_verify(struct run *r)
{
    const struct verify_opts *o = r->opts;
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(mem_free) char *copy = xstrdup(r->words[0]);
    struct proof_line lines[PROOF_LINES];
    struct proof_keys *keys = NULL;
    struct statement s;
    size_t len = 0;
    int rc = file_read(r->words[0], STATEMENT_MAX, &text, &len);
    if (rc == -EFBIG || (rc == 0 && statement_parse(text, len, &s) < 0))
        return run_fail(EXIT_FAILED, "%s is no statement of a manifest", r->words[0]);
    if (rc < 0)
        return run_fail(EXIT_NOT_FOUND, "cannot read %s: %s", r->words[0], strerror(-rc));
    if (o->keys && *o->keys && (rc = read_keys(o->keys, &keys)) != EXIT_DONE)
        return rc;
    enum proof_result worst =
        proof_check(&s, keys, o->lists && *o->lists ? o->lists : dirname(copy), lines);
    (void)proof_keys_free(keys);
    return tell(r, worst, lines);
}

/* ── manifest ── */

static int keep(const char *dir, const char *text)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/STATEMENT", dir);
    int rc = file_mkdirs(dir, 0755);
    if (rc == 0)
        rc = file_write(path, 0644, text, strlen(text));
    return rc < 0 ? run_fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(-rc)) : EXIT_DONE;
}

/* The pair's evidence when it has a statement; only: 0 is any. */
static const json_t *evidence_of(const json_t *pair, uint32_t only)
{
    const json_t *e = show_find(pair, "evidence");
    if (only && show_int(pair, "n") != (int64_t)only)
        return NULL;
    return *show_str(e, "statement") ? e : NULL;
}

static int tell_manifest(const struct manifest_opts *o, const json_t *pair, const json_t *e)
{
    bool keeps = o->to && *o->to;
    int rc = keeps ? keep(o->to, show_str(e, "statement")) : EXIT_DONE;
    if (rc)
        return rc;
    if (!keeps)
        (void)fputs(show_str(e, "statement"), stdout);
    CLEANUP(mem_free) char *folder = show_clean(show_str(e, "folder"));
    run_say("pair %.0f: its lists are on host %s in %s", show_num(pair, "n"),
            show_str(pair, "destination.host"), folder);
    return EXIT_DONE;
}

static int report_manifest(struct run *r)
{
    const struct manifest_opts *o = r->opts;
    const struct arg args[] = {
        {"job", r->words[0]},
        {"run", o->run     },
        ARGS_END
    };
    json_t *doc = NULL, *found = json_array(), *pair = NULL;
    size_t i = 0;
    int rc = run_ask(r, "job report", args, &doc);
    json_array_foreach(show_find(doc, "pairs"), i, pair)
    {
        if (evidence_of(pair, o->pair))
            (void)json_array_append(found, pair);
    }
    if (rc == EXIT_DONE && json_array_size(found) == 0)
        rc = run_fail(EXIT_NOT_FOUND, "there is no manifest of that: make the job with --manifest "
                                      "sha256");
    if (rc == EXIT_DONE && o->to && *o->to && json_array_size(found) > 1)
        rc = run_fail(EXIT_USAGE, "several pairs have a manifest: choose one with --pair");
    if (rc == EXIT_DONE && run_json(r))
        run_print_json(found);
    else if (rc == EXIT_DONE)
        json_array_foreach(found, i, pair) if (rc == EXIT_DONE) rc =
            tell_manifest(o, pair, evidence_of(pair, 0));
    json_decref(found);
    json_decref(doc);
    return rc;
}

/* ── rows ── */

static const struct option_row verify_options[] = {
    {.name = "keys",
     .kind = OPT_STRING,
     .off = offsetof(struct verify_opts, keys),
     .value = "FILE",
     .help = "The public keys to believe, as godwit report keys prints them."},
    {.name = "lists",
     .kind = OPT_STRING,
     .off = offsetof(struct verify_opts, lists),
     .value = "DIR",
     .help = "Where SHA256SUMS and METADATA are. Default: beside the statement."},
    {.name = NULL                   },
};

static const struct option_row manifest_options[] = {
    {.name = "pair",
     .kind = OPT_UINT,
     .off = offsetof(struct manifest_opts, pair),
     .def = "0",
     .max = LIMIT_PAIRS,
     .value = "N",
     .help = "Of this pair only; 0 is all of them."},
    {.name = "run",
     .kind = OPT_STRING,
     .off = offsetof(struct manifest_opts, run),
     .value = "N",
     .help = "Of that run; runs are counted from 1. Default: the last one."},
    {.name = "to",
     .kind = OPT_STRING,
     .off = offsetof(struct manifest_opts, to),
     .value = "DIR",
     .help = "Writes the statement to DIR/STATEMENT instead of printing it."},
    {.name = NULL                        },
};

static const char *const keys_examples[] = {
    "godwit report keys > keys    # give it to the auditor by a way of its own", NULL};
static const char *const manifest_examples[] = {
    "godwit report manifest wave1 --pair 1 --to /srv/audit/wave1", NULL};
static const char *const verify_examples[] = {
    "godwit report verify /srv/audit/wave1/STATEMENT --keys keys",
    "cd /srv/data && sha256sum -c /srv/audit/wave1/SHA256SUMS    # and the files themselves", NULL};

const struct command report_commands[] = {
    {.noun = "report",
     .verb = "verify",
     .words = "FILE",
     .min_words = 1,
     .max_words = 1,
     .kind = WORD_FILE,
     .options = verify_options,
     .opts_size = sizeof(struct verify_opts),
     .help = "Checks a manifest: its three signatures, and that the lists are those that were "
             "signed.", .more = "Needs no orchestrator, only the public keys. Ends with 0 when all is proved, with 3 "
             "when nothing is wrong but keys or lists were not there to check, else with 1.", .examples = verify_examples,
     .run = report_verify},
    {.noun = "report",
     .verb = "manifest",
     .words = "JOB",
     .min_words = 1,
     .max_words = 1,
     .kind = WORD_JOB,
     .options = manifest_options,
     .opts_size = sizeof(struct manifest_opts),
     .help = "The signed statement of a job's manifest, and where its lists are.",
     .more = "The lists, SHA256SUMS and METADATA, may be very large: they stay on the destination "
             "host, in the folder that is named, from where they can be copied beside the "
             "statement.", .examples = manifest_examples,
     .run = report_manifest},
    {.noun = "report",
     .verb = "keys",
     .words = "",
     .examples = keys_examples,
     .help = "The public keys by which this orchestrator and the hosts that are there sign.",
     .run = report_keys},
    {.noun = NULL},
};
