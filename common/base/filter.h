/* filter: which names of a tree are left out: patterns in the manner of rsync, limits of size and
 * age, and the named set of what Windows keeps for itself. Pure; immutable once made, any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

#define FILTER_PATTERNS_MAX 256 /* of each list */
#define FILTER_PATTERN_MAX 1000 /* bytes of one */

struct filter;

struct filter_conf {
    const char *const *exclude; /* patterns, or "@windows" */
    size_t nexclude;
    const char *const *include; /* exceptions from exclude */
    size_t ninclude;
    uint64_t min_size, max_size; /* of regular files, bytes; max 0: no limit */
    int64_t oldest_ms;           /* changed before it: left out; 0: no limit */
    int64_t newest_ms;           /* changed after it: left out; 0: no limit */
};

/* *ret is NULL when nothing would be left out: then nobody has to ask. -EINVAL with a fault that
 * names the pattern. */
int filter_new(struct filter **ret, const struct filter_conf *conf, struct fault *reterr);
struct filter *filter_free(struct filter *f); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(filter_free, struct filter *)

/* Is the entry name of folder (relative to the root, "" is the root itself) left out by its name?
 * A folder that is left out is so with all below it, which is the caller's to see to. */
bool filter_name(const struct filter *f, const char *folder, size_t folder_len, const char *name,
                 size_t name_len, bool is_folder);
/* Is the path, or a folder on the way to it, left out by its name? */
bool filter_path(const struct filter *f, const char *path, size_t len, bool is_folder);
/* Is a regular file left out by its size or the time of its last change? */
bool filter_file(const struct filter *f, uint64_t size, int64_t changed_ms);
bool filter_has_limits(const struct filter *f); /* filter_file() may say yes */
bool filter_has_ages(const struct filter *f);
/* Of all that decides what is left out but the moment that ages are counted from. Not 0. */
uint64_t filter_key(const struct filter *f);

/* One pattern against one path, as filter_name() does it; for tests. Both NUL-terminated. */
bool filter_matches(const char *pattern, const char *path, bool is_folder);
