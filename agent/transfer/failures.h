/* failures: what went wrong, grouped by errno and action, with examples; and the paths on disk, so
 * that they can be tried again alone. Locks inside; any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct failures;
struct step_result;

/* list_path NULL: no list. The list is written beside its name and takes it in
 * failures_close_list(); until then the old one stays. */
int failures_new(struct failures **ret, const char *list_path);
struct failures *failures_free(struct failures *f);

struct failure {
    const char *folder, *name; /* bytes below the root */
    size_t folder_len, name_len;
    int err;          /* positive */
    const char *what; /* "open", "read", … */
};
void failures_add(struct failures *f, const struct failure *x);
/* Only into the list: the other side counts it. */
void failures_list_only(struct failures *f, const char *path, size_t len);
void failures_restart(struct failures *f); /* forgets all: the walk begins anew */
uint64_t failures_count(struct failures *f);
int failures_close_list(struct failures *f);
void failures_report(struct failures *f, struct step_result *ret); /* groups and their examples */

/* Calls fn for each path of a list; stops with its value when that is not 0. -ENOENT: no list. */
int failures_each(const char *list_path, int (*fn)(void *arg, const char *path, size_t len),
                  void *arg);
