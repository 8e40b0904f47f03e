/* examine: looks at entries of the destination again: is each what its row of the catalogue says?
 * In groups, by several threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/store/catalogue.h"
#include "common/base/sha256.h"

struct examiner;
struct step;

struct examined {
    const char *folder, *name; /* borrowed by the caller's leave until the group is done */
    size_t folder_len, name_len;
    struct catalogue_entry row; /* gets the SHA-256 of what was read */
    size_t at;                  /* the caller's own */
    bool read_again;            /* asked: read the content even when its SHA-256 is known */
    /* ── found ── */
    const char *differs; /* NULL: it is as it should be. "content differs", static */
    int err;             /* it could not be looked at; differs names what failed */
    bool was_read;
    bool unknown; /* read, but there was no digest to compare with */
    char *target; /* of a symlink; malloc'd */
};

struct examiner_conf {
    struct step *step;
    int root;
    bool privileged;
    bool attributes;      /* the file system can hold them: they are compared */
    bool manifest;        /* files without a SHA-256 are read */
    bool from_disk;       /* not from the page cache */
    uint64_t *read_bytes; /* counts while it reads, for progress; atomic */
};

struct examiner *examiner_new(const struct examiner_conf *conf);
struct examiner *examiner_free(struct examiner *x); /* NULL is fine; returns NULL */
/* 0 or -ECANCELED. Blocking. */
int examiner_run(struct examiner *x, struct examined *group, size_t n);
