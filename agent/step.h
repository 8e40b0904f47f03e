/* step: what a workload's folder in agent/ offers to the dispatcher, and what it may use. A step
 * runs on a worker thread of its own; it reports and is cancelled through the calls below. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/priority.h"
#include "common/base/fault.h"

struct lane_server; /* agent/lane/lane_server.h */
struct lane_identity;
struct feed;     /* agent/feed/feed.h */
struct sign_key; /* common/proof/signature.h */
struct step;
struct bucket;

/* Same meaning as message Counters in control.proto. */
struct counters {
    uint64_t files, bytes, entries, sent_bytes, wire_bytes, unchanged_files, unchanged_bytes,
        deleted, failed, total_files, total_bytes, skipped_meta, again_bytes, changed_meta,
        elapsed_ms, delta_saved, renamed;
    uint64_t parts_bytes; /* durable, of files that are not whole yet */
    uint64_t changed_folders, next_pass_ms;
    uint32_t lanes;
    bool total_known;
};

/* What every step may use; lives as long as the agent. */
struct agent_env {
    const char *hooks;     /* folder of the programs that may be run around a source; NULL: none */
    const char *state_dir; /* "/var/lib/godwit/agent": catalogues and the like go below it */
    struct lane_server *lanes;
    const struct lane_identity *identity;
    struct feed *feed;             /* NULL: none */
    const struct sign_key *signer; /* of manifests */
    bool privileged;               /* effective uid 0 with the capabilities to own and chown */
    enum io_priority priority;     /* of the steps' threads */
};

enum step_status { STEP_DONE = 1, STEP_PARTIAL, STEP_FAILED, STEP_STOPPED }; /* as Result.Status */

struct failure_group {
    int err;
    char what[32]; /* "open", "read", "changed while read", "write", "metadata" */
    uint64_t count;
    char *examples[5]; /* printable paths, malloc'd */
    size_t nexamples;
};

struct step_result {
    enum step_status status;
    struct fault fault; /* when FAILED */
    struct counters counters;
    struct failure_group groups[32];
    size_t ngroups;
    char scan[96]; /* what a source's pass looked at; "" nothing to say */
    uint8_t *body; /* packed message of this kind, malloc'd; NULL is fine */
    size_t body_len;
};
void step_result_done(struct step_result *r); /* frees what it owns */

/* One row a kind. All are idempotent: after a crash of either side run() is called again with the
 * same op_id and arguments, and must end in the same place. */
struct step_kind {
    const char *kind; /* "files.send" */
    void (*run)(struct step *s, struct step_result *ret);
};
extern const struct step_kind files_steps[];    /* agent/files/files.c; ends with kind NULL */
extern const struct step_kind share_steps[];    /* agent/share/share.c; likewise */
extern const struct step_kind account_steps[];  /* agent/account/inventory.c */
extern const struct step_kind vm_steps[];       /* agent/vm/steps.c */
extern const struct step_kind identity_steps[]; /* agent/identity/identity.c */
extern const struct step_kind access_steps[];   /* agent/access/access.c */

/* ── for run(), from its own threads ── */
const struct agent_env *step_env(const struct step *s);
const char *step_op_id(const struct step *s);
const char *step_job(const struct step *s);
/* What an order brings beside its arguments and nobody keeps: wiped when the step ends. */
struct step_secret {
    uint32_t proof;
    const char *user; /* NULL: none came */
    const void *secret;
    size_t secret_len;
};
void step_secret(const struct step *s, struct step_secret *ret); /* borrowed from the step */
const void *step_args(const struct step *s, size_t *retlen);     /* borrowed */
bool step_cancelled(const struct step *s);                       /* atomic read, any thread */
int step_cancel_fd(const struct step *s); /* readable once cancelled: for poll */
/* What the step's lanes may send together; the orchestrator changes it while they do. As long as
 * the step. */
struct bucket *step_bucket(struct step *s);
/* Of the source's own reads, and the percent of its full pace that it allows itself for that; goes
 * with the next progress. Any thread. */
void step_source_latency(struct step *s, uint32_t us, unsigned pace);
/* Latest wins; sent on at most once a second. Any thread. doing: a static string. */
void step_progress(struct step *s, const struct counters *c, unsigned percent, const char *doing);
