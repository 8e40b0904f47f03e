/* limits: rows of bandwidth limits and of sites. No rules; main thread. Pointers in rows that a
 * callback gets are borrowed for the call. All calls return 0 or -errno. */
#pragma once
#include <stdint.h>

struct store;

struct limit_row {
    const char *scope;    /* "job", "host", "site" */
    const char *name;     /* of a job its id */
    uint64_t rate;        /* as common/base/rate.h has it */
    const char *calendar; /* its text; "": none */
};

int limit_rows_put(struct store *s, const struct limit_row *r);
int limit_rows_delete(struct store *s, const char *scope, const char *name);
int limit_rows_each(struct store *s, int (*each)(void *arg, const struct limit_row *r), void *arg);

/* A host is in one site at most: putting it into another takes it out of the first. */
int site_rows_put(struct store *s, const char *site, const char *host);
int site_rows_delete(struct store *s, const char *site); /* the whole site */
int site_rows_each(struct store *s, int (*each)(void *arg, const char *site, const char *host),
                   void *arg);

/* The host is called otherwise from now on. */
int limit_rows_rename_host(struct store *s, const char *from, const char *to);
