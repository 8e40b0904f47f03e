/* run: what commands use to ask the orchestrator and to tell people what came of it. Main thread.
 */
#include "orchestrator/console/run.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/client.h"
#include "orchestrator/console/show.h"

int run_fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    CLEANUP(mem_free) char *clean = show_clean(text);
    (void)fflush(stdout);
    (void)fprintf(stderr, "godwit: %s\n", clean);
    return code;
}

void run_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    CLEANUP(mem_free) char *clean = show_clean(text);
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s\n", clean);
}

bool run_json(const struct run *r)
{
    return strcmp(r->globals->output, "json") == 0;
}

int run_try(struct run *r, const char *command, const struct arg *args, json_t **ret,
            struct fault *reterr)
{
    *ret = NULL;
    if (!r->client) {
        int rc = client_open(r->globals->state, &r->client, reterr);
        if (rc)
            return rc;
    }
    return client_ask(r->client, command, args, r->globals->reply_ms, ret, reterr);
}

int run_ask(struct run *r, const char *command, const struct arg *args, json_t **ret)
{
    struct fault f = {0};
    int rc = run_try(r, command, args, ret, &f);
    if (rc == EXIT_DONE)
        return rc;
    json_decref(*ret);
    *ret = NULL;
    return run_fail(rc, "%s", f.text);
}

void run_print_json(json_t *doc)
{
    if (!doc)
        return;
    (void)json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    (void)fputc('\n', stdout);
}

static int ask_one(struct run *r, const char *arg, const char *word, const struct arg *more,
                   json_t **ret)
{
    struct arg args[8] = {
        {arg, word}
    };
    for (size_t i = 1; more && more->name && i < ARRAY_SIZE(args) - 1; i++)
        args[i] = *more++;
    CLEANUP(mem_free) char *name = command_name(r->cmd);
    struct fault f = {0};
    int rc = run_try(r, name, args, ret, &f);
    if (rc)
        (void)run_fail(rc, "%s: %s", word, f.text);
    return rc;
}

int run_each(struct run *r, const char *arg, const struct arg *more, const char *done)
{
    int worst = EXIT_DONE, good = 0;
    json_t *all = json_array();
    for (int i = 0; i < r->nwords; i++) {
        json_t *doc = NULL;
        int rc = ask_one(r, arg, r->words[i], more, &doc);
        if (rc > worst)
            worst = rc;
        good += rc == EXIT_DONE ? 1 : 0;
        if (rc == EXIT_DONE && !run_json(r))
            run_say("%s %s", r->words[i], done);
        const char *note = rc == EXIT_DONE && !run_json(r) ? show_str(doc, "note") : "";
        if (*note)
            run_say("%s: %s", r->words[i], note);
        if (doc)
            (void)json_array_append_new(all, doc);
    }
    if (run_json(r) && r->nwords == 1)
        run_print_json(json_array_get(all, 0));
    else if (run_json(r)) {
        json_t *doc = json_pack("{s:i, s:O}", "schema", 1, "results", all);
        run_print_json(doc);
        json_decref(doc);
    }
    json_decref(all);
    return worst && good ? EXIT_PARTLY : worst;
}

bool run_declined(const char *fmt, ...)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    va_list ap;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "%s [y/N] ", text);
    (void)fflush(stderr);
    char answer[16] = "";
    if (!fgets(answer, sizeof answer, stdin) || tolower((unsigned char)answer[0]) != 'y') {
        run_say("nothing was done");
        return true;
    }
    return false;
}
