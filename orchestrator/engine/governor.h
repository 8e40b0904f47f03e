/* governor: who may send how fast: bandwidth limits of jobs, hosts and sites, divided among the
 * pairs that run, told to the sources. For orchestrator/engine only. Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/fault.h"
#include "common/wire/limits.h"
#include "proto/control.pb-c.h"

struct calendar;
struct engine;
struct governor;
struct host;
struct limit_row;
struct pair;
struct step;

/* One limit. A site's holds what enters or leaves the site. */
struct budget {
    char *scope, *name; /* of a job its id */
    uint64_t rate;      /* outside of the calendar's windows */
    char *text;         /* of the calendar; "": none */
    struct calendar *calendar;
    uint64_t now;     /* what holds */
    int64_t until_ms; /* wall clock; INT64_MAX: for ever */
    double used;      /* by all pairs that it holds, as of late */
    size_t index;     /* while shares are divided */
};

/* Of one step that sends: what it may, and what it makes of that. */
struct pace {
    uint64_t rate;
    char by[80]; /* "site Zurich"; "": nothing holds it */
    uint64_t budget;
    int64_t until_ms;
    size_t n;
    struct {
        int64_t from_ms;
        uint64_t rate;
    } next[LIMIT_RATE_WINDOWS];
    bool told, news; /* news: next is not what was told */
    uint64_t told_rate;
    double used; /* bytes a second, smoothed */
    unsigned samples;
    uint64_t wire;
    int64_t wire_ms;
};

/* A Rate and what it points to. */
struct rate_message {
    Godwit__Rate rate;
    Godwit__RateWindow window[LIMIT_RATE_WINDOWS];
    Godwit__RateWindow *list[LIMIT_RATE_WINDOWS];
};

struct governor *governor_new(void);
struct governor *governor_free(struct governor *g);
int governor_load(struct engine *e); /* from the store */

void governor_soon(struct engine *e);
void governor_tick(struct engine *e, int64_t now_ms);
/* What goes with the order of s, others having made room; NULL: no limit. */
Godwit__Rate *governor_order(struct step *s, struct rate_message *m);
void governor_note(struct step *s, int64_t now_ms);          /* after its counters moved */
void governor_hello(struct engine *e, const struct host *h); /* what h was told may be forgotten */

/* One sentence on what holds a running pair back now; false: nothing does. */
bool governor_reason(const struct pair *p, char *ret, size_t size);
json_t *governor_json(const struct pair *p); /* null when no limit holds it */
bool governor_pauses(const struct pair *p);  /* nothing may be sent */
/* Nothing might be sent if it began now: by which limit, and until when. */
bool governor_closed(const struct pair *p, char *ret, size_t size);

/* ── limits.c ── */
struct budget *limits_find(const struct governor *g, const char *scope, const char *name);
const char *limits_site(const struct governor *g, const char *host); /* NULL: in none */
struct budget *limits_first(const struct governor *g);
struct budget *limits_next(const struct governor *g);
/* Brings a budget's now and until_ms up to date; true: they changed. */
bool limits_refresh(struct budget *b, int64_t wall_ms);
/* What was given to a job when it was made; in an open transaction, and then in memory. */
int limits_write_job(struct engine *e, const char *id, uint64_t rate, const char *calendar);
void limits_keep_job(struct engine *e, const char *id, uint64_t rate, const char *calendar);
int limits_drop_job(struct engine *e, const char *id); /* in an open transaction */
void limits_forget_job(struct engine *e, const char *id);
/* "calendar line 3 column 7: …" */
int limits_check_calendar(const char *text, struct fault *reterr);
