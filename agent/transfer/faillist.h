/* faillist: what went wrong in one transfer: grouped (agent/store/failures.h), and the paths on
 * disk, so that they can be tried again alone. Locks inside; any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct faillist;
struct step_result;

/* list_path NULL: no list. The list is written beside its name and takes it in
 * faillist_close_list(); until then the old one stays. A list over 64 MiB, or one that cannot be
 * written, is given up: no list at all says "look at everything". */
int faillist_new(struct faillist **ret, const char *list_path);
struct faillist *faillist_free(struct faillist *f);

struct failure {
    const char *folder, *name; /* bytes below the root */
    size_t folder_len, name_len;
    int err;          /* positive */
    const char *what; /* "open", "read", … */
};
void faillist_add(struct faillist *f, const struct failure *x);
/* Shown beside the failures, and none of them: the item is done. */
void faillist_note(struct faillist *f, const struct failure *x);
/* Only into the list: the other side counts it. */
void faillist_list_only(struct faillist *f, const char *path, size_t len, const char *code);
/* Of an earlier run and not tried in this one: counted, and on the list by its old cause. */
void faillist_leave(struct faillist *f, const char *path, size_t len, const char *code);
void faillist_restart(struct faillist *f); /* forgets all: the walk begins anew */
uint64_t faillist_count(struct faillist *f);
int faillist_close_list(struct faillist *f);
void faillist_report(struct faillist *f, struct step_result *ret); /* groups and their examples */

/* Calls fn for each path of a list; stops with its value when that is not 0. -ENOENT: no list. */
int faillist_each(const char *list_path,
                  int (*fn)(void *arg, const char *path, size_t len, const char *code), void *arg);
