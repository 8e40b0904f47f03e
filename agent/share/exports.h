/* exports: the lines of /etc/exports: a folder and who may mount it how. Pure; any thread. */
#pragma once
#include <stddef.h>

#include "common/base/fault.h"

#define EXPORTS_MAX (1U << 20) /* bytes of one file */
#define EXPORTS_LINES 20000

struct export_line {
    char *path;    /* as bytes: quotes and \ooo undone, no slash at the end */
    char *clients; /* "10.0.0.0/8(rw,sync) *(ro)", default options of the line put into each; one
                      space between */
};

struct exports {
    struct export_line *list;
    size_t n;
};

/* -EINVAL with a fault that names the line. */
int exports_parse(const char *text, size_t len, struct exports *ret, struct fault *reterr);
void exports_done(struct exports *e);
/* path as such a file has it: spaces and what is no plain character as \ooo. malloc'd. */
char *exports_escape(const char *path);
/* Is it clients as exports_parse() makes them: one line, no comment, no quote? */
int exports_clients_valid(const char *clients);
