/* files_priv: what the files of the files workload share. Main thread. */
#pragma once
#include "common/base/filter.h"
#include "orchestrator/workload/workload.h"
#include "proto/files.pb-c.h"

/* ── files.c ── */
/* For the packers: protobuf-c's structs do not know const. */
ProtobufCBinaryData files_bytes(const void *p, size_t n);
char *files_text(const char *s);
void files_plan_step(struct planned_step *s, enum step_side side, const char *kind,
                     const ProtobufCMessage *args);
void files_pair_name(const struct pair_view *p, char ret[32]);
bool files_is_dry(const struct pair_view *p);
#define LANE_PIN_LEN 32
/* -ENOTCONN, -EADDRNOTAVAIL with a fault to wait by: what opens a lane is not known of h. */
int files_check_lanes(const struct fleet_host *h, bool accepts, struct fault *reterr);
void files_endpoint_of(const struct fleet_host *h, char *ret, size_t size);
/* The worse of both sides, in this order: a terminal failure says why the other side was lost too.
 */
enum verdict files_worse_of(const Godwit__Result *const results[2], struct fault *reterr);
/* Have both told where and by which key their lanes are? */
int files_check_ways(const struct pair_view *p, struct fault *reterr);
int files_plan_transfer(const struct pair_view *p, struct planned_step ret[2],
                        struct fault *reterr);
enum verdict files_judge_transfer(const struct pair_view *p, const Godwit__Result *const results[2],
                                  struct fault *reterr);
/* What a result means by its status alone; NULL: it is still out. */
enum verdict files_verdict(const Godwit__Result *r, struct fault *reterr);

/* ── files_inventory.c ── */
enum verdict files_judge_inventory(const struct pair_view *p,
                                   const Godwit__Result *const results[2], struct fault *reterr);
json_t *files_shown_inventory(const json_t *facts);                 /* workload.inventory */
json_t *files_shown_host(const json_t *facts, enum step_side side); /* workload.host */

/* ── files_quotas.c ── */
bool files_wants_quotas(const struct pair_view *p);
int files_plan_quotas(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);
enum verdict files_judge_quotas(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr);

/* ── files_options.c ── */
int files_check_options(json_t *options, struct fault *reterr);
int files_choice(const char *option, const char *value); /* its number, from 0; -1: no such */

/* ── files_filter.c: what is left out ── */
struct files_filter {
    Godwit__Filter msg;
    char *exclude[FILTER_PATTERNS_MAX], *include[FILTER_PATTERNS_MAX];
};
/* Borrows from options. NULL: nothing is left out. */
Godwit__Filter *files_filter(const json_t *options, struct files_filter *f);
int files_check_filter(const json_t *options, struct fault *reterr);

/* ── files_accounts.c: local users and groups, and the map that follows ── */
int files_check_accounts(const char *value, struct fault *reterr);
int files_check_pairs(const json_t *options, const char *const *sources, unsigned n,
                      struct fault *reterr); /* workload.check_pairs */
bool files_wants_accounts(const struct pair_view *p);
const char *files_map_option(const struct pair_view *p); /* the job's alone; "" */
/* Both are one map together, or this is where it ends. */
enum verdict files_check_maps(const struct pair_view *p, struct fault *reterr);
/* An older source would leave all ids as they are and say nothing. */
int files_check_map_known(const struct pair_view *p, struct fault *reterr);
bool files_maps_sids(const struct pair_view *p); /* do accounts make SIDs into others? */
char *files_map_text(const struct pair_view *p); /* the job's, and what accounts added; malloc'd */
char *files_map_both(const json_t *facts, const json_t *options); /* likewise */
int files_plan_accounts(const struct pair_view *p, struct planned_step ret[2],
                        struct fault *reterr);
enum verdict files_judge_accounts(const struct pair_view *p, const Godwit__Result *const results[2],
                                  struct fault *reterr);
bool files_wants_accounts_seen(const struct pair_view *p); /* for the inventory */
enum verdict files_judge_accounts_seen(const struct pair_view *p,
                                       const Godwit__Result *const results[2],
                                       struct fault *reterr);
