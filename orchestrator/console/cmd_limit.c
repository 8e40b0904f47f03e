/* cmd_limit: `godwit limit …` and `godwit site …`. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/calendar.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

struct limit_opts {
    char *job, *host, *site;
    char *rate, *calendar;
};

static const struct column limit_columns[] = {
    {"ON",        "scope",            CELL_TEXT},
    {"NAME",      "name",             CELL_TEXT},
    {"NOW",       "now",              CELL_TEXT},
    {"USED",      "used_bytes_per_s", CELL_RATE},
    {"UNTIL",     "until",            CELL_TEXT},
    {"OTHERWISE", "rate",             CELL_TEXT},
    {"CALENDAR",  "calendar",         CELL_TEXT},
    {NULL,        NULL,               CELL_TEXT},
};

static const struct column site_columns[] = {
    {"SITE",  "site",  CELL_TEXT},
    {"HOSTS", "hosts", CELL_LIST},
    {NULL,    NULL,    CELL_TEXT},
};

/* Exactly one of --job, --host and --site. */
static int scope_of(const struct limit_opts *o, const char **retscope, const char **retname)
{
    const struct {
        const char *scope, *name;
    } all[] = {
        {"job",  o->job },
        {"host", o->host},
        {"site", o->site},
    };
    int given = 0;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (!all[i].name)
            continue;
        given++;
        *retscope = all[i].scope;
        *retname = all[i].name;
    }
    return given == 1
               ? EXIT_DONE
               : run_fail(EXIT_USAGE, "name one thing: --job JOB, --host HOST or --site SITE");
}

/* Read here too, so that an error names the file. */
static int read_calendar(const char *path, char **ret)
{
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(calendar_free) struct calendar *c = NULL;
    struct calendar_error err;
    size_t len = 0;
    int rc = file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, CALENDAR_MAX, &text, &len);
    if (rc < 0)
        return run_fail(rc == -ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, "cannot read %s: %s", path,
                        rc == -EFBIG ? "larger than 16 KiB" : strerror(-rc));
    if (strlen(text) != len)
        return run_fail(EXIT_USAGE, "%s: a NUL byte has no place in a calendar", path);
    if (calendar_parse(text, RATE_UNLIMITED, &c, &err) < 0)
        return run_fail(EXIT_USAGE, "%s:%u:%u: %s", path, err.line, err.column, err.text);
    *ret = text;
    text = NULL;
    return EXIT_DONE;
}

