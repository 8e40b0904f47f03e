/* churn: changes a tree at random as its users would, the same way for the same seed. */
#pragma once
#include <stdint.h>

struct churn {
    const char *root;  /* what changes */
    const char *attic; /* a folder beside it, on the same file system: things go there and come
                          back; NULL: none */
    uint64_t seed;
    unsigned links; /* of 1000 operations, how many make hard links */
};

/* That many operations; those that do not fit what is there are tried and fail. */
void churn_run(struct churn *c, unsigned long count);
