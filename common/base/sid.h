/* sid: security identifiers (S-1-5-21-…) in their binary form and as text. Plain data. Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SID_SUBS_MAX 15
#define SID_BYTES_MAX (8 + 4 * SID_SUBS_MAX)
#define SID_TEXT_MAX 192 /* of sid_text(), with its NUL */

struct sid {
    uint8_t nsubs;
    uint64_t authority; /* 48 bits */
    uint32_t sub[SID_SUBS_MAX];
};

/* Exactly len bytes of text, "S-1-5-32-544"; -EINVAL. The authority in decimal only. */
int sid_parse(const char *text, size_t len, struct sid *ret);
void sid_text(const struct sid *s, char ret[SID_TEXT_MAX]);
/* The SID that bytes begin with; its length in bytes, or -EBADMSG: too short or malformed. */
int sid_unpack(const void *bytes, size_t len, struct sid *ret);
/* Its length in bytes. */
size_t sid_pack(const struct sid *s, uint8_t ret[SID_BYTES_MAX]);
int sid_order(const struct sid *a, const struct sid *b); /* as memcmp */
