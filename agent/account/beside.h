/* beside: what belongs to a source's accounts and does not move with them, in words: names that no
 * other host takes, sudo's rules, crontabs, Samba's account policies. Reads only. Worker threads.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/account/list.h"

#define BESIDE_MAX 40 /* lines */

struct beside {
    char *lines[BESIDE_MAX]; /* printable */
    size_t n;
};

/* root: "" or that of a test; samba: ask it for its policies. search: folders of its programs;
 * NULL: the system's. */
void beside_look(const char *root, const char *search, bool samba, const struct account_list *l,
                 struct beside *ret);
void beside_done(struct beside *b);

/* ── for tests ── */
/* Each user and %group of l that stands in a text of sudoers. */
void beside_take_sudoers(struct beside *b, const char *name, const char *text,
                         const struct account_list *l);
