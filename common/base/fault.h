/* fault: an error that crosses the wire: what to do next, errno, one sentence. Any thread. */
#pragma once

enum fault_class {
    FAULT_NONE = 0,
    FAULT_RETRY,     /* the same step may succeed later: lost peer, timeout */
    FAULT_SKIP_ITEM, /* costs one item */
    FAULT_STOP_JOB,  /* this pair cannot go on without a person */
};

#define FAULT_TEXT_MAX 240

struct fault {
    enum fault_class what_next;
    int err;                   /* positive errno, 0 if none applies */
    char text[FAULT_TEXT_MAX]; /* one sentence, no secrets */
};

/* Fills *reterr (NULL is fine) and returns -err, or -EIO when err is 0. */
int fault_set(struct fault *reterr, enum fault_class what_next, int err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The remedy an administrator reads beside an errno; never NULL, "" when there is none. */
const char *fault_remedy(int err);
/* The same for a failure of one item, where what it was about may say more: "content differs". */
const char *fault_remedy_of(int err, const char *what);
/* The short name of such a cause, for `job retry --cause`: "EACCES", "VERIFY_CONTENT". Static. */
const char *fault_code(int err, const char *what);
