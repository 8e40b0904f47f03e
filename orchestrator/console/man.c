/* man: manual pages from the table, and the hidden command that writes them when Godwit is built.
 * Main thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "orchestrator/console/help.h"
#include "orchestrator/console/run.h"

struct man_opts {
    char *all;
};

static const struct {
    const char *code, *what;
} exit_rows[] = {
    {"0", "done"                                                         },
    {"1", "failed"                                                       },
    {"2", "wrong usage, or a job file with an error: nothing was changed"},
    {"3", "partly done: some hosts, pairs or files failed and are named" },
    {"4", "not permitted"                                                },
    {"5", "conflict with something that exists or runs"                  },
    {"6", "not found"                                                    },
    {"7", "timed out; it may still run"                                  },
    {"8", "refused by a check before the start"                          },
};

static void man_section(FILE *out, const char *title)
{
    (void)fprintf(out, ".SH %s\n", title);
}

static void man_paragraph(FILE *out, const char *text)
{
    (void)fputs(".PP\n", out);
    man_text(out, text);
    (void)fputc('\n', out);
}

static void man_exit(FILE *out)
{
    man_section(out, "EXIT STATUS");
    for (size_t i = 0; i < ARRAY_SIZE(exit_rows); i++)
        (void)fprintf(out, ".TP\n.B %s\n%s\n", exit_rows[i].code, exit_rows[i].what);
}

static void man_examples(const struct command *c, FILE *out)
{
    for (const char *const *e = c->examples; e && *e; e++) {
        (void)fputs(".PP\n.RS\n.nf\n", out);
        man_text(out, *e);
        (void)fputs("\n.fi\n.RE\n", out);
    }
}

static void man_command(const struct command *c, FILE *out)
{
    CLEANUP(mem_free) char *name = command_name(c);
    (void)fprintf(out, ".SS \"godwit %s", name);
    if (*c->words) {
        (void)fputc(' ', out);
        man_text(out, c->words);
    }
    (void)fputs("\"\n", out);
    man_text(out, c->help);
    (void)fputc('\n', out);
    if (c->more)
        man_paragraph(out, c->more);
    if (c->options)
        options_man(c->options, out);
    man_examples(c, out);
}

static void man_global(FILE *out)
{
    man_section(out, "OPTIONS OF EVERY COMMAND");
    options_man(global_options, out);
}

static void man_title(const char *page, const char *help, FILE *out)
{
    (void)fprintf(out, ".TH %s 1 \"\" \"Godwit %s\" \"Godwit manual\"\n", page, GODWIT_VERSION);
    man_section(out, "NAME");
    man_text(out, page);
    (void)fputs(" \\- ", out);
    man_text(out, help);
    (void)fputc('\n', out);
}

void man_noun(const struct noun *n, FILE *out)
{
    CLEANUP(mem_free) char *page = xasprintf("godwit-%s", n->name);
    man_title(page, n->help, out);
    man_section(out, "COMMANDS");
    for (const struct command *c = n->commands; c->noun; c++)
        if (!c->hidden)
            man_command(c, out);
    man_global(out);
    man_exit(out);
    (void)fputs(".SH SEE ALSO\n.BR godwit (1)\n", out);
}

static void man_files(FILE *out)
{
    man_section(out, "FILES");
    (void)fputs(".TP\n.I /var/lib/godwit/console.json\nHow this console reaches the orchestrator: "
                "written by\n.BR godwitd (8),\nreadable by root.\n",
                out);
    (void)fputs(".TP\n.I ~/.local/state/godwit\nHistory of the prompt, and what\n.B godwit "
                "migrate\nkeeps for an ordinary user.\n",
                out);
    man_section(out, "ENVIRONMENT");
    (void)fputs(".TP\n.B GODWIT_STATE\nThe folder with console.json, as\n.B \\-\\-state\ndoes.\n"
                ".TP\n.B NO_COLOR\nNo colours when set.\n",
                out);
}

void man_all(FILE *out)
{
    man_title("godwit", "moves servers so that nobody notices", out);
    man_section(out, "SYNOPSIS");
    (void)fputs(".B godwit\n.I NOUN VERB\n[words] [options]\n", out);
    man_section(out, "DESCRIPTION");
    man_paragraph(out, "godwit talks to the orchestrator on this machine. Data goes to standard "
                       "output, everything else to standard error.");
    for (const struct noun *n = nouns; n->name; n++) {
        if (noun_hidden(n))
            continue;
        (void)fprintf(out, ".TP\n.BR godwit\\-%s (1)\n", n->name);
        man_text(out, n->help);
        (void)fputc('\n', out);
    }
    man_global(out);
    man_exit(out);
    man_files(out);
    (void)fputs(".SH SEE ALSO\n.BR godwitd (8),\n.BR godwit\\-agent (8)\n", out);
}

/* n NULL: the page of the program. */
static int man_write(const char *dir, const struct noun *n)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return -errno;
    if (n)
        man_noun(n, out);
    else
        man_all(out);
    if (fclose(out) != 0)
        return -errno;
    CLEANUP(mem_free)
    char *path = xasprintf("%s/godwit%s%s.1", dir, n ? "-" : "", n ? n->name : "");
    return file_write(path, 0644, text, len);
}

static int man_run(struct run *r)
{
    const struct man_opts *o = r->opts;
    if (!o->all) {
        man_all(stdout);
        return EXIT_DONE;
    }
    int rc = file_mkdirs(o->all, 0755);
    if (rc == 0)
        rc = man_write(o->all, NULL);
    for (const struct noun *n = nouns; rc == 0 && n->name; n++)
        if (!noun_hidden(n))
            rc = man_write(o->all, n);
    return rc < 0 ? run_fail(EXIT_FAILED, "cannot write to %s: %s", o->all, strerror(-rc))
                  : EXIT_DONE;
}

static const struct option_row man_options[] = {
    {.name = "all",
     .kind = OPT_STRING,
     .off = offsetof(struct man_opts, all),
     .value = "DIR",
     .help = "Writes godwit.1 and one page for each noun into this folder."},
    {.name = NULL},
};

const struct command man_commands[] = {
    {.noun = "man",
     .words = "",
     .options = man_options,
     .opts_size = sizeof(struct man_opts),
     .help = "Prints the manual page of godwit.",
     .hidden = true,
     .run = man_run},
    {.noun = NULL},
};
