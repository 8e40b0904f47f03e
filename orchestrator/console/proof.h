/* proof: a manifest on this machine, checked without any daemon: signatures, keys, lists. Prints
 * nothing. Main thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "common/base/fault.h"
#include "common/proof/statement.h"

/* Public keys that are believed: lines "host NAME KEY" and "orchestrator NAME KEY", key in hex;
 * empty lines and those that begin with # are skipped. */
struct proof_keys;
/* -EBADMSG with a fault that names the line. */
int proof_keys_parse(const char *text, size_t len, struct proof_keys **ret, struct fault *reterr);
struct proof_keys *proof_keys_free(struct proof_keys *k); /* NULL is fine; returns NULL */

enum proof_result {
    PROOF_GOOD,
    PROOF_OPEN,    /* right as far as it could be looked at */
    PROOF_MISSING, /* there is no such signature or list */
    PROOF_WRONG,
};

struct proof_line {
    const char *what; /* "destination", "SHA256SUMS" */
    char name[STATEMENT_NAME_MAX + 1];
    char key[2 * SIGN_PUBLIC_BYTES + 1];
    enum proof_result result;
    const char *says; /* static */
};
#define PROOF_LINES 5 /* three signatures, two lists */

/* keys NULL: nobody said which keys to believe. dir: where the lists are. The worst of all lines.
 */
enum proof_result proof_check(const struct statement *s, const struct proof_keys *keys,
                              const char *dir, struct proof_line ret[PROOF_LINES]);
