/* option: one table of options feeds the file parser, the command line, --help, the man pages and
 * completion. Knows no daemon. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/fault.h"

#define OPTIONS_FILE_MAX (256 << 10)

enum opt_kind {
    OPT_STRING,   /* char *, malloc'd */
    OPT_UINT,     /* uint32_t */
    OPT_SIZE,     /* uint64_t, bytes: "64K", "1M", "8G" */
    OPT_DURATION, /* uint64_t, ms: "250ms", "15s", "15m", "7d" */
    OPT_BOOL,     /* bool: yes/no/true/false/on/off; bare --flag is yes */
    OPT_ENUM,     /* char *, malloc'd, one of choices */
};

struct option_row {
    const char *name; /* "lane-port": the key in the file and --lane-port */
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
/* "key = value" lines, # comments. Unknown keys and bad values are errors that name file:line. A
 * file that is missing is -ENOENT and changes nothing. */
int options_file(const struct option_row *rows, void *conf, const char *path, struct fault *reterr);
/* The same from text in memory; name stands for the file in errors. text is changed. */
int options_text(const struct option_row *rows, void *conf, const char *name, char *text,
                 size_t len, struct fault *reterr);
/* Takes --name value, --name=value, -x value and -xvalue out of argv, whose first word is the first
 * one after the program's name; all other words, and all after "--", go to retwords (borrowed, at
 * least argc slots). -EINVAL with a fault. */
int options_args(const struct option_row *rows, void *conf, int argc, char **argv, char **retwords,
                 int *retn, struct fault *reterr);
const struct option_row *option_find(const struct option_row *rows, const char *name, size_t len);
const char *option_value_name(const struct option_row *row); /* "PORT"; "" for a bare flag */
void options_help(const struct option_row *rows, FILE *out);
void options_man(const struct option_row *rows, FILE *out); /* troff .TP list */
/* Text that starts at column, wrapped with that indent; ends the line. */
void help_wrapped(FILE *out, const char *text, int column);
void man_text(FILE *out, const char *text); /* escaped for troff */
/* Parsers on their own, for job files and the console. -EINVAL. */
int parse_size(const char *text, uint64_t *ret);
int parse_duration(const char *text, uint64_t *retms);
