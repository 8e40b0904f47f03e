/* command: the one table of what `godwit` can do. It feeds the parser, --help, the man pages and
 * completion. One file per noun holds its rows. Main thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "common/conf/option.h"

/* Exit codes; design: "Failures and bad input". */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_PARTLY = 3,
    EXIT_NOT_PERMITTED = 4,
    EXIT_CONFLICT = 5,
    EXIT_NOT_FOUND = 6,
    EXIT_TIMED_OUT = 7,
    EXIT_PREFLIGHT = 8,
};

/* What a word of the command line names, so that completion can offer it. */
enum word_kind { WORD_NONE, WORD_JOB, WORD_HOST, WORD_FILE, WORD_SHELL, WORD_WORKLOAD };

/* Options that every command takes. */
struct globals {
    char *output; /* "table", "json" */
    char *state;  /* folder with console.json */
    uint64_t reply_ms;
    bool help;
};
extern const struct option_row global_options[];

struct command;

/* One run of one command. */
struct run {
    const struct command *cmd;
    const struct globals *globals;
    const void *opts; /* the struct that cmd->options fill; NULL when it has none */
    int nwords;
    char **words;
    struct client *client; /* made at the first request */
    /* What jobs --file needs: options once more, over what the file said. */
    const struct option_row *rows;
    void *conf;
    int argc;
    char **argv;
};

struct command {
    const char *noun;
    const char *verb;                 /* NULL: the noun is the command */
    const char *words;                /* "JOB", "HOST...", as help shows them */
    int min_words, max_words;         /* max -1: any number */
    enum word_kind kind;              /* of the words */
    const struct option_row *options; /* NULL: only the global ones */
    size_t opts_size;
    const char *help;            /* one sentence */
    const char *more;            /* paragraph for --help and the man page; NULL: none */
    const char *const *examples; /* "command line # what it does", ends with NULL */
    bool hidden;                 /* not in help, man pages, completion */
    bool own_process;            /* forks: the prompt starts a new process for it */
    int (*run)(struct run *r);   /* an exit code */
};

/* A noun's rows end with noun NULL. The list of nouns ends with NULL. */
struct noun {
    const char *name;
    const char *help;
    const struct command *commands;
};
extern const struct noun nouns[];

extern const struct command status_commands[], token_commands[], agent_commands[], key_commands[],
    job_commands[], report_commands[], inventory_commands[], limit_commands[], vm_commands[],
    site_commands[], endpoint_commands[], cutover_commands[], credential_commands[],
    migrate_commands[], prompt_commands[], completion_commands[], man_commands[];

const struct noun *noun_find(const char *name);
/* verb may be NULL. NULL: there is none. */
const struct command *command_find(const struct noun *n, const char *verb);
/* "job create", malloc'd. */
char *command_name(const struct command *c);
bool noun_hidden(const struct noun *n);
/* A noun that is a command itself (`godwit status`). */
bool noun_is_command(const struct noun *n);

/* Global rows and the command's, to be parsed into one block: globals first, opts at opts_offset().
 * malloc'd. */
struct option_row *command_rows(const struct command *c);
size_t opts_offset(void);

/* Finds, parses and runs; argv without the program's name. An exit code. */
int command_main(int argc, char **argv);
/* Takes the options of r->argv once more, for a command that reads defaults from a file. Options
 * that may be given again are emptied first. */
int run_options_again(struct run *r, struct fault *reterr);
