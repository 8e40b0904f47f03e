/* job_report: `godwit job report` and `godwit job journal`. Main thread. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/cmd_job.h"
#include "orchestrator/console/report.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

static const struct column journal_columns[] = {
    {"SEQ",    "seq",    CELL_PLAIN},
    {"AT",     "at",     CELL_TEXT },
    {"PAIR",   "pair",   CELL_PLAIN},
    {"EVENT",  "event",  CELL_TEXT },
    {"STATE",  "state",  CELL_TEXT },
    {"OP",     "op_id",  CELL_TEXT },
    {"DETAIL", "detail", CELL_TEXT },
    {NULL,     NULL,     CELL_TEXT },
};

int job_report(struct run *r)
{
    const struct report_opts *o = r->opts;
    const struct arg args[] = {
        {"job", r->words[0]},
        {"run", o->run     },
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "job report", args, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else if (o->csv)
        report_csv(stdout, doc);
    else
        report_text(stdout, doc);
    json_decref(doc);
    return EXIT_DONE;
}

/* Rows come in portions; the next one starts after the last row. */
static int gather(struct run *r, uint64_t after, json_t *all, bool *retverified)
{
    *retverified = true;
    for (;;) {
        CLEANUP(mem_free) char *from = xasprintf("%" PRIu64, after);
        const struct arg args[] = {
            {"job",   r->words[0]},
            {"after", from       },
            ARGS_END
        };
        json_t *doc = NULL;
        int rc = run_ask(r, "job journal", args, &doc);
        if (rc)
            return rc;
        const json_t *rows = show_find(doc, "rows");
        size_t n = json_array_size(rows);
        uint64_t last = (uint64_t)show_int(json_array_get(rows, n ? n - 1 : 0), "seq");
        *retverified = *retverified && show_flag(doc, "verified");
        size_t i = 0;
        json_t *row = NULL;
        json_array_foreach(rows, i, row)(void) json_array_append(all, row);
        bool more = *retverified && show_flag(doc, "verifying");
        json_decref(doc);
        if ((n == 0 || last <= after) && !more)
            return EXIT_DONE;
        after = n > 0 && last > after ? last : after;
    }
}

int job_journal(struct run *r)
{
    const struct journal_opts *o = r->opts;
    json_t *all = json_array();
    bool verified = false;
    int rc = gather(r, o->after, all, &verified);
    if (rc == EXIT_DONE && run_json(r)) {
        json_t *doc = json_pack("{s:i, s:O, s:b}", "schema", 1, "rows", all, "verified", verified);
        run_print_json(doc);
        json_decref(doc);
    } else if (rc == EXIT_DONE) {
        show_table(stdout, journal_columns, all);
        run_say(verified ? "the chain of digests is whole: no row was changed or removed"
                         : "THE CHAIN OF DIGESTS IS BROKEN: rows were changed or removed");
    }
    json_decref(all);
    return rc == EXIT_DONE && !verified ? EXIT_FAILED : rc;
}
