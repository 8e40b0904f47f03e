/* command: finds a row of the table, parses its words and options, and runs it. Main thread. */
#include "orchestrator/console/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/client.h"
#include "orchestrator/console/help.h"
#include "orchestrator/console/run.h"

const struct option_row global_options[] = {
    {.name = "output",
     .kind = OPT_ENUM,
     .off = offsetof(struct globals, output),
     .def = "table",
     .choices = "table|json",
     .letter = 'o',
     .help = "What standard output holds: text for people, or one JSON document."},
    {.name = "state",
     .kind = OPT_STRING,
     .off = offsetof(struct globals, state),
     .value = "DIR",
     .help = "Folder of the orchestrator to talk to, with its console.json. Default: "
             "$GODWIT_STATE, else " STATE_DIR_DEFAULT "."},
    {.name = "reply-timeout",
     .kind = OPT_DURATION,
     .off = offsetof(struct globals, reply_ms),
     .def = "30s",
     .min = 100,
     .help = "How long to wait for an answer of the orchestrator."},
    {.name = "help",
     .kind = OPT_BOOL,
     .off = offsetof(struct globals, help),
     .letter = 'h',
     .help = "Shows what the command does."},
    {.name = NULL                             },
};

const struct noun nouns[] = {
    {"status",     "the orchestrator at a glance",                        status_commands    },
    {"token",      "one-time tokens that let a host enrol",               token_commands     },
    {"agent",      "the hosts: who may take part, and who is there",      agent_commands     },
    {"key",        "the orchestrator's own key",                          key_commands       },
    {"job",        "migrations: create, run, watch, report",              job_commands       },
    {"cutover",    "the destination becomes the source, and can go back", cutover_commands   },
    {"report",     "manifests: what a third party can check",             report_commands    },
    {"inventory",  "what the sources of a job hold",                      inventory_commands },
    {"limit",      "bandwidth of jobs, hosts and sites",                  limit_commands     },
    {"site",       "groups of hosts behind one link",                     site_commands      },

    {"endpoint",   "servers without an agent, read over SMB",             endpoint_commands  },
    {"credential", "secrets for endpoints, kept encrypted",               credential_commands},
    {"vm",         "virtual machines of the hosts",                       vm_commands        },
    {"migrate",    "one folder to another on this machine, no set-up",    migrate_commands   },
    {"console",    "these commands at a prompt",                          prompt_commands    },
    {"completion", "completion for shells",                               completion_commands},
    {"man",        "manual pages",                                        man_commands       },
    {NULL,         NULL,                                                  NULL               },
};

const struct noun *noun_find(const char *name)
{
    for (const struct noun *n = nouns; n->name; n++)
        if (strcmp(n->name, name) == 0)
            return n;
    return NULL;
}

const struct command *command_find(const struct noun *n, const char *verb)
{
    for (const struct command *c = n->commands; c->noun; c++)
        if (c->verb ? verb && strcmp(c->verb, verb) == 0 : verb == NULL)
            return c;
    return NULL;
}

char *command_name(const struct command *c)
{
    return c->verb ? xasprintf("%s %s", c->noun, c->verb) : xstrdup(c->noun);
}

bool noun_hidden(const struct noun *n)
{
    for (const struct command *c = n->commands; c->noun; c++)
        if (!c->hidden)
            return false;
    return true;
}

bool noun_is_command(const struct noun *n)
{
    return n->commands->verb == NULL;
}

size_t opts_offset(void)
{
    size_t align = _Alignof(max_align_t);
    return (sizeof(struct globals) + align - 1) / align * align;
}

struct option_row *command_rows(const struct command *c)
{
    size_t nglobal = 0, nown = 0;
    while (global_options[nglobal].name)
        nglobal++;
    while (c->options && c->options[nown].name)
        nown++;
    struct option_row *rows = xcalloc(nown + nglobal + 1, sizeof *rows);
    for (size_t i = 0; i < nown; i++) {
        rows[i] = c->options[i];
        rows[i].off += opts_offset();
    }
    memcpy(rows + nown, global_options, (nglobal + 1) * sizeof *rows);
    return rows;
}

int run_options_again(struct run *r, struct fault *reterr)
{
    for (const struct option_row *row = r->rows; row->name; row++) {
        char **slot = (char **)(void *)((char *)r->conf + row->off);
        if (!row->repeat)
            continue;
        free(*slot);
        *slot = NULL;
    }
    CLEANUP(mem_free) char **words = xcalloc((size_t)r->argc + 1, sizeof *words);
    int n = 0;
    return options_args(r->rows, r->conf, r->argc, r->argv, words, &n, reterr);
}

static int usage(const struct command *c, const char *what)
{
    CLEANUP(mem_free) char *name = command_name(c);
    return run_fail(EXIT_USAGE, "%s\nusage: godwit %s%s%s [options]; more: godwit %s --help", what,
                    name, *c->words ? " " : "", c->words, name);
}

