/* cmd_status: `godwit status`. Main thread. */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

static const struct column fields[] = {
    {"Version",       "version",       CELL_TEXT },
    {"Realm",         "realm",         CELL_TEXT },
    {"Epoch",         "epoch",         CELL_COUNT},
    {"Up for",        "uptime_ms",     CELL_AGE  },
    {"Hosts online",  "hosts.online",  CELL_COUNT},
    {"Hosts lost",    "hosts.lost",    CELL_COUNT},
    {"Hosts waiting", "hosts.pending", CELL_COUNT},
    {"Hosts revoked", "hosts.revoked", CELL_COUNT},
    {"Trouble",       "trouble",       CELL_TEXT },
    {NULL,            NULL,            CELL_TEXT },
};

/* "2 running, 1 done"; malloc'd. */
static char *counts(const json_t *jobs)
{
    char *text = xstrdup("");
    const char *state = NULL;
    json_t *n = NULL;
    json_object_foreach((json_t *)(uintptr_t)jobs, state, n)
    {
        if (!json_is_number(n) || json_number_value(n) <= 0)
            continue;
        char *more = xasprintf("%s%s%.0f %s", text, *text ? ", " : "", json_number_value(n), state);
        free(text);
        text = more;
    }
    return text;
}

static int status_run(struct run *r)
{
    json_t *doc = NULL;
    int rc = run_ask(r, "status", NULL, &doc);
    if (rc)
        return rc;
    if (run_json(r)) {
        run_print_json(doc);
    } else {
        CLEANUP(mem_free) char *jobs = counts(show_find(doc, "jobs"));
        CLEANUP(mem_free) char *clean = show_clean(jobs);
        show_fields(stdout, fields, doc);
        (void)printf("Jobs:          %s\n", *clean ? clean : "none");
    }
    json_decref(doc);
    return EXIT_DONE;
}

static const char *const examples[] = {
    "godwit status            # version, hosts and jobs",
    "godwit status -o json    # the same for programs",
    NULL,
};

const struct command status_commands[] = {
    {.noun = "status",
     .words = "",
     .help = "Shows the orchestrator at a glance: its version, its hosts and its jobs.",
     .examples = examples,
     .run = status_run},
    {.noun = NULL},
};
