/* cmd_cutover: `godwit cutover …`. Main thread. */
#include <stdio.h>

#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

static const struct column stage_columns[] = {
    {"NOW",     "percent",      CELL_PERCENT},
    {"AS SEED", "seed_percent", CELL_PERCENT},
    {"ON",      "on",           CELL_TEXT   },
    {"STATE",   "state",        CELL_TEXT   },
    {"STAGE",   "stage",        CELL_TEXT   },
    {"REASON",  "reason",       CELL_TEXT   },
    {NULL,      NULL,           CELL_TEXT   },
};

static int ask_show(struct run *r, json_t **ret)
{
    const struct arg args[] = {
        {"job", r->words[0]},
        ARGS_END
    };
    return run_ask(r, "cutover show", args, ret);
}

static void print_pair(const json_t *pair)
{
    const char *state = show_str(pair, "cutover");
    (void)printf("%s to %s, %s: %s\n", show_str(pair, "source_host"),
                 show_str(pair, "destination_host"), show_str(pair, "method"),
                 *state ? state : "not begun");
    show_table(stdout, stage_columns, json_object_get(pair, "stages"));
}

static int cutover_stages(struct run *r)
{
    json_t *doc = NULL;
    size_t i;
    const json_t *pair;
    int rc = ask_show(r, &doc);
    if (rc)
        return rc;
    if (run_json(r)) {
        run_print_json(doc);
    } else {
        json_array_foreach(json_object_get(doc, "pairs"), i, pair)
        {
            (void)printf("%s", i ? "\n" : "");
            print_pair(pair);
        }
    }
    json_decref(doc);
    return EXIT_DONE;
}

static const char *const stages_examples[] = {
    "godwit cutover stages wave1 -o json | jq '.pairs[0].stages[].stage'",
    NULL,
};

const struct command cutover_commands[] = {
    {.noun = "cutover",
     .verb = "stages",
     .words = "JOB",
     .min_words = 1,
     .max_words = 1,
     .kind = WORD_JOB,
     .help = "Lists every stage of a cutover, and whether it applies.",
     .more = "A stage that does not apply is skipped, with the reason. Stages show two "
             "percentages: where the method does it, and where the rejoin order has it.", .examples = stages_examples,
     .run = cutover_stages},
    {.noun = NULL   },
};
