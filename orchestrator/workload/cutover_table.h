/* cutover_table: every stage of a cutover, with its percentage and description: what it does, for
 * which method and which kind of host, and how long it may take. Data; sends nothing. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum cutover_method { METHOD_TRANSPLANT, METHOD_REJOIN, METHODS };

/* Bits. */
enum cutover_side { ON_NONE, ON_SOURCE, ON_DESTINATION, ON_BOTH, ON_WITNESS };

/* Who does it. */
enum cutover_doer {
    DOER_NOBODY,   /* it never applies */
    DOER_IDENTITY, /* the agents, as "identity.stage" */
    DOER_COPY,     /* the files workload's own: a pass over the data */
    DOER_VERIFY,   /* … and its verification, when the job has one */
};

enum cutover_when {
    IN_TRANSPLANT = 1,
    IN_REJOIN = 2,
    IN_DOMAIN = 4,
    IN_WORKGROUP = 8,
    IN_ALL = 15,
};

struct cutover_row {
    const char *id;   /* never changes: what was done is kept by it */
    unsigned seed;    /* its percentage in the seed's order; shown as well */
    unsigned percent; /* where we do it: users are served before the source is named anew */
    unsigned rejoin;  /* where rejoin does it; 0: there too */
    const char *text; /* the seed's description */
    bool own;         /* no row of the seed */
    enum cutover_doer by;
    enum cutover_side on;
    const char *stage;     /* IdentityOrder.stage; NULL with other doers */
    unsigned when;         /* enum cutover_when */
    const char *otherwise; /* why it is passed over where it does not apply */
    bool undo;             /* leaves something that a rollback takes back */
    bool swap;             /* with those of its kind beside it in one go: users wait meanwhile */
    bool early;            /* `prepare` does it, long before anything moves */
    bool unmoved;          /* only where no address moves */
    bool commit;           /* not before `godwit cutover commit` */
    unsigned limit_s;      /* after which it fails with what it waits for; 0: as long as it takes */
    const char *waits;     /* for what */
    unsigned still_s;      /* fails when nothing has moved for so long; 0: limit_s counts alone */
};

extern const struct cutover_row cutover_rows[];
#define CUTOVER_ROWS 67
#define CUTOVER_NO_ROW CUTOVER_ROWS

/* NULL: it applies; else why not. */
const char *cutover_why_not(const struct cutover_row *r, enum cutover_method m, bool domain);
/* The rows in the order in which m does them. */
void cutover_order(enum cutover_method m, unsigned ret[CUTOVER_ROWS]);
unsigned cutover_percent(const struct cutover_row *r, enum cutover_method m);
const char *cutover_method_name(enum cutover_method m);
int cutover_method_parse(const char *name); /* -EINVAL */
unsigned cutover_find(const char *id);      /* CUTOVER_NO_ROW: none */
