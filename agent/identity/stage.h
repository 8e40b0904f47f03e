/* stage: what one order of a cutover does on this host: a table of stages, each noted before it
 * acts, probed, undone. Blocking; one at a time on a host (a lock file), in whichever process has
 * the rights. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/identity/site.h"
#include "common/base/fault.h"
#include "proto/identity.pb-c.h"

struct stage_run {
    struct site site;
    const char *home; /* STATE_DIR/cutover */
    int64_t began_ms; /* monotonic: the order */
    const Godwit__IdentityOrder *order;
    Godwit__IdentityResult *result;
    struct fault *reterr;
};

/* One row: a stage of one role. Each returns 1 (changed, or: it is so), 0, -errno with a fault. */
struct stage_row {
    const char *name;
    unsigned roles; /* bits 1 << IdentityRole */
    int (*act)(struct stage_run *r);
    int (*probe)(struct stage_run *r);
    int (*undone)(struct stage_run *r); /* after the note was put back; NULL: nothing more */
    bool always; /* undone() also where there is no note: the stage keeps its state otherwise */
};
extern const struct stage_row stage_rows[]; /* in the order of a transplant; ends with name NULL */

#define STAGE_SOURCE (1U << GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE)
#define STAGE_DESTINATION (1U << GODWIT__IDENTITY_ROLE__IDENTITY_DESTINATION)
#define STAGE_BOTH (STAGE_SOURCE | STAGE_DESTINATION)

#define STAGE_WITNESS (1U << GODWIT__IDENTITY_ROLE__IDENTITY_WITNESS)
#define STAGE_LET_GO_MS 20000 /* how long others have to let go of our addresses */

/* Runs the order; with stage "" and UNDO: all that this host has notes of, newest first. Of host
 * root, search and cancel_fd count. 0 or -errno; the result is filled in either case. */
int stage_do(const char *home, const struct site *host, const Godwit__IdentityOrder *o,
             Godwit__IdentityResult *ret, struct fault *reterr);
bool stage_is_source(const struct stage_run *r);
bool stage_has_note(const struct stage_run *r, const char *stage);
const Godwit__IdentityPlan *stage_plan(struct stage_run *r); /* NULL, with the fault */
void stage_text(char **slot, char *text);                    /* text becomes the result's */

/* Files of a cutover; malloc'd. */
char *stage_folder(const char *home, const char *cutover);
/* Has this host to take its part of a cutover back by itself? Its timer ran out, or it restarted
 * with what users take for the server: nobody can tell how long it was away. */
bool stage_must_go_back(const char *folder);
/* The same of a destination alone: at the start of the host a source is out of reach already. */
bool stage_holds_server(const char *folder);
/* Has anything of the swap been noted here? */
bool stage_has_swapped(const char *folder);
/* Two answers become one, in to: first's texts as the part of its stage, then to's own. */
void stage_join_parts(Godwit__IdentityResult *first, const char *first_stage,
                      Godwit__IdentityResult *to, const char *to_stage);
/* As long as data is copied before the swap nothing else is heard: the timer, where it is set,
 * begins anew; and so it does on a destination that serves. Nothing while a stage runs. */
void stage_hold(const char *home, const char *cutover);
/* Files and the host's name as they were before; the notes stay, for all else is the agent's to
 * take back when the host runs. Before Samba and the network start. 0 or -errno. */
int stage_put_files(const char *home, const char *root, const char *cutover, struct fault *reterr);
/* The id of a cutover that this host has notes of; malloc'd, "" for none. */
char *stage_open_one(const char *home);

/* ── the stages that have files of their own ── */
int stage_note(struct stage_run *r); /* what is there now, for who does the stage by hand */
/* Of the interfaces that the plan changes, with the files of their managers. */
int stage_note_addresses(struct stage_run *r);
int stage_capture(struct stage_run *r);
int stage_join(struct stage_run *r);
int stage_join_probe(struct stage_run *r);
int stage_join_undone(struct stage_run *r);
int stage_addresses(struct stage_run *r);
int stage_addresses_probe(struct stage_run *r);
/* Is it one of the source's cards, or the destination's? A host with two on one segment answers
 * for any address of its own on either. */
bool stage_is_card(const Godwit__IdentityPlan *p, bool source, const char *mac);
/* Of a source that is about to let go: its addresses go from its files, not yet from the wire. */
int stage_stay_away(struct stage_run *r);
int stage_users(struct stage_run *r);
int stage_written(struct stage_run *r); /* what users wrote since this host has served them */
int stage_commit(struct stage_run *r);
int stage_drop_all(struct stage_run *r); /* notes and the bundle, which hold secrets */
