/* engine_priv: jobs, pairs and steps as the engine's files share them. For orchestrator/engine and
 * its tests only. Main thread. */
#pragma once
#include <czmq.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/fault.h"
#include "common/base/sha256.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/engine/governor.h"
#include "orchestrator/engine/state.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/store/journal.h"
#include "orchestrator/workload/workload.h"
#include "proto/envelope.pb-c.h"

#define TRIES_MAX 20 /* failures in a row without progress */
#define BACKOFF_MIN_MS 2000
#define BACKOFF_MAX_MS 60000
#define BACKOFF_HURRY_MS 500           /* of stages with a limit: somebody waits */
#define HOST_GONE_MS INT64_C(86400000) /* a lease lost for so long fails its pairs */
#define RETURN_MS INT64_C(900000)      /* after a start hosts have so long to come back */
#define CANCEL_LOST_MS 60000           /* how long a cancelled step on a lost host is waited for */
#define CANCEL_APART_MS 5000 /* … of a phase with a way back, which that host knows too */
#define LONELY_MS 60000      /* one side is over, the other does not move */
#define STALL_MS 30000
#define SAMPLE_MS 5000
#define ORDER_MS INT64_C(3600000) /* an order that is older is refused by the agent */
#define RATE_SLOTS 31             /* one a second: a window of 30 s */

struct host {
    char *name;
    unsigned running; /* pairs that hold a place on it */
    unsigned chores;  /* of chore.c, that it has not answered */
    bool online, revoked;
    uint64_t can;     /* of its last hello */
    int64_t since_ms; /* monotonic: lost since */
    char reason[160];
};

/* Progress of one step. An agent that was restarted counts from zero again: base holds what the
 * earlier life had reached. */
struct tally {
    Godwit__Counters base, cur;
};

struct step {
    struct pair *pair;
    char op_id[17];
    enum step_side side;
    char kind[64];
    enum step_state state;
    uint8_t *args;
    size_t args_len;
    uint8_t lanes[SHA256_LEN]; /* lanes_digest() when it was planned */
    bool has_lanes;
    struct tally tally;
    Godwit__Result *result;  /* committed */
    Godwit__Result *unsaved; /* came while the store could not be written */
    bool cancelled;
    int64_t cancelled_ms; /* monotonic */
    unsigned percent;
    char doing[64];
    struct pace *pace;     /* of a step that sends, while it runs */
    uint32_t latency_us;   /* of the source's own reads, as it says */
    uint32_t latency_pace; /* percent that it allows itself for that; 0: it does not measure */
};

struct rate {
    struct {
        int64_t ms;
        uint64_t bytes;
    } at[RATE_SLOTS];
    unsigned n, head; /* head: next to write */
    int64_t moved_ms; /* monotonic: last time that anything moved */
};

/* Why a running pair's steps are being ended, weakest first. */
enum closing { CLOSE_NO, CLOSE_AGAIN, CLOSE_PAUSE, CLOSE_STOP, CLOSE_FAIL };

enum pair_flag {
    PAIR_PARTIAL = 1,     /* a stage of this run left items out */
    PAIR_ONLY_FAILED = 2, /* this run does only what failed before */
    PAIR_IN_RUN = 4,      /* takes part in the current or last run */
    PAIR_BACK = 8,        /* a stage failed, and what was done is being taken back */
};

enum job_flag { JOB_DRY = 1 };

/* A page of what the id map would change that somebody asks for. */
struct map_look {
    char token[33]; /* of who asks; "": nobody */
    char *after;
    bool out; /* the source was asked */
    json_t *page;
    struct fault why; /* there is no page */
};

