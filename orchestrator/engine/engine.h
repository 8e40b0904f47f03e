/* engine: runs jobs: which pair is where, what is sent next, what a crash left open. Knows no
 * workload (workload.h plans and judges) and no sockets (fleet.h carries). Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

struct engine;
struct fleet;
struct sign_key;
struct store;

struct engine_limits {
    uint32_t pairs;          /* at once, in all */
    uint32_t pairs_per_host; /* at once, per host, either side */
    uint32_t pairs_per_job;  /* at once, when the job names no limit */
    uint32_t pairs_per_link; /* at once, between two hosts, either way; 0: no such limit */
};

/* Reads every job from the store and takes fleet's events (fleet_set_events). Both are borrowed
 * until engine_free(). -errno with a fault when the store cannot be read. */
int engine_new(struct engine **ret, struct store *store, struct fleet *fleet,
               const struct engine_limits *limits, struct fault *reterr);
struct engine *engine_free(struct engine *e);
DEFINE_CLEANUP(engine_free, struct engine *)

/* By which the orchestrator signs what a run left; borrowed. Without it nothing is signed. */
void engine_set_signer(struct engine *e, const struct sign_key *signer);

/* Timers: back-off, leases, samples of progress, a store that failed. Call it every 100 ms or so.
 */
void engine_tick(struct engine *e);
/* For shutdown: no further orders, progress is written down. What runs on agents goes on. */
void engine_drain(struct engine *e);

/* NULL, or one sentence: the store cannot be written, so no orders go out. For status. */
const char *engine_trouble(const struct engine *e);
/* {"running":2,"done":1,…}: jobs by state, only those above zero. New reference. */
json_t *engine_job_counts(const struct engine *e);

/* What the console asks for. text: the job as JSON (spec.c). Errors: -ENOENT no such job; -EEXIST
 * name taken; -EINVAL the spec or an argument is wrong; -EPROTO not in this state; -EREMOTEIO
 * pre-flight refused; else the store's. On success *ret is a new reference. */
int engine_job_create(struct engine *e, const char *text, json_t **ret, struct fault *reterr);
int engine_job_list(struct engine *e, json_t **ret, struct fault *reterr);
int engine_job_show(struct engine *e, const char *job, json_t **ret, struct fault *reterr);
/* Has it ended? *ret: its name and state. */
int engine_job_over(struct engine *e, const char *job, bool *retover, json_t **ret,
                    struct fault *reterr);
/* One page of what the job's id map would change on a pair's source, asked for by a token of the
 * asker's choice: *ret is NULL as long as there is no answer; ask again with the same token. */
struct engine_map {
    unsigned pair; /* from 1 */
    const char *token, *after;
};
int engine_job_map(struct engine *e, const char *job, const struct engine_map *map, json_t **ret,
                   struct fault *reterr);
/* The checks as JSON, also when one of them fails (then -EREMOTEIO). */
struct engine_check {
    bool probe;           /* asks the hosts first; the answers are in a later call's checks */
    const char *override; /* ids of checks that need not pass, newline between them; NULL: none */
};
int engine_job_check(struct engine *e, const char *job, const struct engine_check *check,
                     json_t **ret, struct fault *reterr);
int engine_job_validate(struct engine *e, const char *job, json_t **ret, struct fault *reterr);

/* What hosts are asked outside of any job (workload/question.h). */
struct engine_question {
    const char *name; /* "vm" */
    const char *host; /* NULL: every host that was let in */
    bool begin;       /* ask now; else only what came meanwhile */
};
/* *ret: {"hosts":[{"host":…,"answer":{…}}|{"host":…,"why":"…"}]}; *retout: answers are still out.
 * -ENOENT: no such host. */
int engine_ask(struct engine *e, const struct engine_question *ask, bool *retout, json_t **ret,
               struct fault *reterr);

/* The most that a pair of such a workload brought from the one host to the other within a week, in
 * bytes a second; jobs with a limit do not count. rate: of a pair's facts. 0: none is known. */
uint64_t engine_best_between(const struct engine *e, const char *workload, const char *from,
                             const char *to, uint64_t (*rate)(const json_t *facts));

/* Each pair of such a workload that is on its way to that host, or waits in a job that runs: its
 * job's options, its number in it from 1. All borrowed. */
void engine_each_coming(const struct engine *e, const char *workload, const char *to,
                        void (*take)(void *arg, const json_t *options, unsigned n), void *arg);

/* One question with arguments to one host. about tells several apart; "" is engine_ask()'s. */
struct engine_asking {
    const char *name, *host, *about;
    const void *args; /* packed, as the question's step takes them */
    size_t args_len;
};
/* Asks, unless that was done since the last engine_ask_forget() of about. 1: no answer yet, call
 * again; 0: *ret has "answer" or "why", new reference; -ENOENT: no such host. */
int engine_ask_once(struct engine *e, const struct engine_asking *ask, json_t **ret,
                    struct fault *reterr);
void engine_ask_forget(struct engine *e, const char *about);
json_t *engine_ask_hosts(struct engine *e); /* names of all that were let in. New reference */

/* May users do at the destination what they may at the source? request NULL: what came of the last
 * question; retout: answers are missing yet. -EPROTO: it is being asked. */
int engine_job_access(struct engine *e, const char *job, const json_t *request, bool *retout,
                      json_t **ret, struct fault *reterr);

