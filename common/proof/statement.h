/* statement: one page of text that says what a pass left at the destination, and who signs it:
 *
 *   godwit manifest 1
 *   job wave1
 *   pair 0123456789abcdef.0
 *   run 3
 *   …                                 NAME VALUE, one a line
 *   manifest 9f86…                    SHA-256 of SHA256SUMS
 *   metadata 5891…                    SHA-256 of METADATA
 *   signed destination new1 PUBLIC-KEY SIGNATURE
 *   signed source fs1 PUBLIC-KEY SIGNATURE
 *   signed orchestrator godwit PUBLIC-KEY SIGNATURE
 *
 * All sign the same bytes: everything above the first "signed". Pure; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/sha256.h"
#include "common/proof/signature.h"

#define STATEMENT_MAX (32 << 10)
#define STATEMENT_PATH_MAX 4096 /* longer ones are cut */
#define STATEMENT_NAME_MAX 63
#define STATEMENT_SIGNATURES 3

enum statement_role { SIGNED_DESTINATION, SIGNED_SOURCE, SIGNED_ORCHESTRATOR };
const char *statement_role_name(enum statement_role r);

struct statement_signature {
    enum statement_role role;
    char name[STATEMENT_NAME_MAX + 1]; /* host; of the orchestrator, its realm */
    uint8_t public_key[SIGN_PUBLIC_BYTES];
    bool good; /* it is that key's signature of the body */
};

struct statement {
    const char *text; /* borrowed */
    size_t body_len;  /* what is signed */
    uint8_t manifest[SHA256_LEN], metadata[SHA256_LEN];
    struct statement_signature by[STATEMENT_SIGNATURES];
    size_t nby;
};

/* ── making ── */
void statement_begin(struct buf *b);
/* value: printable UTF-8 without a newline, as text_printable() makes it. */
void statement_line(struct buf *b, const char *name, const char *value);
void statement_number(struct buf *b, const char *name, uint64_t value);
void statement_digest(struct buf *b, const char *name, const uint8_t digest[SHA256_LEN]);
/* One "signed" line; the body is not touched. */
void statement_put_signature(struct buf *b, enum statement_role role, const char *name,
                             const uint8_t public_key[SIGN_PUBLIC_BYTES],
                             const uint8_t signature[SIGN_BYTES]);

/* ── reading: hostile bytes ── */
/* -EBADMSG unless every line has its shape, no role signs twice and both digests are there. A
 * signature that is not right is no error here: by[].good says so. */
int statement_parse(const char *text, size_t len, struct statement *ret);
/* The value of a line of the body; NULL: none. */
char *statement_value(const struct statement *s, const char *name); /* malloc'd */
/* Is there a good signature of this role? by NULL is fine. */
const struct statement_signature *statement_signed(const struct statement *s,
                                                   enum statement_role role);