int files_plan_accounts_apply(const struct pair_view *p, struct planned_step ret[2],
                              struct fault *reterr);
enum verdict files_judge_accounts_apply(const struct pair_view *p,
                                        const Godwit__Result *const results[2],
                                        struct fault *reterr);

/* ── files_passwords.c ── */
bool files_moves_passwords(const struct pair_view *p); /* where accounts move */
bool files_wants_passwords(const struct pair_view *p);
int files_plan_passwords(const struct pair_view *p, struct planned_step ret[2],
                         struct fault *reterr);
enum verdict files_judge_passwords(const struct pair_view *p,
                                   const Godwit__Result *const results[2], struct fault *reterr);

/* ── files_failed.c: the list of what failed ── */
int files_plan_failures(const struct pair_view *p, const struct failed_ask *ask,
                        struct planned_step *ret);
json_t *files_failures_json(const Godwit__Result *r);

/* ── files_mapping.c ── */
int files_map_page(const struct pair_view *p, const char *after, struct planned_step *ret,
                   struct fault *reterr);
json_t *files_mapped(const Godwit__Result *r);

/* ── files_identities.c: are ids and SIDs the same ones at the destination? ── */
bool files_wants_identities(const struct pair_view *p);
int files_plan_identities(const struct pair_view *p, struct planned_step ret[2],
                          struct fault *reterr);
enum verdict files_judge_identities(const struct pair_view *p,
                                    const Godwit__Result *const results[2], struct fault *reterr);
enum check_result files_check_identities(const json_t *facts, const json_t *options, char *text,
                                         size_t size);
/* Was it said, by the job or for this run, that this check need not pass? */
bool files_overrides(const struct pair_view *p, const char *check);
/* -EREMOTEIO: they are not, and nobody said that this may be. */
int files_need_identities(const struct pair_view *p, struct fault *reterr);

/* ── files_access.c: may users do there what they may here? ── */
int files_access(const struct pair_view *p, enum step_side side, const json_t *about,
                 struct planned_step *ret);
json_t *files_accessed(const Godwit__Result *r);
json_t *files_access_compare(const json_t *source, const json_t *destination);

/* ── files_evidence.c: verifying, and the signed manifest ── */
int files_check_verify(const char *value, struct fault *reterr);
bool files_wants_look(const struct pair_view *p);     /* a stage of its own after the transfer */
bool files_wants_manifest(const struct pair_view *p); /* and there is one to sign */
bool files_wants_evidence(const struct pair_view *p); /* the catalogue has to keep more */
bool files_found_differing(const struct pair_view *p);
/* What the destination has spoilt or lost no change at the source will bring back. */
bool files_wants_full_scan(const struct pair_view *p);
/* What the source has counted in a pass, from its result. */
void files_keep_seen(const struct pair_view *p, const Godwit__Result *sent, bool partial);
int files_plan_verify(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);
int files_plan_sign(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);
int files_plan_seal(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);
enum verdict files_judge_verify(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr);
enum verdict files_judge_sign(const struct pair_view *p, const Godwit__Result *const results[2],
                              struct fault *reterr);
enum verdict files_judge_seal(const struct pair_view *p, const Godwit__Result *const results[2],
                              struct fault *reterr);

/* files.c, for files_push.c */
struct Godwit__SmbSource;
struct Godwit__TransferOptions;
/* place: "/SHARE/folder" of an endpoint. share: at least as long. */
void files_fill_share(const struct pair_view *p, const char *endpoint, const char *place,
                      struct Godwit__SmbSource *ret, char *share);
/* The share of a pair whose source is an endpoint; else NULL. share: at least as long as source. */
struct Godwit__SmbSource *files_fill_smb(const struct pair_view *p, struct Godwit__SmbSource *ret,
                                         char *share);
void files_fill_options(const struct pair_view *p, struct Godwit__TransferOptions *o);
int files_check_losses(const struct pair_view *p, struct fault *reterr);
/* files_push.c: 1 step */
int files_plan_push(const struct pair_view *p, struct planned_step *ret, struct fault *reterr);
int files_check_to_endpoint(const json_t *options, struct fault *reterr);