struct pair {
    struct job *job;
    unsigned n;
    struct host *host[2]; /* by enum step_side */
    char *path[2];        /* bytes */
    /* That side is a share of it, reached by host[] of that side; NULL: none. One side at most. */
    char *endpoint, *to_endpoint;
    enum pair_state state;
    char *reason; /* never NULL */
    unsigned stage, attempt, tries, flags;
    json_t *facts;         /* object */
    json_t *failures;      /* array, of the last stage that had some */
    Godwit__Counters base; /* earlier attempts of this stage; totals that earlier stages found */
    struct step *steps[2];
    unsigned nsteps;
    enum closing closing;
    struct fault why;                  /* of closing */
    int64_t not_before_ms, waiting_ms; /* monotonic */
    int64_t entered_ms;                /* monotonic: this stage; 0: it has not begun */
    int64_t started_ms, ended_ms;      /* wall */
    struct rate rate;
    bool dirty;                 /* progress since the last sample */
    struct failed_page *failed; /* of failed.c; NULL: nobody asks */
    json_t *probe[2];           /* answers of probes, by enum step_side; NULL: none */
    struct map_look map;        /* of `job map` */
    json_t *access[2];          /* answers of access.c, likewise */
    char *access_why;           /* why one is missing; NULL: none is */
    struct pair *way;           /* the pair whose probe measured the way between these two hosts */
    TAILQ_ENTRY(pair) link;     /* of job->waiting or engine->running */
};
TAILQ_HEAD(pair_list, pair);

struct job {
    struct engine *engine;
    char id[17];
    char *name;
    const struct workload *workload;
    char *spec_text;
    json_t *options; /* borrowed from spec */
    json_t *spec;
    unsigned limit; /* pairs at once */
    enum job_state state;
    char *reason;
    char phase[32];
    unsigned run, flags;
    int64_t created_ms, started_ms, ended_ms;
    struct pair *pairs;
    unsigned npairs;
    unsigned count[PAIR_STATES];
    unsigned probing;   /* probes without an answer */
    bool probed;        /* some were sent since this start of the orchestrator */
    int64_t probe_ms;   /* monotonic: when */
    unsigned accessing; /* questions of access.c without an answer */
    int64_t access_ms;
    struct pair_list waiting;
    TAILQ_ENTRY(job) link;
};
TAILQ_HEAD(job_list, job);
TAILQ_HEAD(chore_list, chore);

struct engine {
    struct governor *governor;
    struct store *store;
    struct fleet *fleet;
    struct engine_limits limits;
    const struct sign_key *signer;
    const struct vault *vault; /* NULL: none */
    struct job_list jobs;
    struct pair_list running;
    unsigned nrunning;
    zhash_t *hosts;
    zhash_t *steps; /* by op_id, those without a result */
    struct chore_list chores;
    zhash_t *chore_ids;
    zhash_t *answers; /* of ask.c, by question and host */
    zhash_t *asks;    /* of askshares.c, by op_id */
    char trouble[256];
    int64_t trouble_ms, probe_ms;
    int64_t started_ms, sample_ms, slow_ms, gone_ms, schedule_ms, due_ms;
    bool schedule_due, draining;
    struct journal_mark verified;
    bool verifying; /* the walk to the chain's end is not over */
};

/* ── job.c, pair.c: the only writers of state ── */

/* A change of one pair, written first, then applied. */
struct pair_change {
    enum pair_event on;
    const char *detail; /* journal and reason; NULL keeps no reason */
    unsigned stage;
    unsigned tries;
    unsigned flags;
    int64_t back_off_ms;
    struct planned_step *planned; /* LAUNCH */
    int nplanned;
    const uint8_t *lanes; /* LAUNCH: lanes_digest(); NULL when the stage has no lanes */
    struct step *step;    /* RESULT */
    Godwit__Result *result;
};

int pair_write(struct pair *p, const struct pair_change *c); /* in an open transaction */
void pair_apply(struct pair *p, const struct pair_change *c);
int pair_handle(struct pair *p,
                const struct pair_change *c); /* both, in a transaction of its own */
struct pair_change pair_change_of(const struct pair *p, enum pair_event on, const char *detail);
void pair_done(struct pair *p); /* frees what it holds */
void pair_set_reason(struct pair *p, const char *reason);

struct job_change {
    enum job_event on;
    const char *detail;
    const char *phase; /* START, RETRY */
    unsigned run, flags;
    int64_t started_ms, ended_ms;
};
int job_write(struct job *j, const struct job_change *c); /* in an open transaction */
void job_apply(struct job *j, const struct job_change *c);
struct job_change job_change_of(const struct job *j, enum job_event on, const char *detail);
/* The job (unless c is NULL) with those pairs for which pick is true, in one transaction. pick sets
 * *c; it is asked twice and must say the same. */
