/* shadow: digests of unix passwords, with their ages, as /etc/shadow has them. Wiped when freed;
 * set by chpasswd and chage, digests on chpasswd's standard input only. Worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

#define SHADOW_HASH_MAX 255

struct shadow_row {
    char *name;
    char *hash;
    long changed, min, max, warn, inactive, expire; /* days; -1: nothing stands there */
};

struct shadow {
    struct shadow_row *rows;
    size_t n;
};

/* path: "/etc/shadow". What is no line is left out. */
int shadow_read(const char *path, struct shadow **ret, struct fault *reterr);
struct shadow *shadow_free(struct shadow *s); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(shadow_free, struct shadow *)
const struct shadow_row *shadow_named(const struct shadow *s, const char *name);

/* A digest (it may be locked by "!") that a line of shadow may hold; an empty one is none. */
bool shadow_hash_fits(const char *hash);
/* There is a digest behind what locks it. */
bool shadow_has_password(const char *hash);
/* May what stands here be replaced by what the source has? Not what was changed here since. */
bool shadow_replaces(const struct shadow_row *from, const struct shadow_row *here);
/* All of them, digests by one run of chpasswd. */
int shadow_set(const struct shadow_row *rows, size_t n, struct fault *reterr);
