/* cmd_agent: `godwit agent …` but install. Main thread. */
#include <inttypes.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/cmd_install.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

struct rotate_opts {
    uint64_t overlap_ms;
};

static const struct column list_columns[] = {
    {"HOST",     "host",     CELL_TEXT},
    {"STATE",    "state",    CELL_TEXT},
    {"PRESENCE", "presence", CELL_TEXT},
    {"FOR",      "age_ms",   CELL_AGE },
    {"VERSION",  "version",  CELL_TEXT},
    {"OS",       "os",       CELL_TEXT},
    {"ADDRESS",  "address",  CELL_TEXT},
    {"REASON",   "reason",   CELL_TEXT},
    {NULL,       NULL,       CELL_TEXT},
};

static const struct column show_columns[] = {
    {"Host",         "host",         CELL_TEXT },
    {"State",        "state",        CELL_TEXT },
    {"Presence",     "presence",     CELL_TEXT },
    {"For",          "age_ms",       CELL_AGE  },
    {"Heard",        "heard_ms",     CELL_AGE  },
    {"Reason",       "reason",       CELL_TEXT },
    {"Version",      "version",      CELL_TEXT },
    {"OS",           "os",           CELL_TEXT },
    {"Kernel",       "kernel",       CELL_TEXT },
    {"Calls itself", "hostname",     CELL_TEXT },
    {"Machine",      "machine",      CELL_TEXT },
    {"Processors",   "cpus",         CELL_COUNT},
    {"Memory",       "memory_bytes", CELL_BYTES},
    {"Address",      "address",      CELL_TEXT },
    {"Lane port",    "lane_port",    CELL_PLAIN},
    {"Lane key",     "lane_pin",     CELL_TEXT },
    {"Agent",        "id",           CELL_TEXT },
    {"Enrolled",     "created",      CELL_TEXT },
    {"Last seen",    "seen",         CELL_TEXT },
    {NULL,           NULL,           CELL_TEXT },
};

static const struct column key_columns[] = {
    {"KEY",     "fingerprint", CELL_TEXT},
    {"IN USE",  "in_use",      CELL_TEXT},
    {"CREATED", "created",     CELL_TEXT},
    {"ENDS",    "ends",        CELL_TEXT},
    {NULL,      NULL,          CELL_TEXT},
};

static int agent_list(struct run *r)
{
    json_t *doc = NULL;
    int rc = run_ask(r, "agent list", NULL, &doc);
    if (rc)
        return rc;
    const json_t *agents = show_find(doc, "agents");
    if (run_json(r))
        run_print_json(doc);
    else if (json_array_size(agents) == 0)
        run_say("no host has enrolled yet; godwit token create --host NAME makes the first token");
    else
        show_table(stdout, list_columns, agents);
    json_decref(doc);
    return EXIT_DONE;
}

static int agent_show(struct run *r)
{
    const struct arg args[] = {
        {"host", r->words[0]},
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "agent show", args, &doc);
    if (rc)
        return rc;
    if (run_json(r)) {
        run_print_json(doc);
    } else {
        show_fields(stdout, show_columns, doc);
        (void)fputc('\n', stdout);
        show_table(stdout, key_columns, show_find(doc, "key_list"));
    }
    json_decref(doc);
    return EXIT_DONE;
}

static int agent_approve(struct run *r)
{
    return run_each(r, "host", NULL, "is approved");
}

static int agent_deny(struct run *r)
{
    return run_each(r, "host", NULL, "is denied");
}

static int agent_revoke(struct run *r)
{
    if (run_declined("Cut off %s%s now? What it does for jobs stops.", r->words[0],
                     r->nwords > 1 ? " and the others" : ""))
        return EXIT_FAILED;
    return run_each(r, "host", NULL, "is revoked");
}