typedef bool (*pair_pick)(const struct pair *p, struct pair_change *c, const void *arg);
int job_handle(struct job *j, const struct job_change *c, pair_pick pick, const void *arg);
/* When no pair is left to wait for: the run's report and the job's final state. */
void job_settle(struct job *j);
unsigned stage_first(const struct job *j); /* of the run's phase */
struct job *job_find(struct engine *e, const char *name);
struct job *job_of_id(struct engine *e, const char *id); /* NULL: none */
struct job *job_new(struct engine *e);
struct job *job_free(struct job *j); /* also out of the engine's list */

/* ── step.c ── */
struct step *step_new(struct engine *e, struct pair *p, const char *op_id);
struct step *step_free(struct engine *e, struct step *s);
struct host *step_host(const struct step *s);
const struct step *step_sibling(const struct step *s);

/* ── host.c ── */
struct host *host_get(struct engine *e, const char *name);
/* A past moment of the wall clock on the monotonic one; may be before its zero. */
int64_t mono_of_wall(int64_t wall_ms);
void host_hold(struct pair *p, int by); /* +1, -1: the pair's places on its hosts */
/* "host fs1 is lost since 12 s (reason)"; false when it is there. */
bool host_absent(const struct engine *e, const struct host *h, char *ret, size_t size);

/* ── lanes.c ── */
/* Of what a pair's plan takes from the fleet so that its two sides find and know each other. */
void lanes_digest(const struct pair *p, uint8_t ret[SHA256_LEN]);
/* h said hello: stages whose orders name another place or key than it has now are planned again. */
void lanes_check(struct engine *e, const struct host *h);

/* ── mapping.c ── */
void mapping_done(struct pair *p);
/* *ret stays NULL while the answer is out. */
int mapping_ask(struct job *j, const struct engine_map *how, json_t **ret, struct fault *reterr);

/* ── probe.c ── */
void probe_begin(struct job *j);        /* nothing when one is out */
bool probe_is_out(const struct job *j); /* answers may still come */

/* ── failed.c ── */
struct failed_page;
struct failed_page *failed_free(struct failed_page *f); /* NULL is fine */

/* ── access.c ── */
void access_done(struct pair *p);

/* ── chore.c ── */
/* Whose chore it is; the job and the pair may be gone when it ends. */
struct chore_about {
    const char *name; /* of the job; NULL: none */
    char job[17];     /* id */
    unsigned n;       /* the pair's number */
    enum step_side side;
    struct host *host;    /* set by chore_add() */
    const char *endpoint; /* whose credential goes along; NULL: none */
    void *arg;
};
/* r NULL: there is no answer and none will come. */
typedef void (*chore_end)(struct engine *e, const struct chore_about *about,
                          const Godwit__Result *r);
/* Both take s->args. Sent by the next chore_tick(). */
void chore_add(struct engine *e, struct host *h, const struct chore_about *about,
               struct planned_step *s, chore_end ended);
void chore_add_pair(const struct pair *p, struct planned_step *s, chore_end ended);
void chore_tick(struct engine *e);
bool chore_knows(const struct engine *e, const char *op_id);
void chore_message(struct engine *e, const char *host, const Godwit__Envelope *m);
void chore_online(struct engine *e, struct host *h);
void chore_lost(struct engine *e, const struct host *h);
void chore_drop_all(struct engine *e);

/* ── clean.c ── */
/* Sends what the agents are to forget of j; answer: also who is not there to be told. */
void clean_job(const struct job *j, json_t *answer);

/* ── ask.c ── */
void ask_done(struct engine *e);

/* ── stage.c ── */
/* WAITING, or RUNNING with the stage before this one over. */
void stage_launch(struct pair *p, unsigned stage);
void stage_judge(struct pair *p); /* after a result, and at recovery */
void stage_close(struct pair *p, enum closing how, const struct fault *why);
void stage_result(struct step *s, Godwit__Result *r); /* takes r */
void stage_gone(struct step *s, const char *why);     /* a result that will never come */
int stage_plan_map(const struct pair *p, const char *after, struct planned_step *ret,
                   struct fault *reterr);
int stage_plan_probe(const struct pair *p, bool way, struct planned_step ret[2]);
int stage_plan_failures(const struct pair *p, const struct failed_ask *ask,
                        struct planned_step *ret);
int stage_plan_access(const struct pair *p, enum step_side side, const json_t *about,
                      struct planned_step *ret);
