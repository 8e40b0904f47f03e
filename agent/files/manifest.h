/* manifest: the two lists of what a pass left at the destination: SHA256SUMS, which `sha256sum -c`
 * reads, and METADATA, one line an entry:
 *
 *   TYPE MODE UID GID SIZE MTIME ATTRIBUTES PATH[ -> TARGET]
 *   f 0644 0 0 1234 1763711999.123456789 - dir/name
 *
 * fields are separated by tabs; ATTRIBUTES is the XXH3-64 of the packed attributes or "-"; in paths
 * a backslash, newline, carriage return or tab is written \\ \n \r \t. One thread at a time. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "agent/store/catalogue.h"
#include "common/base/sha256.h"

struct manifest;

/* STATE_DIR/manifest/PAIR/RUN and its parents, 0700; malloc'd. */
char *manifest_folder(const char *state_dir, const char *pair, uint32_t run);
/* STATE_DIR/manifest, with a folder for each pair; malloc'd, not made. */
char *manifest_parent(const char *state_dir);

struct manifest_entry {
    const char *folder, *name;
    size_t folder_len, name_len;
    const struct catalogue_entry *row;
    const char *target; /* of a symlink */
};

int manifest_new(struct manifest **ret, const char *folder);
struct manifest *manifest_free(struct manifest *m); /* what was not ended goes; NULL is fine */
/* A line in each list; of a regular file only with its SHA-256. Errors are kept for the end. */
void manifest_add(struct manifest *m, const struct manifest_entry *e);

struct manifest_sums {
    uint64_t files, bytes, entries;
    uint8_t sums[SHA256_LEN], metadata[SHA256_LEN];
};
/* Durable, under their names. 0 or -errno. */
int manifest_end(struct manifest *m, struct manifest_sums *ret);
