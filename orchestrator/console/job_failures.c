/* job_failures: `godwit job failures`: every item that failed, as it comes from the sources: what
 * is printed is not kept, so that the longest list costs no more than a page. Main thread. */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/cmd_job.h"
#include "orchestrator/console/report.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

struct listing {
    struct run *run;
    const struct failures_opts *opts;
    uint64_t rows;
    bool gap; /* a pair whose list was not kept */
};

static void print_json(const struct listing *l, unsigned n, const json_t *item)
{
    json_t *o = json_pack("{s:i,s:O,s:O}", "pair", (int)n, "code", json_object_get(item, "code"),
                          "path", json_object_get(item, "path"));
    (void)fputs(l->rows ? ",\n    " : "\n    ", stdout);
    (void)json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(o);
}

static void print_item(struct listing *l, unsigned n, const json_t *item)
{
    const char *code = show_str(item, "code"), *path = show_str(item, "path");
    if (*l->opts->cause && strcmp(l->opts->cause, code) != 0)
        return;
    if (run_json(l->run)) {
        print_json(l, n, item);
    } else if (l->opts->csv) {
        (void)printf("%u,%s,", n, code);
        report_csv_text(stdout, path);
        (void)fputc('\n', stdout);
    } else {
        CLEANUP(mem_free) char *clean = show_clean(path);
        (void)printf("%4u  %-16s  %s\n", n, code, clean);
    }
    l->rows++;
}

/* 1: *from and *list are those of the next page. */
static int one_page(struct listing *l, unsigned n, char **from, char **list)
{
    CLEANUP(mem_free) char *pair = xasprintf("%u", n);
    const struct arg args[] = {
        {"job",  l->run->words[0]},
        {"pair", pair            },
        {"from", *from           },
        {"list", *list           },
        ARGS_END
    };
    json_t *doc = NULL, *item = NULL;
    size_t i = 0;
    int rc = run_ask(l->run, "job failures", args, &doc);
    if (rc)
        return -rc;
    json_array_foreach(show_find(doc, "failures"), i, item) print_item(l, n, item);
    l->gap = l->gap || !show_flag(doc, "kept");
    bool more = strcmp(show_str(doc, "next"), "0") != 0;
    free(*from);
    free(*list);
    *from = xstrdup(show_str(doc, "next"));
    *list = xstrdup(show_str(doc, "list"));
    json_decref(doc);
    return more && !ferror(stdout);
}

static int one_pair(struct listing *l, unsigned n)
{
    CLEANUP(mem_free) char *from = xstrdup("0");
    CLEANUP(mem_free) char *list = xstrdup("0");
    int rc = 1;
    while (rc == 1)
        rc = one_page(l, n, &from, &list);
    return -rc;
}

/* Those with something on their list, or the one that was asked for. */
static bool is_wanted(const struct listing *l, const json_t *pair)
{
    const char *state = show_str(pair, "state");
    if (l->opts->pair)
        return (uint32_t)show_int(pair, "n") == l->opts->pair;
    return strcmp(state, "partial") == 0 || strcmp(state, "failed") == 0 ||
           show_num(pair, "counters.failed") > 0;
}

static void begin(const struct listing *l)
{
    if (run_json(l->run))
        (void)fputs("{\n  \"schema\": 1,\n  \"failures\": [", stdout);
    else if (l->opts->csv)
        (void)puts("pair,code,path");
}

int job_failures(struct run *r)
{
    struct listing l = {.run = r, .opts = r->opts};
    const struct arg args[] = {
        {"job", r->words[0]},
        ARGS_END
    };
    json_t *doc = NULL, *pair = NULL;
    size_t i = 0;
    int rc = run_ask(r, "job show", args, &doc);
    if (rc)
        return rc;
    begin(&l);
    json_array_foreach(show_find(doc, "pairs"), i, pair)
    {
        int got = is_wanted(&l, pair) ? one_pair(&l, (unsigned)show_int(pair, "n")) : EXIT_DONE;
        rc = got > rc ? got : rc;
    }
    if (run_json(r))
        (void)puts("\n  ]\n}");
    json_decref(doc);
    if (rc == EXIT_DONE && l.gap) {
        run_say("a pair has failures but no list of them (it ended before one was whole): its next "
                "pass looks at everything; godwit job report has the causes");
        rc = EXIT_PARTLY;
    }
    return rc;
}
