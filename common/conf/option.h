/* option: one table of options feeds the file parser, the command line, --help, the man pages and
 * completion. Knows no daemon. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/fault.h"

enum opt_kind {
    OPT_STRING,   /* char *, malloc'd */
    OPT_UINT,     /* uint32_t */
    OPT_SIZE,     /* uint64_t, bytes: "64K", "1M", "8G" */
    OPT_DURATION, /* uint64_t, ms: "250ms", "15s", "15m", "7d" */
    OPT_BOOL,     /* bool: yes/no/true/false/on/off; bare --flag is yes */
    OPT_ENUM,     /* char *, malloc'd, one of choices */
};

struct option_row {
    const char *name;    /* "lane-port": the key in the file and --lane-port */
    enum opt_kind kind;
    size_t off;          /* offsetof in the configuration struct */
    const char *def;     /* default, as text */
    uint64_t min, max;   /* numbers only; max 0 is no limit */
    const char *choices; /* OPT_ENUM: "auto|on|off" */
    const char *value;   /* name of the value in help: "PORT" */
    const char *help;    /* one sentence */
    bool repeat;         /* may be given more than once: values joined by newline (OPT_STRING) */
    char letter;         /* short form, 0 is none */
};

/* All end with a row whose name is NULL. conf must be zeroed before options_defaults(). */
void options_defaults(const struct option_row *rows, void *conf);
void options_free(const struct option_row *rows, void *conf);
int option_set(const struct option_row *row, void *conf, const char *value, struct fault *reterr);
/* "key = value" lines, # comments. Unknown keys and bad values are errors that name file:line. A file
 * that is missing is -ENOENT and changes nothing. */
int options_file(const struct option_row *rows, void *conf, const char *path, struct fault *reterr);
/* Takes --name value, --name=value, -x value out of argv from *i on; stops at "--" or leaves words
 * that are no options in retwords (borrowed, at least argc slots). -EINVAL with a fault. */
int options_args(const struct option_row *rows, void *conf, int argc, char **argv, char **retwords,
                 int *retn, struct fault *reterr);
void options_help(const struct option_row *rows, FILE *out);
void options_man(const struct option_row *rows, FILE *out); /* troff .TP list */
/* Parsers on their own, for job files and the console. -EINVAL. */
int parse_size(const char *text, uint64_t *ret);
int parse_duration(const char *text, uint64_t *retms);