/* The next that this pair wants, in the run's phase; the number of stages when there is none. */
unsigned stage_after(const struct pair *p, unsigned stage);
unsigned stage_enter(const struct pair *p, const char *phase); /* the first of that phase */
/* A pair_view and what it borrows: fleet's answers live only until the next question. */
struct stage_view {
    struct pair_view v;
    struct fleet_host host[2];
    char address[2][256];
    uint8_t pin[2][32], sign_key[2][32];
    char endpoint_address[256];
};
void stage_view_fill(struct stage_view *w, const struct pair *p);
/* Are the hosts there that it needs? why: what it waits for, unchanged when the workload does not
 * say. */
bool stage_ready(const struct pair *p, unsigned stage, char *why, size_t size);
/* The stage, or of a loose phase the one whose turn it is; the number of stages: nothing is left.
 */
unsigned stage_turn(const struct pair *p, unsigned stage);
/* What was done so far is taken back where the workload knows how; else the pair has failed. */
void stage_lose(struct pair *p, unsigned stage, const struct fault *why);
/* Journal rows of the stages between the pair's own and that one, in an open transaction. */
int stage_tell_passed(const struct pair *p, unsigned to);
int stage_admit(const struct pair *p, const char *phase, const json_t *settings,
                struct fault *reterr);
json_t *stage_outline(const struct pair *p);

/* ── ops.c ── */
void job_keep_overrides(struct job *j, const char *lines); /* ids of checks; NULL: none */

/* ── apart.c ── */
/* May job start or retry run its stages? A workload may say that it is too late. */
int apart_check(const struct job *j, const char *phase, struct fault *reterr);
void apart_tick(struct engine *e, int64_t now_ms); /* stages over their limit, and what is due */
unsigned apart_at_once(const struct job *j);       /* pairs at once in this run; 0: as ever */
void apart_halt(struct job *j);                    /* what has not begun is not begun any more */

/* ── back.c ── */
/* What of the job is under way, and not on its way back yet, is taken back: how many. */
unsigned back_take(struct job *j, const struct fault *why);
unsigned back_leave(struct job *j, const char *why); /* what has not begun does not begin */
/* It is on a way back that those hosts can go on which are there: who is gone does not end it. */
bool back_goes_on(const struct pair *p);

/* ── endpoints.c ── */
struct endpoint {
    char *name, *address, *credentials, *proxy;
};
int endpoint_find(struct engine *e, const char *name, struct endpoint *ret); /* -ENOENT */
void endpoint_done(struct endpoint *e);
int endpoint_missing(const char *name, struct fault *reterr);
/* A job's text with its endpoints named and their proxies as hosts; *ret is malloc'd. */
int endpoints_resolve(struct engine *e, const char *text, char **ret, struct fault *reterr);
struct opened { /* a credential out of the vault */
    char *user;
    uint32_t proof;
    void *secret;
    size_t len;
};
/* false: there is none, or it cannot be opened. */
bool endpoint_credential(struct engine *e, const char *endpoint, struct opened *ret);
/* Whose credential such a step of the pair needs; NULL: none. */
const char *endpoint_of(const struct pair *p, const char *kind, enum step_side side);
bool endpoint_open(struct engine *e, const struct step *s, struct opened *ret);
void endpoint_forget(struct opened *o);

/* ── askshares.c ── */
void askshares_done(struct engine *e);

/* ── orders.c ── */
struct order {
    const char *host, *op_id, *kind, *job;
    const uint8_t *args;
    size_t args_len;
    Godwit__Rate *rate;          /* NULL: no limit */
    const struct opened *opened; /* NULL: no credential goes along */
};
int orders_send_raw(struct engine *e, const struct order *o); /* fleet_send()'s errors */
void orders_send(struct step *s);
int orders_send_rate(struct step *s, Godwit__Rate *rate); /* fleet_send()'s errors */
void orders_cancel(struct step *s, Godwit__Cancel__Why why);
void orders_listen(struct engine *e); /* takes fleet's events */
void orders_tick(struct engine *e, int64_t now_ms);

/* ── schedule.c ── */
void schedule_soon(struct engine *e);
void schedule_run(struct engine *e);
/* Why a waiting pair waits. */
void schedule_reason(const struct pair *p, char *ret, size_t size);

