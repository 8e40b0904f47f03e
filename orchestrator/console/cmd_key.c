/* cmd_key: `godwit key …`: the orchestrator's own key. Main thread. */
#include <inttypes.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

struct key_opts {
    uint64_t overlap_ms;
};

static const struct column columns[] = {
    {"SLOT",    "slot",        CELL_TEXT },
    {"KEY",     "fingerprint", CELL_TEXT },
    {"CURRENT", "current",     CELL_TEXT },
    {"AGENTS",  "agents",      CELL_COUNT},
    {"PORT",    "agents_port", CELL_PLAIN},
    {"ENROL",   "enrol_port",  CELL_PLAIN},
    {"CREATED", "created",     CELL_TEXT },
    {"ENDS",    "ends",        CELL_TEXT },
    {NULL,      NULL,          CELL_TEXT },
};

static int key_list(struct run *r)
{
    json_t *doc = NULL;
    int rc = run_ask(r, "key list", NULL, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        show_table(stdout, columns, show_find(doc, "keys"));
    json_decref(doc);
    return EXIT_DONE;
}

static int change(struct run *r, const struct arg *args, const char *done)
{
    CLEANUP(mem_free) char *name = command_name(r->cmd);
    json_t *doc = NULL;
    int rc = run_ask(r, name, args, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        run_say("%s", done);
    json_decref(doc);
    return EXIT_DONE;
}

static int key_rotate(struct run *r)
{
    const struct key_opts *o = r->opts;
    CLEANUP(mem_free) char *overlap = xasprintf("%" PRIu64, o->overlap_ms);
    const struct arg args[] = {
        {"overlap", overlap},
        ARGS_END
    };
    return change(r, args,
                  "both keys are good now; godwit key list tells until when, godwit key retire "
                  "ends the old one before");
}

static int key_retire(struct run *r)
{
    if (run_declined("End the old key? Hosts that have not heard of the new one have to enrol "
                     "again."))
        return EXIT_FAILED;
    return change(r, NULL, "the old key is no longer good");
}

static const struct option_row options[] = {
    {.name = "overlap",
     .kind = OPT_DURATION,
     .off = offsetof(struct key_opts, overlap_ms),
     .def = "7d",
     .help = "How long the old key stays good beside the new one."},
    {.name = NULL},
};

static const char *const list_examples[] = {"godwit key list -o json", NULL};
static const char *const retire_examples[] = {
    "godwit key retire    # once godwit key list shows no agent on the old key", NULL};
static const char *const examples[] = {
    "godwit key rotate --overlap 14d    # hosts that are away for two weeks still find back", NULL};

const struct command key_commands[] = {
    {.noun = "key",
     .verb = "list",
     .words = "",
     .examples = list_examples,
     .help = "Lists the keys by which hosts know this orchestrator.",
     .run = key_list},
    {.noun = "key",
     .verb = "rotate",
     .words = "",
     .options = options,
     .opts_size = sizeof(struct key_opts),
     .help = "Makes a new key for the orchestrator and tells the hosts; both are good for a while.",
     .examples = examples,
     .run = key_rotate},
    {.noun = "key",
     .verb = "retire",
     .words = "",
     .examples = retire_examples,
     .help = "Ends the old key before its time.",
     .run = key_retire},
    {.noun = NULL                                                              },
};
