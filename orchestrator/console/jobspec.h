/* jobspec: one job as a user described it, on the way to the canonical JSON that the orchestrator
 * takes. Checks names, places and pairs; knows no files. Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/conf/option.h"
#include "orchestrator/console/jobspec_filter.h"

struct jobspec {
    char *file; /* command line only */
    char *pair; /* command line only: newline between them */
    char *name;
    char *workload;
    bool delete_extras, dry_run, one_file_system, checksum, full_scan, delta;
    char *snapshot;
    char *compress;
    char *verify, *manifest;
    char *accounts;
    char *passwords;
    char *quotas;
    char *map;      /* path of an id map */
    char *map_text; /* what it says, once read; jobspec_done() frees it */
    char *shares, *nfs;
    uint32_t lanes, lock_tries, lock_wait;
    uint32_t max_pairs;
    char *rate;                  /* of the whole job */
    char *calendar;              /* text, from a job file */
    uint32_t max_source_latency; /* ms */
    struct filter_opts filter;
    char *accept_loss, *override, *pre_existing;
    json_t *pairs;        /* array of {source, destination} */
    json_t *destinations; /* "host:path" → where it was given */
};

/* Rows of struct jobspec: the options of `job create`, and keys of a job file. */
extern const struct option_row jobspec_options[];
/* Which of them a job file may set below "options:". */
bool jobspec_in_file(const struct option_row *row);

void jobspec_done(
    struct jobspec *s); /* frees pairs and calendar; other texts belong to the options */

/* Reads the file of s->map. from: what it is relative to, NULL: the working folder. */
int jobspec_read_map(struct jobspec *s, const char *from, struct fault *reterr);

/* "HOST:PATH", or "ENDPOINT:SHARE/PATH" without a slash before the share, with \xNN escapes;
 * *rethost and *retpath are malloc'd, without a slash at the end. -EINVAL with a fault that tells
 * what is wrong and *retat, the byte where. */
int place_parse(const char *text, char **rethost, char **retpath, size_t *retat,
                struct fault *reterr);
/* where: "line 7" or "--pair 2", for the error of a later pair with the same destination. */
int jobspec_add(struct jobspec *s, const char *source, const char *destination, const char *where,
                struct fault *reterr);
/* Splits "HOST:PATH=HOST:PATH" at the first "=" that a host name and ":/" follow. -EINVAL. *ret is
 * the index of the "=". */
int pair_split(const char *text, size_t *ret);
/* name from a file's name, when none was given: "/x/wave 1.yaml" is "wave-1". malloc'd. */
char *jobspec_name_of(const char *path);
/* All in all: a name, at least one pair, no destination within another when extras are deleted.
 * *ret is malloc'd compact JSON. */
int jobspec_json(struct jobspec *s, char **ret, struct fault *reterr);
