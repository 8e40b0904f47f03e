/* samu: one user as Samba's passdb.tdb packs him (version 4): names, rids, password digests, flags.
 * A view of bytes that may be a peer's: hostile. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

#define SAMU_BYTES_MAX (16U << 10)

enum samu_text {
    SAMU_NAME,
    SAMU_DOMAIN,
    SAMU_NT_NAME,
    SAMU_FULL_NAME,
    SAMU_HOME,
    SAMU_DRIVE,
    SAMU_SCRIPT,
    SAMU_PROFILE,
    SAMU_COMMENT,
    SAMU_STATIONS,
    SAMU_UNKNOWN,
    SAMU_DIAL,
    SAMU_TEXTS,
};

struct samu_blob { /* borrowed; texts count their NUL */
    const uint8_t *p;
    uint32_t n;
};

struct samu {
    uint32_t times[7]; /* [4]: when the password was set */
    struct samu_blob text[SAMU_TEXTS];
    uint32_t rid, group_rid;
    struct samu_blob lm, nt, history;
    uint32_t flags;
    struct samu_blob tail; /* hours, counts: as they are */
};
enum { SAMU_PASSWORD_SET = 4 };

/* -EBADMSG: not one of a person (machines' are none), or none at all. */
int samu_read(const void *bytes, size_t len, struct samu *ret);
/* Appends it packed. */
void samu_write(const struct samu *u, struct buf *ret);
/* The text without its NUL; "" where there is none. Borrowed from the bytes that were read. */
const char *samu_string(const struct samu *u, enum samu_text which);
/* Borrows s. */
void samu_set(struct samu *u, enum samu_text which, const char *s);
