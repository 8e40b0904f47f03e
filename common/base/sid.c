/* sid: reads and writes security identifiers; bounds before all else. Any thread. */
#include "common/base/sid.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AUTHORITY_MAX ((1ULL << 48) - 1)

/* Digits up to max; no sign, no leading zero. */
static int take_number(const char **at, const char *end, uint64_t max, uint64_t *ret)
{
    const char *p = *at;
    uint64_t n = 0;
    if (p == end || *p < '0' || *p > '9' ||
        (*p == '0' && p + 1 < end && p[1] >= '0' && p[1] <= '9'))
        return -EINVAL;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (uint64_t)(*p - '0');
        if (n > max)
            return -EINVAL;
    }
    *at = p;
    *ret = n;
    return 0;
}

int sid_parse(const char *text, size_t len, struct sid *ret)
{
    struct sid s = {.nsubs = 0};
    const char *at = text, *end = text + len;
    if (len < 5 || (text[0] != 'S' && text[0] != 's') || memcmp(text + 1, "-1-", 3) != 0)
        return -EINVAL;
    at += 4;
    int rc = take_number(&at, end, AUTHORITY_MAX, &s.authority);
    while (rc == 0 && at < end) {
        uint64_t n = 0;
        if (*at++ != '-' || s.nsubs == SID_SUBS_MAX)
            return -EINVAL;
        rc = take_number(&at, end, UINT32_MAX, &n);
        s.sub[s.nsubs++] = (uint32_t)n;
    }
    if (rc < 0 || s.nsubs == 0)
        return -EINVAL;
    *ret = s;
    return 0;
}

void sid_text(const struct sid *s, char ret[SID_TEXT_MAX])
{
    int n = snprintf(ret, SID_TEXT_MAX, "S-1-%llu", (unsigned long long)s->authority);
    for (unsigned i = 0; i < s->nsubs && i < SID_SUBS_MAX; i++)
        n += snprintf(ret + n, SID_TEXT_MAX - (size_t)n, "-%u", s->sub[i]);
}

int sid_unpack(const void *bytes, size_t len, struct sid *ret)
{
    const uint8_t *p = bytes;
    struct sid s = {.nsubs = 0};
    if (len < 8 || p[0] != 1 || p[1] > SID_SUBS_MAX || len < 8U + 4U * p[1])
        return -EBADMSG;
    s.nsubs = p[1];
    for (unsigned i = 0; i < 6; i++)
        s.authority = s.authority << 8 | p[2 + i];
    for (unsigned i = 0; i < s.nsubs; i++) {
        uint32_t le;
        memcpy(&le, p + 8 + 4 * (size_t)i, sizeof le);
        s.sub[i] = le32toh(le);
    }
    *ret = s;
    return 8 + 4 * s.nsubs;
}

size_t sid_pack(const struct sid *s, uint8_t ret[SID_BYTES_MAX])
{
    ret[0] = 1;
    ret[1] = s->nsubs;
    for (unsigned i = 0; i < 6; i++)
        ret[2 + i] = (uint8_t)(s->authority >> (8 * (5 - i)));
    for (unsigned i = 0; i < s->nsubs; i++) {
        uint32_t le = htole32(s->sub[i]);
        memcpy(ret + 8 + 4 * (size_t)i, &le, sizeof le);
    }
    return 8 + 4 * (size_t)s->nsubs;
}

int sid_order(const struct sid *a, const struct sid *b)
{
    if (a->authority != b->authority)
        return a->authority < b->authority ? -1 : 1;
    for (unsigned i = 0; i < a->nsubs && i < b->nsubs; i++)
        if (a->sub[i] != b->sub[i])
            return a->sub[i] < b->sub[i] ? -1 : 1;
    return (a->nsubs > b->nsubs) - (a->nsubs < b->nsubs);
}