/* ── counters.c ── */
void counters_copy(Godwit__Counters *to, const Godwit__Counters *c); /* figures only */
void counters_add(Godwit__Counters *to, const Godwit__Counters *c);  /* another pair */
/* The other side of a stage: both tell of the same work, but each of its own failures. */
void counters_max(Godwit__Counters *to, const Godwit__Counters *c);
/* A step's counters went from was to now: base takes what would be lost by that. */
void counters_carry(Godwit__Counters *base, const Godwit__Counters *was,
                    const Godwit__Counters *now);
/* A walk that began anew finds what it has sent as unchanged: no more than there is. */
void counters_clamp(Godwit__Counters *c);
/* A later attempt at the same work. */
void counters_follow(const Godwit__Counters *before, const Godwit__Counters *now,
                     Godwit__Counters *ret);
bool counters_same(const Godwit__Counters *a, const Godwit__Counters *b); /* but for the time */
size_t counters_pack(const Godwit__Counters *c, uint8_t **ret);           /* malloc'd */
void counters_unpack(const void *p, size_t n, Godwit__Counters *ret);
json_t *counters_json(const Godwit__Counters *c);
void tally_pack(const struct tally *t, uint8_t **ret, size_t *retlen);
void tally_unpack(const void *p, size_t n, struct tally *ret);

/* ── motion.c ── */
void motion_take(struct step *s, const Godwit__Progress *m);
void motion_counters(const struct pair *p, Godwit__Counters *ret);
/* At the end of an attempt; to: the stage that follows. lost: its work is not kept. */
void motion_fold(struct pair *p, unsigned to, bool lost);
uint64_t motion_rate(const struct pair *p, int64_t now_ms);
bool motion_eta(const struct pair *p, int64_t now_ms, int64_t ret[2]);
bool motion_stalled(const struct pair *p, int64_t now_ms);
unsigned motion_percent(const struct pair *p);
void motion_sample(struct engine *e); /* to the store */
void tally_take(struct tally *t, const Godwit__Counters *now);

/* ── spec.c ── */
struct spec_pair {
    char *host[2], *path[2];      /* by enum step_side; paths as bytes */
    char *endpoint, *to_endpoint; /* of source and destination; NULL: none */
};
struct spec {
    char *name;
    const struct workload *workload;
    json_t *json; /* canonical; options complete */
    unsigned limit;
    uint64_t rate;  /* of the whole job; RATE_UNLIMITED: none was given */
    char *calendar; /* NULL: none was given */
    struct spec_pair *pairs;
    unsigned npairs;
};
int spec_parse(const char *text, size_t len, struct spec *ret, struct fault *reterr);
/* What a new job may not ask for; older ones may have. -EINVAL with a fault. */
int spec_check_pairs(const struct spec *s, struct fault *reterr);
void spec_done(struct spec *s);

/* ── preflight.c ── */
struct preflight {
    bool online;          /* also what may change by the minute, and what probes told */
    bool by_facts;        /* what an earlier inventory told, which this run does not do again */
    const char *override; /* ids, newline between them; NULL: none. The job's own hold too */
};
/* Array of {id, result, evidence, remedy, from}; a check that is overridden says so. */
json_t *preflight_run(const struct job *j, const struct preflight *how, bool *retok);

/* ── report.c, show.c ── */
json_t *report_make(const struct job *j, const char *state, int64_t ended_ms);
int journal_job(const struct job *j, const char *event, const char *state, const char *detail);
/* Groups with the same err and what become one. to is an array. */
void failures_merge(json_t *to, const json_t *groups);
void failures_add_pair(struct pair *p, const struct fault *why); /* what ended it */
json_t *failures_json(const Godwit__Result *r);                  /* new array */
json_t *shown_path(const char *bytes);
json_t *job_state_json(const struct job *j); /* {"job","state"} */
json_t *time_json(int64_t wall_ms);          /* null when 0 */
/* What an agent says is printable, made so for certain. malloc'd. */
char *safe_text(const char *s);
void counters_of_job(const struct job *j, Godwit__Counters *ret);

/* ── load.c, trouble.c ── */
int load_all(struct engine *e, struct fault *reterr);
void load_pairs(struct job *j, const struct spec *s);
void recover_all(struct engine *e); /* go on with what is there: after a start, after trouble */
/* rc < 0: no orders until the store can be written again. Returns rc. */
int trouble_note(struct engine *e, int rc);
void trouble_tick(struct engine *e, int64_t now_ms);