static int check_words(const struct command *c, int n, char **words)
{
    if (n < c->min_words) {
        CLEANUP(mem_free) char *what = xasprintf("%s is missing", c->words);
        return usage(c, what);
    }
    if (c->max_words >= 0 && n > c->max_words) {
        CLEANUP(mem_free) char *what = xasprintf("one word too many: %s", words[c->max_words]);
        return usage(c, what);
    }
    return EXIT_DONE;
}

/* --state, else the environment, else the place of the packages. */
static void default_state(struct globals *g)
{
    if (g->state)
        return;
    const char *env = getenv("GODWIT_STATE");
    g->state = xstrdup(env && *env ? env : STATE_DIR_DEFAULT);
}

static int run_parsed(struct run *r, struct globals *g)
{
    if (g->help) {
        help_command(r->cmd, stdout);
        return EXIT_DONE;
    }
    int rc = check_words(r->cmd, r->nwords, r->words);
    if (rc)
        return rc;
    default_state(g);
    rc = r->cmd->run(r);
    r->client = client_close(r->client);
    return rc;
}

static int command_run(const struct command *c, int argc, char **argv)
{
    CLEANUP(mem_free) struct option_row *rows = command_rows(c);
    CLEANUP(mem_free) char *conf = xcalloc(1, opts_offset() + c->opts_size);
    CLEANUP(mem_free) char **words = xcalloc((size_t)argc + 1, sizeof *words);
    struct globals *g = (struct globals *)(void *)conf;
    struct run r = {.cmd = c, .globals = g, .words = words, .rows = rows, .conf = conf};
    r.opts = c->opts_size ? conf + opts_offset() : NULL;
    r.argc = argc;
    r.argv = argv;
    options_defaults(rows, conf);
    struct fault f = {0};
    int rc = options_args(rows, conf, argc, argv, words, &r.nwords, &f);
    rc = rc < 0 ? usage(c, f.text) : run_parsed(&r, g);
    options_free(rows, conf);
    return rc;
}

/* The index of the first word that is no option, from at on; argc when there is none. */
static int next_word(int argc, char **argv, int at)
{
    for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
        const char *name = argv[at];
        if (strcmp(name, "--") == 0)
            return argc;
        for (const struct option_row *o = global_options; o->name; o++) {
            bool is = name[1] == '-' ? strcmp(name + 2, o->name) == 0
                                     : o->letter == name[1] && name[2] == '\0';
            at += is && o->kind != OPT_BOOL ? 1 : 0;
        }
    }
    return at < argc ? at : argc;
}

/* argv without the words at a and b (b may be argc: none). */
static int run_without(const struct command *c, int argc, char **argv, int a, int b)
{
    CLEANUP(mem_free) char **rest = xcalloc((size_t)argc + 1, sizeof *rest);
    int n = 0;
    for (int i = 0; i < argc; i++)
        if (i != a && i != b)
            rest[n++] = argv[i];
    return command_run(c, n, rest);
}

static bool has_word(int argc, char **argv, const char *a, const char *b)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], a) == 0 || strcmp(argv[i], b) == 0)
            return true;
    return false;
}

static int run_no_noun(int argc, char **argv)
{
    if (has_word(argc, argv, "--version", "-V")) {
        (void)puts("godwit " GODWIT_VERSION);
        return EXIT_DONE;
    }
    if (has_word(argc, argv, "--help", "-h")) {
        help_all(stdout);
        return EXIT_DONE;
    }
    help_all(stderr);
    return EXIT_USAGE;
}

static int run_no_verb(const struct noun *n, int argc, char **argv)
{
    bool asked = has_word(argc, argv, "--help", "-h");
    help_noun(n, asked ? stdout : stderr);
    return asked ? EXIT_DONE : EXIT_USAGE;
}

int command_main(int argc, char **argv)
{
    int at = next_word(argc, argv, 0);
    if (at == argc)
        return run_no_noun(argc, argv);
    if (strcmp(argv[at], "help") == 0) {
        help_all(stdout);
        return EXIT_DONE;
    }
    const struct noun *n = noun_find(argv[at]);
    if (!n)
        return run_fail(EXIT_USAGE, "no command is called \"%s\"; godwit --help lists them",
                        argv[at]);
    if (noun_is_command(n))
        return run_without(n->commands, argc, argv, at, argc);
    int verb = next_word(argc, argv, at + 1);
    if (verb == argc)
        return run_no_verb(n, argc, argv);
    const struct command *c = command_find(n, argv[verb]);
    if (!c)
        return run_fail(EXIT_USAGE, "godwit %s has no \"%s\"; godwit %s --help lists what it has",
                        n->name, argv[verb], n->name);
    return run_without(c, argc, argv, at, verb);
}