static int agent_rename(struct run *r)
{
    const struct arg args[] = {
        {"host", r->words[0]},
        {"to",   r->words[1]},
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "agent rename", args, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        run_say("%s is now called %s", r->words[0], r->words[1]);
    json_decref(doc);
    return EXIT_DONE;
}

static int agent_rotate(struct run *r)
{
    const struct rotate_opts *o = r->opts;
    CLEANUP(mem_free) char *overlap = xasprintf("%" PRIu64, o->overlap_ms);
    const struct arg more[] = {
        {"overlap", overlap},
        ARGS_END
    };
    return run_each(r, "host", more, "makes a new key");
}

static const struct option_row rotate_options[] = {
    {.name = "overlap",
     .kind = OPT_DURATION,
     .off = offsetof(struct rotate_opts, overlap_ms),
     .def = "10m",
     .help = "How long the old key stays good beside the new one."},
    {.name = NULL},
};

static const char *const list_examples[] = {"godwit agent list    # who is there, and since when",
                                            NULL};
static const char *const show_examples[] = {"godwit agent show fs1 -o json", NULL};
static const char *const deny_examples[] = {"godwit agent deny fs9", NULL};
static const char *const approve_examples[] = {"godwit agent approve fs1 fs2", NULL};
static const char *const revoke_examples[] = {
    "godwit agent revoke fs1    # cut off at its next message, in under a second", NULL};
static const char *const rename_examples[] = {"godwit agent rename fs1 files-old", NULL};
static const char *const rotate_examples[] = {"godwit agent rotate fs1 --overlap 1h", NULL};

const struct command agent_commands[] = {
    {.noun = "agent",
     .verb = "list",
     .words = "",
     .help = "Lists the hosts: who may take part, and who is there.",
     .examples = list_examples,
     .run = agent_list},
    {.noun = "agent",
     .verb = "show",
     .words = "HOST",
     .min_words = 1,
     .max_words = 1,
     .kind = WORD_HOST,
     .help = "Shows all that is known of one host.",
     .examples = show_examples,
     .run = agent_show},
    {.noun = "agent",
     .verb = "approve",
     .words = "HOST...",
     .min_words = 1,
     .max_words = -1,
     .kind = WORD_HOST,
     .help = "Lets hosts in that enrolled and wait.",
     .examples = approve_examples,
     .run = agent_approve},
    {.noun = "agent",
     .verb = "deny",
     .words = "HOST...",
     .min_words = 1,
     .max_words = -1,
     .kind = WORD_HOST,
     .help = "Turns away hosts that enrolled and wait.",
     .examples = deny_examples,
     .run = agent_deny},
    {.noun = "agent",
     .verb = "revoke",
     .words = "HOST...",
     .min_words = 1,
     .max_words = -1,
     .kind = WORD_HOST,
     .help = "Cuts hosts off at once, also in the middle of a job.",
     .examples = revoke_examples,
     .run = agent_revoke},
    {.noun = "agent",
     .verb = "rename",
     .words = "HOST NEW",
     .min_words = 2,
     .max_words = 2,
     .kind = WORD_HOST,
     .help = "Gives a host another name in Godwit.",
     .examples = rename_examples,
     .run = agent_rename},
    {.noun = "agent",
     .verb = "rotate",
     .words = "HOST...",
     .min_words = 1,
     .max_words = -1,
     .kind = WORD_HOST,
     .options = rotate_options,
     .opts_size = sizeof(struct rotate_opts),
     .help = "Has hosts make new keys; the old ones stay good for a while.",
     .examples = rotate_examples,
     .run = agent_rotate},
    {.noun = "agent",
     .verb = "install",
     .words = "HOST...",
     .min_words = 1,
     .max_words = -1,
     .kind = WORD_SHELL,
     .options = install_options,
     .opts_size = sizeof(struct install_opts),
     .help = "Installs and enrols agents on hosts over SSH, several at once.",
     .more = "Copies the package, installs it with apt, makes a token, hands it to godwit-agent "
             "enrol on its standard input, starts the service, and waits until the host is online. "
             "A host is called in Godwit what it is called here; NAME=ADDRESS gives another "
             "address for SSH, which must let you in without asking: by a key, with a host key "
             "that is known. Hosts that are enrolled keep their keys, so that the same line again "
             "upgrades them and does no harm. One host that fails costs only itself: exit code 3, "
             "or 1 when all failed.", .examples = install_examples,
     .run = install_run},
    {.noun = NULL                        },
};
