/* report: a run's report as text or CSV. Main thread. */
#include "orchestrator/console/report.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/command.h"
#include "orchestrator/console/report_accounts.h"
#include "orchestrator/console/show.h"

static const struct column head[] = {
    {"Job",     "job",               CELL_TEXT },
    {"Run",     "run",               CELL_PLAIN},
    {"Phase",   "phase",             CELL_TEXT },
    {"Dry run", "dry_run",           CELL_YES  },
    {"State",   "state",             CELL_TEXT },
    {"Reason",  "reason",            CELL_TEXT },
    {"Started", "started",           CELL_TEXT },
    {"Ended",   "ended",             CELL_TEXT },
    {"Took",    "totals.elapsed_ms", CELL_AGE  },
    {"Rate",    "rate",              CELL_RATE },
    {NULL,      NULL,                CELL_TEXT },
};

/* Counters, in the order people ask for them; those after the first two only when not zero. */
static const struct column counters[] = {
    {"Files",               "files",           CELL_COUNT},
    {"Bytes",               "bytes",           CELL_BYTES},
    {"Entries",             "entries",         CELL_COUNT},
    {"Unchanged files",     "unchanged_files", CELL_COUNT},
    {"Unchanged bytes",     "unchanged_bytes", CELL_BYTES},
    {"Only attributes",     "changed_meta",    CELL_COUNT},
    {"Renamed",             "renamed",         CELL_COUNT},
    {"Deleted",             "deleted",         CELL_COUNT},
    {"Failed",              "failed",          CELL_COUNT},
    {"Attributes not kept", "skipped_meta",    CELL_COUNT},
    {"Sent",                "sent_bytes",      CELL_BYTES},
    {"Had already (delta)", "delta_saved",     CELL_BYTES},
    {"Sent on the wire",    "wire_bytes",      CELL_BYTES},
    {"Sent again",          "again_bytes",     CELL_BYTES},
    {NULL,                  NULL,              CELL_TEXT },
};

static const struct column pair_columns[] = {
    {"PAIR",        "n",                        CELL_COUNT},
    {"SOURCE",      "source",                   CELL_PLACE},
    {"DESTINATION", "destination",              CELL_PLACE},
    {"STATE",       "state",                    CELL_TEXT },
    {"FILES",       "counters.files",           CELL_COUNT},
    {"BYTES",       "counters.bytes",           CELL_BYTES},
    {"UNCHANGED",   "counters.unchanged_files", CELL_COUNT},
    {"FAILED",      "counters.failed",          CELL_COUNT},
    {"RATE",        "rate",                     CELL_RATE },
    {"REASON",      "reason",                   CELL_TEXT },
    {NULL,          NULL,                       CELL_TEXT },
};

int report_exit(const char *state)
{
    if (strcmp(state, "partial") == 0)
        return EXIT_PARTLY;
    bool bad = strcmp(state, "failed") == 0 || strcmp(state, "stopped") == 0;
    return bad ? EXIT_FAILED : EXIT_DONE;
}

static void show_counters(FILE *out, const json_t *totals)
{
    struct column few[ARRAY_SIZE(counters)];
    size_t n = 0;
    for (size_t i = 0; i + 1 < ARRAY_SIZE(counters); i++)
        if (i < 2 || show_num(totals, counters[i].key) > 0)
            few[n++] = counters[i];
    few[n] = counters[ARRAY_SIZE(counters) - 1];
    show_fields(out, few, totals);
}

