/* vm_moves: what became of moves of machines, for people: promise beside fact, and every act. Main
 * thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/console/cmd_vm.h"
#include "orchestrator/console/show.h"

static const struct column move_columns[] = {
    {"#",        "n",             CELL_COUNT},
    {"MACHINE",  "machine",       CELL_TEXT },
    {"FROM",     "from",          CELL_TEXT },
    {"TO",       "to",            CELL_TEXT },
    {"TYPE",     "name",          CELL_TEXT },
    {"STATE",    "shown_state",   CELL_TEXT },
    {"BYTES",    "fact.bytes",    CELL_BYTES},
    {"PROMISED", "promise.bytes", CELL_BYTES},
    {"TIME",     "time",          CELL_TEXT },
    {"PROMISED", "time_promised", CELL_TEXT },
    {"OUTAGE",   "out",           CELL_TEXT },
    {"PROMISED", "out_promised",  CELL_TEXT },
    {NULL,       NULL,            CELL_TEXT },
};

static const struct column stage_columns[] = {
    {"AT",    "percent", CELL_PERCENT},
    {"ON",    "on",      CELL_TEXT   },
    {"STATE", "state",   CELL_TEXT   },
    {"TOOK",  "took",    CELL_TEXT   },
    {"STAGE", "stage",   CELL_TEXT   },
    {"NOTE",  "after",   CELL_TEXT   },
    {NULL,    NULL,      CELL_TEXT   },
};

static void put_time(json_t *row, const char *key, int64_t ms)
{
    char text[32] = "-";
    if (ms > 0)
        show_duration((uint64_t)ms, text);
    (void)json_object_set_new(row, key, json_string(text));
}

/* queue: how many wait, up to this one. */
static void complete(json_t *pair, unsigned *queue)
{
    json_t *stage;
    size_t i;
    const char *state = show_str(pair, "state");
    bool waits = strcmp(show_str(pair, "pair_state"), "waiting") == 0;
    (void)json_object_set_new(pair, "shown_state",
                              waits ? json_sprintf("waiting, no. %u in the queue", ++*queue)
                                    : json_string(*state ? state : show_str(pair, "pair_state")));
    put_time(pair, "time", show_int(pair, "fact.seconds") * 1000);
    put_time(pair, "time_promised", show_int(pair, "promise.seconds") * 1000);
    put_time(pair, "out", show_int(pair, "fact.outage_ms"));
    put_time(pair, "out_promised", show_int(pair, "promise.outage_ms"));
    json_array_foreach(json_object_get(pair, "stages"), i, stage)
        put_time(stage, "took", show_int(stage, "took_ms"));
}

static void say(const char *what, const char *text)
{
    if (*text)
        (void)printf("  %s: ", what);
    char *clean = show_clean(text);
    if (*text)
        (void)puts(clean);
    free(clean);
}

static void show_pair(const json_t *pair)
{
    size_t i;
    const json_t *one;
    (void)printf("\n");
    say("machine", show_str(pair, "machine"));
    say("why", show_str(pair, "why"));
    say("waits",
        strcmp(show_str(pair, "pair_state"), "waiting") == 0 ? show_str(pair, "pair_reason") : "");
    say("a person has to decide", show_str(pair, "remedy"));
    say("left over", show_str(pair, "left"));
    json_array_foreach(json_object_get(pair, "ladder"), i, one)
        say("to keep the promise", json_is_string(one) ? json_string_value(one) : "");
    show_table(stdout, stage_columns, json_object_get(pair, "stages"));
}

void vm_moves_show(const struct run *r, json_t *doc)
{
    size_t i;
    unsigned queue = 0;
    json_t *pair;
    if (run_json(r)) {
        run_print_json(doc);
        return;
    }
    json_array_foreach(json_object_get(doc, "pairs"), i, pair) complete(pair, &queue);
    show_table(stdout, move_columns, json_object_get(doc, "pairs"));
    json_array_foreach(json_object_get(doc, "pairs"), i, pair) show_pair(pair);
}