static int limit_set(struct run *r)
{
    const struct limit_opts *o = r->opts;
    const char *scope = NULL, *name = NULL;
    CLEANUP(mem_free) char *calendar = NULL;
    uint64_t rate = 0;
    int rc = scope_of(o, &scope, &name);
    if (rc == EXIT_DONE && !o->rate && !o->calendar)
        rc = run_fail(EXIT_USAGE, "say how much: --rate RATE, --calendar FILE or both");
    if (rc == EXIT_DONE && o->rate && rate_parse(o->rate, &rate) < 0)
        rc = run_fail(EXIT_USAGE,
                      "a rate is such as 200MiB/s or 100Mbit/s (1 KiB/s to 1 TiB/s), none or "
                      "unlimited; not \"%.40s\"",
                      o->rate);
    if (rc == EXIT_DONE && o->calendar)
        rc = read_calendar(o->calendar, &calendar);
    if (rc)
        return rc;
    const struct arg args[] = {
        {"scope",    scope   },
        {"name",     name    },
        {"rate",     o->rate },
        {"calendar", calendar},
        ARGS_END
    };
    json_t *doc = NULL;
    rc = run_ask(r, "limit set", args, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        run_say("%s %s: %s%s", scope, name, show_str(doc, "rate"),
                calendar ? " outside of its calendar's windows" : "");
    json_decref(doc);
    return EXIT_DONE;
}

static int limit_remove(struct run *r)
{
    const char *scope = NULL, *name = NULL;
    int rc = scope_of(r->opts, &scope, &name);
    if (rc)
        return rc;
    const struct arg args[] = {
        {"scope", scope},
        {"name",  name },
        ARGS_END
    };
    json_t *doc = NULL;
    rc = run_ask(r, "limit remove", args, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        run_say("%s %s has no limit any more", scope, name);
    json_decref(doc);
    return EXIT_DONE;
}

/* A table has one line for each limit: a calendar is a count in it. */
static void shorten_calendars(const json_t *limits)
{
    size_t i = 0;
    json_t *limit = NULL;
    json_array_foreach(limits, i, limit)
    {
        bool has = *show_str(limit, "calendar") != '\0';
        (void)json_object_set_new(limit, "calendar", json_string(has ? "yes" : ""));
    }
}

static int list(struct run *r, const char *command, const char *key, const struct column *columns,
                const char *none)
{
    json_t *doc = NULL;
    int rc = run_ask(r, command, NULL, &doc);
    if (rc)
        return rc;
    const json_t *rows = show_find(doc, key);
    if (run_json(r)) {
        run_print_json(doc);
    } else if (json_array_size(rows) == 0) {
        run_say("%s", none);
    } else {
        if (columns == limit_columns)
            shorten_calendars(rows);
        show_table(stdout, columns, rows);
    }
    json_decref(doc);
    return EXIT_DONE;
}

static int limit_list(struct run *r)
{
    return list(r, "limit list", "limits", limit_columns,
                "there are no limits; godwit limit set --help tells how to set one");
}

static int site_list(struct run *r)
{
    return list(r, "site list", "sites", site_columns,
                "there are no sites; godwit site set NAME HOST... makes one");
}

static int site_set(struct run *r)
{
    size_t len = 1;
    for (int i = 1; i < r->nwords; i++)
        len += strlen(r->words[i]) + 1;
    CLEANUP(mem_free) char *hosts = xcalloc(1, len);
    for (int i = 1, at = 0; i < r->nwords; i++)
        at += snprintf(hosts + at, len - (size_t)at, "%s%s", at ? "\n" : "", r->words[i]);
    const struct arg args[] = {
        {"site",  r->words[0]},
        {"hosts", hosts      },
        ARGS_END
    };
    json_t *doc = NULL;
    int rc = run_ask(r, "site set", args, &doc);
    if (rc)
        return rc;
    if (run_json(r))
        run_print_json(doc);
    else
        run_say("site %s has %lld host%s", r->words[0], (long long)show_int(doc, "hosts"),
                show_int(doc, "hosts") == 1 ? "" : "s");
    json_decref(doc);
    return EXIT_DONE;
}

static int site_remove(struct run *r)
{
    return run_each(r, "site", NULL, "is no site any more; its limit is gone with it");
}

#define ON_ROWS                                                                                    \
    {.name = "job",                                                                                \
     .kind = OPT_STRING,                                                                           \
     .off = offsetof(struct limit_opts, job),                                                      \
     .value = "JOB",                                                                               \
     .help = "All pairs of this job together."},                                                   \
        {.name = "host",                                                                           \
         .kind = OPT_STRING,                                                                       \
         .off = offsetof(struct limit_opts, host),                                                 \
         .value = "HOST",                                                                          \
         .help = "All that this host sends and receives."},                                        \
    {                                                                                              \
        .name = "site", .kind = OPT_STRING, .off = offsetof(struct limit_opts, site),              \
        .value = "SITE", .help = "All that enters or leaves this site (godwit site set)."          \
    }

static const struct option_row set_options[] = {
    ON_ROWS,
    {.name = "rate",
      .kind = OPT_STRING,
      .off = offsetof(struct limit_opts, rate),
      .value = "RATE",
      .help = "Such as 200MiB/s or 100Mbit/s; none lets nothing through, unlimited all. With a "
             "calendar: outside of its windows."},
    {.name = "calendar",
      .kind = OPT_STRING,
      .off = offsetof(struct limit_opts, calendar),
      .value = "FILE",
      .help = "Windows of the week with a rate each; - is standard input."},
    {.name = NULL                  },
};
static const struct option_row remove_options[] = {ON_ROWS, {.name = NULL}};

static const char *const set_examples[] = {
    "godwit limit set --site zurich --rate 100MiB/s",
    "godwit limit set --host fs1 --rate 200Mbit/s --calendar office.txt",
    "godwit limit set --job wave1 --rate none              # a pause that keeps its lanes open",
    NULL,
};
static const char *const remove_examples[] = {"godwit limit remove --site zurich", NULL};
static const char *const list_examples[] = {"godwit limit list", "godwit limit list -o json", NULL};
static const char *const site_set_examples[] = {"godwit site set zurich fs1 fs2 new1", NULL};
static const char *const site_list_examples[] = {"godwit site list", NULL};
static const char *const site_remove_examples[] = {"godwit site remove zurich", NULL};

const struct command limit_commands[] = {
    {.noun = "limit",
     .verb = "set",
     .words = "",
     .options = set_options,
     .opts_size = sizeof(struct limit_opts),
     .help = "Limits the bandwidth of a job, a host or a site; holds at once, also for what runs.",
     .more =
         "A pair sends at most what the limits of its job, its two hosts and their sites leave it; "
         "pairs share a limit evenly, and what one does not use the others get. A calendar has "
         "lines such as \"Mon-Fri 08:00-18:00 50MiB/s\", \"Sat,Sun 00:00-24:00 none\" or \"daily "
         "22:00-06:00 unlimited\"; the first line that fits holds, outside of all of them --rate. "
         "Its times are of the orchestrator's time zone, or of the one in a line \"zone "
         "Europe/Zurich\". Agents know the windows of the next days in advance and keep them also "
         "while the orchestrator is away.", .examples = set_examples,
     .run = limit_set},
    {.noun = "limit",
     .verb = "remove",
     .words = "",
     .options = remove_options,
     .opts_size = sizeof(struct limit_opts),
     .help = "Removes a limit.",
     .examples = remove_examples,
     .run = limit_remove},
    {.noun = "limit",
     .verb = "list",
     .words = "",
     .help = "Lists the limits and what each of them is now.",
     .examples = list_examples,
     .run = limit_list},
    {.noun = NULL },
};

const struct command site_commands[] = {
    {.noun = "site",
     .verb = "set",
     .words = "SITE HOST...",
     .min_words = 2,
     .max_words = -1,
     .kind = WORD_HOST,
     .help = "Makes a site of these hosts, or gives a site other hosts.",
     .more = "A site is a group of hosts behind one link. A host is in one site at most.",
     .examples = site_set_examples,
     .run = site_set},
    {.noun = "site",
     .verb = "remove",
     .words = "SITE...",
     .min_words = 1,
     .max_words = -1,
     .help = "Forgets a site and its limit; its hosts stay.",
     .examples = site_remove_examples,
     .run = site_remove},
    {.noun = "site",
     .verb = "list",
     .words = "",
     .help = "Lists the sites and their hosts.",
     .examples = site_list_examples,
     .run = site_list},
    {.noun = NULL},
};