static void show_failure(FILE *out, const json_t *group)
{
    char count[32];
    show_count((uint64_t)show_int(group, "count"), count);
    CLEANUP(mem_free) char *what = show_clean(show_str(group, "what"));
    CLEANUP(mem_free) char *cause = show_clean(show_str(group, "cause"));
    CLEANUP(mem_free) char *code = show_clean(show_str(group, "code"));
    (void)fprintf(out, "  %s x %s%s%s%s%s%s\n", count, what, *what && *cause ? ": " : "", cause,
                  *code ? " (" : "", code, *code ? ")" : "");
    size_t i = 0;
    const json_t *example = NULL;
    json_array_foreach(show_find(group, "examples"), i, example)
    {
        CLEANUP(mem_free) char *text = show_cell(example, CELL_TEXT);
        (void)fprintf(out, "      %s\n", text);
    }
    CLEANUP(mem_free) char *remedy = show_clean(show_str(group, "remedy"));
    if (*remedy)
        (void)fprintf(out, "    What to do: %s\n", remedy);
}

/* What an agent names "keep …" is an attribute of an entry that arrived all the same. */
enum heading { FAILURES, LOSSES, EXTRAS, RENAMES };

static enum heading heading_of(const json_t *group)
{
    static const char keep[] = "keep ";
    const char *what = show_str(group, "what");
    if (strcmp(what, "would delete") == 0)
        return EXTRAS;
    if (strcmp(what, "would rename") == 0)
        return RENAMES;
    return strncmp(what, keep, sizeof keep - 1) == 0 ? LOSSES : FAILURES;
}

static void show_failures(FILE *out, const json_t *failures, enum heading which, const char *title)
{
    bool titled = false;
    size_t i = 0;
    const json_t *group = NULL;
    json_array_foreach(failures, i, group)
    {
        if (heading_of(group) != which)
            continue;
        if (!titled)
            (void)fprintf(out, "\n%s:\n", title);
        titled = true;
        show_failure(out, group);
    }
}

char *report_not_kept(const json_t *c)
{
    uint64_t n = (uint64_t)show_int(c, "skipped_meta");
    if (n == 0)
        return NULL;
    char count[32];
    show_count(n, count);
    return xasprintf("On %s entries something could not be kept (owner, group, or attributes that "
                     "only root may set).",
                     count);
}

static void show_proof(FILE *out, const json_t *pair, const json_t *e)
{
    char files[32], listed[32];
    CLEANUP(mem_free) char *to = show_cell(show_find(pair, "destination"), CELL_PLACE);
    CLEANUP(mem_free) char *folder = show_clean(show_str(e, "folder"));
    show_count((uint64_t)show_int(e, "read_files"), files);
    show_count((uint64_t)show_int(e, "files"), listed);
    (void)fprintf(out, "  %s: %s files read again, %.0f entries differ\n", to, files,
                  show_num(e, "differing"));
    if (show_num(e, "unproved_files") > 0)
        (void)fprintf(out,
                      "    of %.0f files the content was there before and nobody compared it\n",
                      show_num(e, "unproved_files"));
    if (*folder)
        (void)fprintf(out, "    %s files in the signed manifest, on that host in %s\n", listed,
                      folder);
}

static void show_evidence(FILE *out, const json_t *pairs)
{
    size_t i = 0;
    const json_t *pair = NULL;
    bool any = false;
    json_array_foreach(pairs, i, pair)
    {
        const json_t *e = show_find(pair, "evidence");
        if (!e)
            continue;
        if (!any)
            (void)fputs("\nSeen at the destination:\n", out);
        any = true;
        show_proof(out, pair, e);
    }
}

static void show_notes(FILE *out, const json_t *notes, const char *before)
{
    size_t i = 0;
    const json_t *note = NULL;
    json_array_foreach(notes, i, note)
    {
        CLEANUP(mem_free) char *text = show_cell(note, CELL_TEXT);
        (void)fprintf(out, "%s%s\n", before, text);
    }
}

static void show_share(FILE *out, const json_t *o)
{
    CLEANUP(mem_free) char *name = show_clean(show_str(o, "name"));
    CLEANUP(mem_free) char *path = show_clean(show_str(o, "path"));
    CLEANUP(mem_free) char *outcome = show_clean(show_str(o, "outcome"));
    CLEANUP(mem_free) char *what = show_clean(show_str(o, "what"));
    (void)fprintf(out, "  %-9s %s %s%s%s\n", outcome, what, name, *path ? " at " : "", path);
    show_notes(out, show_find(o, "notes"), "            ");
}

