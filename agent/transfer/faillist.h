/* faillist: what went wrong in one transfer: grouped (agent/store/failures.h), and the paths on
 * disk, so that they can be tried again alone. Locks inside; any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct faillist;
struct step_result;

/* list_path NULL: no list. The list is written beside its name and takes it in
 * faillist_close_list(); until then the old one stays. A list over 1 GiB, or one that cannot be
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

/* A part of a list: from a byte on that an earlier call gave, at most so many bytes of paths and
 * codes (but one path at least). fn as below; it cannot stop it. ret->from: where the next part
 * begins, 0: no more; ret->list: which list it was. */
struct faillist_part {
    uint64_t from, list; /* list: as an earlier call told it; 0: any */
    size_t max, rows;    /* bytes, and rows */
};
/* -ENOENT: no list. -ESTALE: it is another one by now. */
int faillist_page(const char *list_path, const struct faillist_part *part,
                  int (*fn)(void *arg, const char *path, size_t len, const char *code), void *arg,
                  struct faillist_part *ret);

/* Calls fn for each path of a list; stops with its value when that is not 0. -ENOENT: no list. */
int faillist_each(const char *list_path,
                  int (*fn)(void *arg, const char *path, size_t len, const char *code), void *arg);
