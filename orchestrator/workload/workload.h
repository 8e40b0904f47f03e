/* workload: the seam between the engine, which knows no workload, and what plans and judges the
 * steps of one. One file and one row here is what a fifth workload costs on this side. Main thread,
 * pure: no sockets, no store. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/fault.h"
#include "proto/control.pb-c.h"

struct fleet_host;
struct sign_key;
struct stage;

/* One pair as a workload sees it. Borrowed for the call. */
struct pair_view {
    const char *job; /* id, 16 hex digits */
    const char *name;
    const char *phase; /* that the run is limited to; "": none */
    unsigned run;
    unsigned n; /* number of the pair in its job */
    const char *source_host, *destination_host;
    /* The source, or the destination, is a share of it; NULL: a folder of its host. */
    const char *endpoint, *to_endpoint, *address;
    const char *source, *destination; /* paths for files; printable escapes decoded to bytes */
    const json_t *options;            /* of the job, validated */
    json_t *facts; /* what earlier stages left for later ones; kept by the engine */
    unsigned attempt;
    bool only_failed;
    const char *only_cause; /* with only_failed: what failed by this cause; NULL: all of it */
    bool dry_run;           /* of this run; the job's own option holds too */
    const struct fleet_host *from, *to; /* both online */
    const struct sign_key *signer;      /* the orchestrator's own; NULL: it signs nothing */
    const char *realm;                  /* what it signs by */
    const struct stage *stage;          /* which is asked about; NULL: none */
    int64_t away_ms[2]; /* since when a host is not there, by enum step_side; 0: it is */
};

enum step_side { SIDE_SOURCE, SIDE_DESTINATION, SIDE_WITNESS }; /* the last: witness() */

/* What one stage sends. Freed by the engine with planned_step_done(). */
struct planned_step {
    enum step_side side;
    const char *kind; /* static */
    char op_id[17];
    uint8_t *args; /* packed, malloc'd */
    size_t args_len;
};

enum verdict {
    VERDICT_NEXT,    /* the stage is over */
    VERDICT_PARTIAL, /* over, some items failed */
    VERDICT_WAIT,    /* other steps of the stage are still out */
    VERDICT_AGAIN,   /* run the stage once more, after a pause */
    VERDICT_FAIL,
};

struct stage {
    unsigned percent;
    const char *phase; /* "inventory", "transfer" */
    const char *name;  /* "Counting files" */
    bool resumes;      /* what one attempt did stays done: the next goes on from there */
    bool aside; /* looks at what is done: the run's counters stay those of the stage before */
    bool lanes; /* its steps hold where the destination's lanes are, and both sides' keys */
    bool apart; /* only in a run of its phase, and where back() leads */
    bool loose; /* with ready(): while its host is away others of its phase go on; never given up */
    unsigned limit_s;  /* after which it fails; 0: as long as it takes */
    bool patient;      /* until limit_s, however many tries that takes; else these count too */
    const char *waits; /* with limit_s: for what, "the source's agent" */
    unsigned still_s;  /* fails when nothing has moved for so long; 0: that is no fault of it */
    unsigned tag;      /* the workload's own */
    /* Up to 2 steps that run side by side. Returns how many, or -errno with a fault. */
    int (*plan)(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);
    /* Called with each result of the stage; may add to p->facts. results[i] is NULL while out. */
    enum verdict (*judge)(const struct pair_view *p, const Godwit__Result *const results[2],
                          struct fault *reterr);
    bool (*wanted)(const struct pair_view *p); /* NULL: always. Not: the stage is passed over */
};

/* ── checks before a job starts ── */

enum check_result { CHECK_PASS, CHECK_WARN, CHECK_UNKNOWN, CHECK_FAIL }; /* the worst last */

struct check_info {
    const char *id;
    const char *from; /* "source", "destination", "both": whose host was asked */
    const char *remedy;
    bool by_facts; /* what earlier stages left tells it without a probe */
};

/* What is known of a pair. Answers of probes may be NULL. */
struct check_pair {
    const json_t *facts, *options;
    const json_t *source, *destination;
    const json_t *way_back; /* the destination's answer that tried the way back */
    bool endpoint;          /* the source is read by a proxy, which the source's probe is of */
    bool to_endpoint;       /* the destination is written by the source, and not probed */
};

/* Which page of the list of what failed in a pair. */
struct failed_ask {
    uint64_t from, list; /* both 0: the first; else as the page before said */
};

