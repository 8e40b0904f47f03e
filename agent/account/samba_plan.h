/* samba_plan: what is to become of the source's Samba users and groups here, by what became of
 * their unix accounts, and which SIDs become others by that. Pure; any thread. */
#pragma once
#include "agent/account/passdb.h"
#include "agent/account/plan.h"
#include "common/base/buf.h"

#define SAMBA_NOTES_MAX 100

struct samba_ask {
    const struct passdb *from, *here;
    const struct account_row *rows; /* by account_plan(), after they were made */
    size_t nrows;
    const struct idmap *map;   /* of the job: SIDs that it gives stay out of ours */
    uint32_t uid_min, gid_min; /* below them are this host's own accounts */
    const char *suffix;        /* of a group's new name: the source's host */
};

struct samba_plan {
    struct passdb put; /* what is to be put there; wiped by samba_plan_done() */
    struct buf map;    /* lines "sid,FROM,TO" */
    char *notes[SAMBA_NOTES_MAX];
    size_t nnotes, left_notes; /* beyond the last */
    unsigned users_made, users_updated, users_same, users_left;
    unsigned groups_made, groups_same, groups_left;
};

void samba_plan(const struct samba_ask *a, struct samba_plan *ret);
void samba_plan_done(struct samba_plan *p);
