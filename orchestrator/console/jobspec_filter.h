/* jobspec_filter: what a job leaves out, as options of `job create` and `migrate` and keys of a job
 * file. Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/fault.h"

struct filter_opts {
    char *exclude, *include;         /* newline between patterns */
    uint64_t min_size, max_size;     /* bytes; 0: no limit */
    uint64_t min_age_ms, max_age_ms; /* 0: no limit */
    bool delete_excluded;
};

/* Rows of the options table of a struct that has a struct filter_opts named filter. */
#define FILTER_ROWS(type)                                                                          \
    {.name = "exclude",                                                                            \
     .kind = OPT_STRING,                                                                           \
     .off = offsetof(struct type, filter.exclude),                                                 \
     .value = "PATTERN",                                                                           \
     .repeat = true,                                                                               \
     .help =                                                                                       \
         "Leaves out what has such a name: *.tmp, /top/only, folder/, a/**/b, or @windows for "    \
         "what Windows keeps for itself."},                                                        \
        {.name = "include",                                                                        \
         .kind = OPT_STRING,                                                                       \
         .off = offsetof(struct type, filter.include),                                             \
         .value = "PATTERN",                                                                       \
         .repeat = true,                                                                           \
         .help = "Takes it nevertheless: an exception from --exclude."},                           \
        {.name = "min-size",                                                                       \
         .kind = OPT_SIZE,                                                                         \
         .off = offsetof(struct type, filter.min_size),                                            \
         .help = "Leaves out smaller files."},                                                     \
        {.name = "max-size",                                                                       \
         .kind = OPT_SIZE,                                                                         \
         .off = offsetof(struct type, filter.max_size),                                            \
         .help = "Leaves out larger files."},                                                      \
        {.name = "min-age",                                                                        \
         .kind = OPT_DURATION,                                                                     \
         .off = offsetof(struct type, filter.min_age_ms),                                          \
         .help = "Leaves out files that changed later than that before the pass."},                \
        {.name = "max-age",                                                                        \
         .kind = OPT_DURATION,                                                                     \
         .off = offsetof(struct type, filter.max_age_ms),                                          \
         .help = "Leaves out files that did not change for longer than that."},                    \
    {                                                                                              \
        .name = "delete-excluded", .kind = OPT_BOOL,                                               \
        .off = offsetof(struct type, filter.delete_excluded), .def = "no",                         \
        .help = "With --delete: removes from the destination what is left out, too."               \
    }

/* Adds the keys that are set to a job's options. */
void jobspec_filter_json(const struct filter_opts *f, json_t *options);
/* options[key] = the lines as a list; nothing when there are none. */
void jobspec_list_json(json_t *options, const char *key, const char *lines);
/* One pattern of a list, before the whole is known. -EINVAL with a fault that names it. */
int jobspec_filter_check(const char *pattern, struct fault *reterr);
/* ".filter-0123456789abcdef", or "" when nothing is left out; malloc'd. For names of jobs. */
char *jobspec_filter_name(const struct filter_opts *f);
