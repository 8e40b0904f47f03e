/* option_help: shows a table of options as --help text and as troff. Any thread. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/conf/option.h"

#define HELP_COLUMN 30
#define HELP_WIDTH 100

const char *option_value_name(const struct option_row *row)
{
    if (row->value)
        return row->value;
    static const char *const names[] = {
        [OPT_STRING] = "TEXT",   [OPT_UINT] = "N", [OPT_SIZE] = "SIZE",
        [OPT_DURATION] = "TIME", [OPT_BOOL] = "",  [OPT_ENUM] = "WORD",
    };
    return row->kind == OPT_ENUM && row->choices ? row->choices : names[row->kind];
}

/* "-o, --output table|json"; malloc'd. */
static char *synopsis(const struct option_row *row)
{
    char letter[8] = "    ";
    if (row->letter)
        (void)snprintf(letter, sizeof letter, "-%c, ", row->letter);
    const char *value = option_value_name(row);
    return xasprintf("%s--%s%s%s", letter, row->name, *value ? " " : "", value);
}

void help_wrapped(FILE *out, const char *text, int column)
{
    int at = column;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (at > column && at + (int)n + 1 > HELP_WIDTH) {
            (void)fprintf(out, "\n%*s", column, "");
            at = column;
        }
        (void)fprintf(out, "%s%.*s", at > column ? " " : "", (int)n, text);
        at += (int)n + (at > column ? 1 : 0);
        text += n;
        while (*text == ' ' || *text == '\n')
            text++;
    }
    (void)fputc('\n', out);
}

/* The help sentence with its default, unless that says nothing; malloc'd. */
static char *sentence(const struct option_row *row)
{
    const char *def = row->def && *row->def && row->kind != OPT_BOOL ? row->def : NULL;
    if (row->kind == OPT_BOOL && row->def && strcmp(row->def, "no") != 0)
        def = row->def;
    return xasprintf("%s%s%s%s%s", row->help, def ? " Default: " : "", def ? def : "",
                     def ? "." : "", row->repeat ? " May be given again." : "");
}

void options_help(const struct option_row *rows, FILE *out)
{
    for (const struct option_row *r = rows; r->name; r++) {
        CLEANUP(mem_free) char *left = synopsis(r);
        CLEANUP(mem_free) char *right = sentence(r);
        int used = fprintf(out, "  %s", left);
        if (used >= HELP_COLUMN)
            (void)fprintf(out, "\n%*s", HELP_COLUMN, "");
        else
            (void)fprintf(out, "%*s", HELP_COLUMN - used, "");
        help_wrapped(out, right, HELP_COLUMN);
    }
}

void man_text(FILE *out, const char *text)
{
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            (void)fputs("\\&", out);
        if (*text == '\\')
            (void)fputs("\\e", out);
        else if (*text == '-')
            (void)fputs("\\-", out);
        else
            (void)fputc(*text, out);
        start = *text == '\n';
    }
}

void options_man(const struct option_row *rows, FILE *out)
{
    for (const struct option_row *r = rows; r->name; r++) {
        CLEANUP(mem_free) char *right = sentence(r);
        const char *value = option_value_name(r);
        (void)fputs(".TP\n", out);
        if (r->letter)
            (void)fprintf(out, "\\fB\\-%c\\fR, ", r->letter);
        (void)fputs("\\fB\\-\\-", out);
        man_text(out, r->name);
        (void)fputs("\\fR", out);
        if (*value) {
            (void)fputs(" \\fI", out);
            man_text(out, value);
            (void)fputs("\\fR", out);
        }
        (void)fputc('\n', out);
        man_text(out, right);
        (void)fputc('\n', out);
    }
}
