/* compare_priv: one entry of the destination as the comparison looks at it (view.c). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/store/meta.h"
#include "agent/transfer/record.h"

struct step;

struct catalogue_entry;
struct compare;
struct rlane;

struct view {
    int dir;
    char name[NAME_BYTES_MAX + 1];
    struct meta meta;
};

/* False: nothing there. dir -1: there is no folder. */
bool view_open(struct view *ret, int dir, struct bytes name);
int view_xattrs_digest(const struct view *v, uint64_t *ret);
/* Reads the whole file, or until s is cancelled. */
int view_digest(const struct view *v, struct step *s, uint8_t ret[DIGEST_BYTES]);
bool view_link_is(const struct view *v, struct bytes target);

/* Did the source name it in the folder that was listed? */
bool compare_names(const struct compare *k, const char *name, size_t len);

void compare_rows_renew(struct rlane *l); /* some may have gone elsewhere meanwhile */

/* compare_entry.c. The verdict, or -errno: the entry cannot take its place. *reterr: of the lane.
 */
int compare_entry(struct rlane *l, const struct listing_entry *e, uint8_t digest[DIGEST_BYTES],
                  int *reterr);
void compare_count_dry(struct rlane *l, const struct listing_entry *e, enum verdict v);

/* evidence.c: what a comparison does besides when the transfer keeps evidence. */
/* Nobody knows the digest of what seems to be the same: both sides have to look. */
bool evidence_wants_look(const struct catalogue_entry *k, const struct listing_entry *e,
                         const struct view *v);
/* Is what stands here neither what was put here nor what the source has? */
bool evidence_changed_here(struct rlane *l, const struct view *v, const struct listing_entry *e);
/* Counts it as a failure; the next pass sends it. */
int evidence_name_it(struct rlane *l, const struct listing_entry *e);
void evidence_same(struct rlane *l, const struct listing_entry *e); /* its content need not come */
/* At the end of a whole listing: rows of what the source no longer has are put aside. */
int evidence_prune(struct rlane *l);

/* extras.c: removes stale temporaries, and puts names that only stand here aside for deletion. */
int extras_find(struct rlane *l, bool complete);
uint64_t extras_count(int dir, const char *name); /* with all below */