/* What the clients of each destination see, and what of it they will not. */
static void show_shares(FILE *out, const json_t *pairs)
{
    size_t i = 0, k = 0;
    const json_t *pair = NULL, *one = NULL;
    json_array_foreach(pairs, i, pair)
    {
        const json_t *shares = show_find(pair, "shares");
        if (!shares)
            continue;
        CLEANUP(mem_free) char *to = show_cell(show_find(pair, "destination.host"), CELL_TEXT);
        (void)fprintf(out, "\nShares %s %s:\n", show_flag(shares, "applied") ? "on" : "planned for",
                      to);
        json_array_foreach(show_find(shares, "outcomes"), k, one) show_share(out, one);
        show_notes(out, show_find(shares, "notes"), "  ");
    }
}

void report_text(FILE *out, const json_t *doc)
{
    const json_t *totals = show_find(doc, "totals"), *failures = show_find(doc, "failures");
    show_fields(out, head, doc);
    (void)fputc('\n', out);
    show_counters(out, totals);
    (void)fputc('\n', out);
    show_table(out, pair_columns, show_find(doc, "pairs"));
    show_evidence(out, show_find(doc, "pairs"));
    show_shares(out, show_find(doc, "pairs"));
    report_accounts(out, show_find(doc, "pairs"));
    show_failures(out, failures, FAILURES, "Failures, by cause");
    show_failures(out, failures, LOSSES, "What could not be kept");
    show_failures(out, failures, RENAMES, "What would be renamed at the destination");
    show_failures(out, failures, EXTRAS, "What would be removed from the destination");
    CLEANUP(mem_free) char *not_kept = report_not_kept(totals);
    if (not_kept)
        (void)fprintf(out, "\n%s\n", not_kept);
}

/* Quoted, and no formula for a spreadsheet that opens it. */
void report_csv_text(FILE *out, const char *text)
{
    CLEANUP(mem_free) char *clean = show_clean(text);
    (void)fputc('"', out);
    if (*clean && strchr("=+-@", *clean))
        (void)fputc('\'', out);
    for (const char *p = clean; *p; p++) {
        if (*p == '"')
            (void)fputc('"', out);
        (void)fputc(*p == '\n' ? ' ' : *p, out);
    }
    (void)fputc('"', out);
}

void report_csv(FILE *out, const json_t *doc)
{
    static const char *const names[] = {
        "files",      "bytes",       "entries",      "unchanged_files", "unchanged_bytes",
        "deleted",    "failed",      "skipped_meta", "changed_meta",    "sent_bytes",
        "wire_bytes", "again_bytes", "elapsed_ms",   "delta_saved"};
    (void)fputs("pair,source,destination,state,reason", out);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        (void)fprintf(out, ",%s", names[i]);
    (void)fputs(",rate\n", out);
    size_t n = 0;
    const json_t *pair = NULL;
    json_array_foreach(show_find(doc, "pairs"), n, pair)
    {
        CLEANUP(mem_free) char *from = show_cell(show_find(pair, "source"), CELL_PLACE);
        CLEANUP(mem_free) char *to = show_cell(show_find(pair, "destination"), CELL_PLACE);
        const char *const texts[] = {from, to, show_str(pair, "state"), show_str(pair, "reason")};
        const json_t *c = show_find(pair, "counters");
        (void)fprintf(out, "%.0f", show_num(pair, "n"));
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
            (void)fputc(',', out);
            report_csv_text(out, texts[i]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            (void)fprintf(out, ",%.0f", show_num(c, names[i]));
        (void)fprintf(out, ",%.0f\n", show_num(pair, "rate"));
    }
}