struct workload {
    const char *name;
    const struct stage *stages;
    size_t nstages;
    /* Checks and completes options in place; -EINVAL with a fault that names the option. */
    int (*check_options)(json_t *options, struct fault *reterr);
    /* Do options suit these pairs? sources: the host of each, NULL for an endpoint. NULL: always.
     * -EINVAL with a fault. */
    int (*check_pairs)(const json_t *options, const char *const *sources, unsigned n,
                       struct fault *reterr);
    /* The same for a job that writes to an endpoint. */
    int (*check_to_endpoint)(const json_t *options, struct fault *reterr);
    /* The inventory body of a pair as JSON, from facts. New reference. */
    json_t *(*inventory)(const json_t *facts);
    /* What is known of the pair's host on that side; NULL: nothing. New reference. */
    json_t *(*host)(const json_t *facts, enum step_side side);
    /* What of the pair is kept and what is lost, class by class; NULL: not known. New reference. */
    json_t *(*contract)(const json_t *facts, const json_t *options);
    /* The checks of a pair, by number; info is NULL beyond the last. text: the evidence. */
    const struct check_info *(*check_info)(size_t i);
    enum check_result (*check)(size_t i, const struct check_pair *p, char *text, size_t size);
    /* At most one step for each side that asks what the checks want to know; way: also what lies
     * between the two hosts. Returns how many. */
    int (*probe)(const struct pair_view *p, bool way, struct planned_step ret[2]);
    json_t *(*probed)(const Godwit__Result *r); /* NULL: not readable. New reference. */
    /* A page of what the pair's id map would change on its source, behind after ("": the first). 1,
     * or -errno with a fault; NULL: the workload knows no maps. mapped: NULL: not readable. */
    int (*map_page)(const struct pair_view *p, const char *after, struct planned_step *ret,
                    struct fault *reterr);
    json_t *(*mapped)(const Godwit__Result *r);
    /* May users do at the destination what they may at the source? One step for one side. about:
     * what the console asks (users, count, most_users, seed), for the destination the source's
     * answer. NULL: of this workload nobody can tell. */
    int (*access)(const struct pair_view *p, enum step_side side, const json_t *about,
                  struct planned_step *ret);
    json_t *(*accessed)(const Godwit__Result *r); /* NULL: not readable. New reference. */
    json_t *(*access_compare)(const json_t *source, const json_t *destination); /* likewise */
    /* What the agents are to forget when the job is deleted: at most one step for each side. Their
     * results are not judged. whole: the last run ended well. Returns how many. */
    int (*clean)(const struct pair_view *p, bool whole, struct planned_step ret[2]);
    /* One step that reads a page of the list of what failed; its answer as {failures: [{code,
     * path}], next, list, kept}, NULL: not readable. New reference. */
    int (*failures)(const struct pair_view *p, const struct failed_ask *ask,
                    struct planned_step *ret);
    json_t *(*failures_json)(const Godwit__Result *r);

    /* What a pair names on its hosts: NULL when it fits, else what is wrong. NULL: paths. */
    const char *(*check_place)(const char *place);

    /* ── phases that stand apart; NULL: the workload has none ── */
    const char *commands; /* of these phases: "godwit cutover" */
    bool whole_hosts;     /* they change what is the host's: one pair for each */
    bool in_windows;      /* a pair does not begin while its limits let nothing pass */
    /* May this pair go into that phase? Takes the settings into its facts. 0; 1: nothing is left to
     * be done for it; 2: likewise, and a mistake if it is so for all, with a fault; -errno with a
     * fault. */
    int (*admit)(const struct pair_view *p, const char *phase, const json_t *settings,
                 struct fault *reterr);
    /* p->stage failed: the stage that begins to take back what was done, beyond all stages when
     * there is nothing. */
    unsigned (*back)(const struct pair_view *p, const struct fault *why);
    /* May p->stage begin, as its hosts are? why: else, what it waits for. NULL: with both there. */
    bool (*ready)(const struct pair_view *p, char *why, size_t size);
    /* How many milliseconds a host may be away before p->stage fails for it; 0, NULL: it is waited
     * for. Not asked on the way back. */
    int64_t (*patience)(const struct pair_view *p);
    /* The host that sees both others from outside; NULL: the pair has none. */
    const char *(*witness)(const json_t *facts);
    /* Of the pairs of such a run: how many at once (0: as the job says), and how many may fail
     * until those that have not begun are left alone. */
    void (*wave)(const json_t *facts, const char *phase, unsigned *retonce, unsigned *retbudget);
    /* The phase that this pair is due to enter by itself; NULL: none. */
    const char *(*due)(const json_t *facts, int64_t wall_ms);
    /* What the hosts would be left with if the job were forgotten now; NULL: nothing. */
    const char *(*leaves)(const json_t *facts);
    /* Why a stage that was not wanted is passed over, for the journal; NULL: it is not told. */
    const char *(*passed)(const struct pair_view *p);
    /* Every stage of the pair's way through such a phase, and where it is. New reference. */
    json_t *(*outline)(const struct pair_view *p);
};

const struct workload *workload_find(const char *name); /* NULL: unknown */
extern const struct workload workload_files, workload_vm;
void planned_step_done(struct planned_step *s);
