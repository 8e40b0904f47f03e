/* journal: what was intended and what came of it, append-only. Each row holds the SHA-256 of the
 * row before it and of its own fields, so that a changed or a missing row shows. Main thread. */
#pragma once
#include <stdint.h>

#define JOURNAL_DIGEST 32

struct store;

struct journal_row {
    uint64_t seq;    /* set by append */
    int64_t at_ms;   /* wall clock */
    const char *job; /* id */
    unsigned pair;   /* 0: the job itself */
    const char *op_id;
    const char *event;  /* "start" */
    const char *state;  /* after it */
    const char *detail; /* for people; the reason */
    uint8_t digest[JOURNAL_DIGEST];
};

/* Sets seq and digest. NULL strings count as "". 0 or -errno. */
int journal_append(struct store *s, struct journal_row *r);
/* Rows of one job beyond after, at most max. */
int journal_each(struct store *s, const char *job, uint64_t after, unsigned max,
                 int (*each)(void *arg, const struct journal_row *r), void *arg);

struct journal_mark { /* zeroed: the beginning */
    uint64_t seq;
    uint8_t digest[JOURNAL_DIGEST];
};

/* Walks at most max rows of the chain beyond mark and moves mark to what is sound. 0: the chain's
 * end; 1: there may be more; -EBADMSG: the row after mark does not fit. */
int journal_verify(struct store *s, struct journal_mark *mark, unsigned max);