struct engine_start {
    const char *phase;       /* only this phase; NULL or "" is all of them */
    bool dry_run;            /* this run only; the job's own option holds too */
    const char *accept_loss; /* classes, newline between them; NULL: none more than before */
    const char *override;    /* ids of checks, newline between them; NULL: none */
};
int engine_job_start(struct engine *e, const char *job, const struct engine_start *how,
                     json_t **ret, struct fault *reterr);
int engine_job_pause(struct engine *e, const char *job, json_t **ret, struct fault *reterr);
int engine_job_resume(struct engine *e, const char *job, json_t **ret, struct fault *reterr);
int engine_job_stop(struct engine *e, const char *job, json_t **ret, struct fault *reterr);
/* Pairs that are partial or failed, and of those only the items that failed; cause not NULL: only
 * those of this cause (fault_code()). */
int engine_job_retry_cause(struct engine *e, const char *job, const char *cause, json_t **ret,
                           struct fault *reterr);
int engine_job_retry(struct engine *e, const char *job, json_t **ret, struct fault *reterr);
/* Journal rows and reports stay. Agents that are there forget what they kept for it; the answer's
 * left_on and note name those that are not. */
int engine_job_delete(struct engine *e, const char *job, json_t **ret, struct fault *reterr);
/* run 0: the last one. */
int engine_job_report(struct engine *e, const char *job, unsigned run, json_t **ret,
                      struct fault *reterr);
/* ── apart.c: phases that only run when they are asked for ── */
/* settings: a JSON object as text, or NULL. -EALREADY: nothing is left to be done. */
int engine_job_enter(struct engine *e, const char *job, const char *phase, const char *settings,
                     json_t **ret, struct fault *reterr);
/* What runs is ended and taken back; when nothing runs the phase is entered. */
int engine_job_back(struct engine *e, const char *job, const char *phase, const char *settings,
                    json_t **ret, struct fault *reterr);
/* Every stage of every pair's way, and where it is. */
int engine_job_outline(struct engine *e, const char *job, json_t **ret, struct fault *reterr);
/* Rows after this sequence number, at most 1000. verifying: the chain was sound as far as it was
 * looked at; ask again to go on. */
int engine_job_journal(struct engine *e, const char *job, uint64_t after, json_t **ret,
                       struct fault *reterr);
/* A page of what failed in a pair, from its source: {failures, next, list, kept}. *retlater: it was
 * asked for and is not here yet: put the question again. -EIO, -EHOSTDOWN: it cannot be had. */
struct engine_failed {
    const char *job;
    unsigned pair;
    uint64_t from, list; /* 0 and 0: the first page; else next and list of the one before */
};
int engine_job_failures(struct engine *e, const struct engine_failed *which, bool *retlater,
                        json_t **ret, struct fault *reterr);
int engine_inventory(struct engine *e, const char *job, json_t **ret, struct fault *reterr);

/* ── endpoints.c ── */
struct vault;
void engine_set_vault(struct engine *e, const struct vault *v); /* borrowed */
/* name, address, credentials, proxy or NULL. -EINVAL, -EEXIST, -ENOENT, else the store's. */
int engine_endpoint_add(struct engine *e, const char *const args[4], json_t **ret,
                        struct fault *reterr);
int engine_endpoint_list(struct engine *e, json_t **ret, struct fault *reterr);
int engine_endpoint_show(struct engine *e, const char *name, json_t **ret, struct fault *reterr);
int engine_endpoint_remove(struct engine *e, const char *name, json_t **ret, struct fault *reterr);
/* Begins to ask the endpoint's proxy, or the host proxy, which shares there are; *ret has "ask". */
int engine_endpoint_ask(struct engine *e, const char *name, const char *proxy, json_t **ret,
                        struct fault *reterr);
/* *ret: "asking" is true as long as there is no answer; then the shares, once. */
int engine_endpoint_answer(struct engine *e, const char *ask, json_t **ret, struct fault *reterr);
struct engine_credential {
    const char *ref, *proof, *user; /* "password", "ccache", "keytab" */
    const void *secret;
    size_t secret_len;
};
int engine_credential_add(struct engine *e, const struct engine_credential *c, json_t **ret,
                          struct fault *reterr);
int engine_credential_list(struct engine *e, json_t **ret, struct fault *reterr);
int engine_credential_remove(struct engine *e, const char *ref, json_t **ret, struct fault *reterr);

/* ── limits.c ── */
struct engine_limit {
    const char *scope, *name; /* "job", "host", "site" */
    const char *rate;         /* NULL: unlimited outside of the calendar's windows */
    const char *calendar;     /* text; NULL or "": none */
};
/* Hold at once, also for what runs. -ENOENT, -EINVAL, -EEXIST, else the store's. */
int engine_limit_set(struct engine *e, const struct engine_limit *l, json_t **ret,
                     struct fault *reterr);
int engine_limit_remove(struct engine *e, const char *scope, const char *name, json_t **ret,
                        struct fault *reterr);
int engine_limit_list(struct engine *e, json_t **ret, struct fault *reterr);
/* The site has these hosts and no others. */
int engine_site_set(struct engine *e, const char *site, char **hosts, size_t n, json_t **ret,
                    struct fault *reterr);
int engine_site_remove(struct engine *e, const char *site, json_t **ret, struct fault *reterr);
int engine_site_list(struct engine *e, json_t **ret, struct fault *reterr);
int engine_host_renamed(struct engine *e, const char *from, const char *to, struct fault *reterr);
