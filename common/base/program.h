/* program: runs another program as a child: no shell, the C locale, nothing on its standard input
 * but what is given, its output and its time limited. Blocking; worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "common/base/fault.h"

struct program_call {
    const char *const *argv; /* argv[0]: a path with a slash, or a name looked up in search */
    const char *search;      /* "/usr/sbin:/usr/bin"; NULL: the system's own folders */
    const void *input;       /* for its standard input, kept in memory only; NULL: nothing */
    size_t input_len;
    const char *const *env; /* "NAME=VALUE" besides PATH and the locale, at most 8; NULL: none */
    size_t max_out;         /* of standard output; more is -E2BIG. 0: 1 MiB */
    bool drop;              /* more than max_out is read and dropped instead */
    int timeout_ms;         /* 0: a minute */
    int cancel_fd;          /* readable: give up. Below 1: none */
};

struct program_output {
    char *out;  /* standard output, NUL behind it */
    size_t len; /* of out */
    char *err;  /* the beginning of standard error, at most 64 KiB, NUL behind it */
    int code;   /* exit code; 128 + signal */
};

/* 0 when it ran to its end, whatever its exit code. -ENOENT: there is no such program; -ETIMEDOUT,
 * -ECANCELED, -E2BIG: it was killed with its process group. *ret is to be freed in every case of 0.
 */
int program_run(const struct program_call *c, struct program_output *ret, struct fault *reterr);
void program_done(struct program_output *o);
/* The last line of standard error that says something (if none does, of standard output), printable
 * and short. malloc'd. */
char *program_words(const struct program_output *o);
/* Is there such a program? */
int program_find(const char *name, const char *search, char **ret);
