/* idmap: which owner, group or SID becomes which at the destination. Text lines "kind,from,to": uid
 * and gid with a number or a range ("100000-199999,300000-399999"), sid with a SID or all of a
 * domain ("S-1-5-21-1-2-3-*,S-1-5-21-7-8-9-*"); "#" begins a comment. Read-only once parsed: any
 * thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/sid.h"

#define IDMAP_ROWS_MAX 10000
#define IDMAP_TEXT_MAX (256U << 10)

struct idmap;

struct idmap_error {
    size_t line, column; /* from 1; bytes */
    char text[128];
};

/* -EINVAL with *reterr. A map without rows is *ret NULL. */
int idmap_parse(const char *text, size_t len, struct idmap **ret, struct idmap_error *reterr);
struct idmap *idmap_free(struct idmap *m); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(idmap_free, struct idmap *)

/* What is not mapped comes back as it is; m may be NULL. */
uint32_t idmap_uid(const struct idmap *m, uint32_t uid);
uint32_t idmap_gid(const struct idmap *m, uint32_t gid);
/* True: another SID, in *ret. Unix users and groups without a row of their own (S-1-22-1-UID,
 * S-1-22-2-GID) follow uid and gid rows. */
bool idmap_sid(const struct idmap *m, const struct sid *from, struct sid *ret);
size_t idmap_rows(const struct idmap *m);
/* What it does, as a number: not 0; other rows, another number. 0 for NULL. */
uint64_t idmap_key(const struct idmap *m);
