/* compare_priv: one entry of the destination as the comparison looks at it (view.c). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/store/meta.h"
#include "agent/transfer/record.h"

struct rlane;

struct view {
    int dir;
    char name[NAME_BYTES_MAX + 1];
    struct meta meta;
};

/* False: nothing there. dir -1: there is no folder. */
bool view_open(struct view *ret, int dir, struct bytes name);
int view_xattrs_digest(const struct view *v, uint64_t *ret);
int view_digest(const struct view *v, uint8_t ret[DIGEST_BYTES]); /* reads the whole file */
bool view_link_is(const struct view *v, struct bytes target);

/* Removes stale temporaries, and puts names that only stand here aside for deletion. */
int extras_find(struct rlane *l, bool complete);
uint64_t extras_count(int dir, const char *name); /* with all below */
