/* cmd_token: `godwit token create`. Main thread. */
#include <inttypes.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

struct token_opts {
    char *host;
    uint64_t ttl_ms;
};

static int token_create(struct run *r)
{
    const struct token_opts *o = r->opts;
    const char *host = o->host ? o->host : r->nwords ? r->words[0] : NULL;
    if (!host)
        return run_fail(EXIT_USAGE, "name the host that the token is for: --host NAME");
    CLEANUP(mem_free) char *ttl = xasprintf("%" PRIu64, o->ttl_ms);
    const struct arg args[] = {
        {"host", host},
        {"ttl",  ttl },
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "token create", args, &doc);
    if (rc)
        return rc;
    if (run_json(r)) {
        run_print_json(doc);
    } else {
        CLEANUP(mem_free) char *line = show_clean(show_str(doc, "command"));
        run_say("Run this on %s before %s; it works once:", show_str(doc, "host"),
                show_str(doc, "expires"));
        (void)printf("%s\n", line);
    }
    json_decref(doc);
    return EXIT_DONE;
}

static const struct option_row options[] = {
    {.name = "host",
     .kind = OPT_STRING,
     .off = offsetof(struct token_opts, host),
     .value = "NAME",
     .help = "The host that may enrol with it, and no other."},
    {.name = "ttl",
     .kind = OPT_DURATION,
     .off = offsetof(struct token_opts, ttl_ms),
     .def = "15m",
     .min = 1000,
     .help = "How long it is good for."},
    {.name = NULL                  },
};

static const char *const examples[] = {
    "godwit token create --host fs1             # prints the line to run on fs1",
    "godwit token create --host fs1 --ttl 2h    # good for two hours",
    NULL,
};

const struct command token_commands[] = {
    {.noun = "token",
     .verb = "create",
     .words = "[HOST]",
     .max_words = 1,
     .kind = WORD_HOST,
     .options = options,
     .opts_size = sizeof(struct token_opts),
     .help = "Makes a one-time token with which one host may enrol, and prints the line to run "
             "there.", .more = "The token is printed once and kept nowhere in the clear. It names the orchestrator's "
             "address and key, so that the host trusts nobody else.", .examples = examples,
     .run = token_create},
    {.noun = NULL},
};
