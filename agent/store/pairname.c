/* pairname: names made from a pair. Any thread. */
#include "agent/store/pairname.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/xxh3.h"

#define PAIR_MAX 64
#define NUMBER_DIGITS 20

bool pair_valid(const char *pair)
{
    return text_is_name(pair, PAIR_MAX);
}

void pair_token(const char *pair, char ret[PAIR_TOKEN_LEN + 1])
{
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(pair, strlen(pair)));
    text_hex(hash.digest, PAIR_TOKEN_LEN / 2, ret);
}

static int prefix(const char token[PAIR_TOKEN_LEN + 1], char ret[PAIR_TEMP_MAX])
{
    return snprintf(ret, PAIR_TEMP_MAX, ".godwit-%s-", token);
}

void pair_temp_name(const char token[PAIR_TOKEN_LEN + 1], uint64_t n, char ret[PAIR_TEMP_MAX])
{
    int at = prefix(token, ret);
    (void)snprintf(ret + at, PAIR_TEMP_MAX - (size_t)at, "%llu", (unsigned long long)n);
}

bool pair_is_temp(const char token[PAIR_TOKEN_LEN + 1], const char *name, size_t len)
{
    char want[PAIR_TEMP_MAX];
    size_t n = (size_t)prefix(token, want);
    if (len <= n || len > n + NUMBER_DIGITS || memcmp(name, want, n) != 0)
        return false;
    for (size_t i = n; i < len; i++)
        if (name[i] < '0' || name[i] > '9')
            return false;
    return true;
}

char *pair_catalogue_path(const char *state_dir, const char *pair)
{
    return xasprintf("%s/catalogue/%s.db", state_dir, pair);
}
