/* complete: what may follow on a command line. Main thread. */
#include "orchestrator/console/complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/client.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

#define NAMES_WAIT_MS 700 /* a key was pressed: do not keep people waiting */

struct completion {
    int n;
    char **words;
    const char *part;
    json_t *out;
    const char *state; /* --state on this line, or NULL */
    int at;            /* words that name the command */
};

static void offer(struct completion *c, const char *word)
{
    if (strncmp(word, c->part, strlen(c->part)) == 0)
        (void)json_array_append_new(c->out, json_string(word));
}

/* Names out of the documents of "job list" and "agent list". */
static void offer_names(struct completion *c, const char *command, const char *list,
                        const char *key)
{
    const char *env = getenv("GODWIT_STATE");
    const char *dir = c->state ? c->state : env && *env ? env : STATE_DIR_DEFAULT;
    struct client *client = NULL;
    struct fault f = {0};
    if (client_open(dir, &client, &f))
        return;
    json_t *doc = NULL, *one = NULL;
    size_t i = 0;
    if (client_ask(client, command, NULL, NAMES_WAIT_MS, &doc, &f) == EXIT_DONE)
        json_array_foreach(show_find(doc, list), i, one) offer(c, show_str(one, key));
    json_decref(doc);
    client = client_close(client);
}

static void offer_kind(struct completion *c, enum word_kind kind)
{
    switch (kind) {
    case WORD_JOB:
        offer_names(c, "job list", "jobs", "job");
        break;
    case WORD_HOST:
        offer_names(c, "agent list", "agents", "host");
        break;
    case WORD_FILE:
        (void)json_array_append_new(c->out, json_string(":files"));
        break;
    case WORD_SHELL:
        offer(c, "bash");
        break;
    case WORD_WORKLOAD:
        offer(c, "files");
        break;
    case WORD_NONE:
        break;
    }
}

static void offer_choices(struct completion *c, const char *choices)
{
    CLEANUP(mem_free) char *copy = xstrdup(choices);
    char *save = NULL;
    for (char *one = strtok_r(copy, "|", &save); one; one = strtok_r(NULL, "|", &save))
        offer(c, one);
}

static void offer_value(struct completion *c, const struct option_row *row)
{
    bool file = row->value && (strcmp(row->value, "FILE") == 0 || strcmp(row->value, "DIR") == 0);
    bool host = row->value && strcmp(row->name, "host") == 0;
    if (row->choices)
        offer_choices(c, row->choices);
    else if (file)
        offer_kind(c, WORD_FILE);
    else if (host)
        offer_kind(c, WORD_HOST);
}

static const struct option_row *row_of(const struct option_row *rows, const char *word)
{
    if (word[0] != '-' || strchr(word, '='))
        return NULL;
    for (const struct option_row *r = rows; r->name; r++) {
        bool is_long = strncmp(word, "--", 2) == 0 && strcmp(word + 2, r->name) == 0;
        if (is_long || (r->letter && word[1] == r->letter && word[2] == '\0'))
            return r;
    }
    return NULL;
}

static void offer_options(struct completion *c, const struct option_row *rows)
{
    for (const struct option_row *r = rows; r->name; r++) {
        CLEANUP(mem_free) char *word = xasprintf("--%s", r->name);
        offer(c, word);
    }
}

/* Behind a whole command: an option, an option's value, or a word. */
static void complete_command(struct completion *c, const struct command *cmd)
{
    CLEANUP(mem_free) struct option_row *rows = command_rows(cmd);
    const struct option_row *before = c->n ? row_of(rows, c->words[c->n - 1]) : NULL;
    if (before && before->kind != OPT_BOOL)
        offer_value(c, before);
    else if (c->part[0] == '-')
        offer_options(c, rows);
    else
        offer_kind(c, cmd->kind);
}

static void complete_nouns(struct completion *c)
{
    for (const struct noun *n = nouns; n->name; n++)
        if (!noun_hidden(n))
            offer(c, n->name);
    if (c->part[0] == '-') {
        offer_options(c, global_options);
        offer(c, "--version");
    }
}

static void complete_verbs(struct completion *c, const struct noun *n)
{
    for (const struct command *cmd = n->commands; cmd->noun; cmd++)
        if (!cmd->hidden && cmd->verb)
            offer(c, cmd->verb);
    if (c->part[0] == '-')
        offer(c, "--help");
}

/* The next word that is no option, nor its value; NULL at the end. */
static const char *next_word(struct completion *c)
{
    while (c->at < c->n) {
        const char *word = c->words[c->at++];
        const struct option_row *row = row_of(global_options, word);
        if (row && row->kind != OPT_BOOL && c->at < c->n) {
            c->state = strcmp(row->name, "state") == 0 ? c->words[c->at] : c->state;
            c->at++;
        } else if (word[0] != '-') {
            return word;
        }
    }
    return NULL;
}

static void find_state(struct completion *c)
{
    for (int i = 0; i + 1 < c->n; i++)
        if (strcmp(c->words[i], "--state") == 0)
            c->state = c->words[i + 1];
}

json_t *complete_words(int n, char **words, const char *part)
{
    struct completion c = {.n = n, .words = words, .part = part, .out = json_array()};
    const char *word = next_word(&c);
    const struct option_row *before = n ? row_of(global_options, words[n - 1]) : NULL;
    find_state(&c);
    if (!word && before && before->kind != OPT_BOOL) {
        offer_value(&c, before);
        return c.out;
    }
    if (!word) {
        complete_nouns(&c);
        return c.out;
    }
    const struct noun *noun = noun_find(word);
    const char *verb = noun && !noun_is_command(noun) ? next_word(&c) : NULL;
    const struct command *cmd = noun ? command_find(noun, verb) : NULL;
    if (cmd)
        complete_command(&c, cmd);
    else if (noun && !verb)
        complete_verbs(&c, noun);
    return c.out;
}
