/* help: --help at each level, from the table. Main thread. */
#include "orchestrator/console/help.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/command.h"

static const char exit_help[] =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done, 4 not permitted, 5 conflict,\n"
    "6 not found, 7 timed out (it may still run), 8 refused by a check before the start.\n";

static void help_line(FILE *out, const char *left, const char *right)
{
    int used = fprintf(out, "  %s", left);
    if (used >= 38)
        (void)fprintf(out, "\n%*s", 38, "");
    else
        (void)fprintf(out, "%*s", 38 - used, "");
    help_wrapped(out, right, 38);
}

static void command_lines(const struct noun *n, FILE *out)
{
    for (const struct command *c = n->commands; c->noun; c++) {
        if (c->hidden)
            continue;
        CLEANUP(mem_free) char *name = command_name(c);
        CLEANUP(mem_free) char *left = xasprintf("%s%s%s", name, *c->words ? " " : "", c->words);
        help_line(out, left, c->help);
    }
}

void help_all(FILE *out)
{
    (void)fputs("Godwit moves servers so that nobody notices.\n\n"
                "usage: godwit NOUN VERB [words] [options]\n\n",
                out);
    for (const struct noun *n = nouns; n->name; n++)
        if (!noun_hidden(n))
            command_lines(n, out);
    (void)fputs("\nOptions of every command:\n", out);
    options_help(global_options, out);
    (void)fputs("\ngodwit NOUN VERB --help tells more, with examples; godwit --version names the "
                "version.\n\n",
                out);
    (void)fputs(exit_help, out);
}

void help_noun(const struct noun *n, FILE *out)
{
    (void)fprintf(out, "godwit %s: %s\n\n", n->name, n->help);
    command_lines(n, out);
    (void)fprintf(out, "\ngodwit %s VERB --help tells more, with examples.\n", n->name);
}

static void help_examples(const struct command *c, FILE *out)
{
    if (!c->examples)
        return;
    (void)fputs("\nExamples:\n", out);
    for (const char *const *e = c->examples; *e; e++)
        (void)fprintf(out, "  %s\n", *e);
}

void help_command(const struct command *c, FILE *out)
{
    CLEANUP(mem_free) char *name = command_name(c);
    (void)fprintf(out, "usage: godwit %s%s%s [options]\n\n", name, *c->words ? " " : "", c->words);
    help_wrapped(out, c->help, 0);
    if (c->more) {
        (void)fputc('\n', out);
        help_wrapped(out, c->more, 0);
    }
    if (c->options) {
        (void)fputs("\nOptions:\n", out);
        options_help(c->options, out);
    }
    (void)fputs("\nOptions of every command:\n", out);
    options_help(global_options, out);
    help_examples(c, out);
    (void)fputc('\n', out);
    (void)fputs(exit_help, out);
}
