/* option_args: takes options out of a command line and leaves the words. Any thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/conf/option.h"
#include "common/conf/option_priv.h"

struct args {
    const struct option_row *rows;
    void *conf;
    int argc;
    char **argv;
    int at;
};

static const struct option_row *find_letter(const struct option_row *rows, char letter)
{
    for (const struct option_row *r = rows; r->name; r++)
        if (r->letter && r->letter == letter)
            return r;
    return NULL;
}

static int unknown(const char *word, struct fault *reterr)
{
    CLEANUP(mem_free) char *shown = option_shown(word);
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "unknown option %s", shown);
}

/* value is what came in the same word ("--name=value", "-xvalue"), or NULL: the next word is it. */
static int take_value(struct args *a, const struct option_row *row, const char *value,
                      struct fault *reterr)
{
    if (!value && row->kind == OPT_BOOL)
        value = "yes";
    if (!value) {
        if (a->at + 1 >= a->argc)
            return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "--%s needs a value (%s)", row->name,
                             option_value_name(row));
        value = a->argv[++a->at];
    }
    struct fault f = {0};
    if (option_set(row, a->conf, value, &f) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "--%s", f.text);
    return 0;
}

static int take_long(struct args *a, const char *word, struct fault *reterr)
{
    const char *name = word + 2, *eq = strchr(name, '=');
    const struct option_row *row =
        option_find(a->rows, name, eq ? (size_t)(eq - name) : strlen(name));
    return row ? take_value(a, row, eq ? eq + 1 : NULL, reterr) : unknown(word, reterr);
}

static int take_short(struct args *a, const char *word, struct fault *reterr)
{
    const struct option_row *row = find_letter(a->rows, word[1]);
    if (!row || (row->kind == OPT_BOOL && word[2]))
        return unknown(word, reterr);
    return take_value(a, row, word[2] ? word + 2 : NULL, reterr);
}

/* NOLINTNEXTLINE(readability-function-size): argc and argv belong together */
int options_args(const struct option_row *rows, void *conf, int argc, char **argv, char **retwords,
                 int *retn, struct fault *reterr)
{
    struct args a = {.rows = rows, .conf = conf, .argc = argc, .argv = argv};
    int n = 0;
    for (; a.at < argc; a.at++) {
        char *word = argv[a.at];
        if (strcmp(word, "--") == 0) {
            while (++a.at < argc)
                retwords[n++] = argv[a.at];
            break;
        }
        int rc = 0;
        if (strncmp(word, "--", 2) == 0)
            rc = take_long(&a, word, reterr);
        else if (word[0] == '-' && word[1])
            rc = take_short(&a, word, reterr);
        else
            retwords[n++] = word;
        if (rc < 0)
            return rc;
    }
    *retn = n;
    return 0;
}
