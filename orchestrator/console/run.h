/* run: what commands use to ask the orchestrator and to tell people what came of it. Data goes to
 * standard output, all else to standard error. Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "orchestrator/console/command.h"

struct arg {
    const char *name;
    const char *value; /* NULL: not sent */
};

#define ARGS_END                                                                                   \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

/* Says the error and returns code. */
int run_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void run_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool run_json(const struct run *r);
/* One request. *ret is NULL when there is no document; freed by json_decref(). An exit code; errors
 * have been said. */
int run_ask(struct run *r, const char *command, const struct arg *args, json_t **ret);
/* The same, quietly: the error is put into reterr. */
int run_try(struct run *r, const char *command, const struct arg *args, json_t **ret,
            struct fault *reterr);
/* Asks the command's own name for each word as args[0], says what came of it, prints JSON when
 * asked. done: "%s approved". The worst exit code, or EXIT_PARTLY when some went through. */
int run_each(struct run *r, const char *arg, const struct arg *more, const char *done);
void run_print_json(json_t *doc);
/* True when there is a terminal to ask and the answer was not yes. */
bool run_declined(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
