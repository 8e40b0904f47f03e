/* pairname: names made from a pair. Any thread. */
#include "agent/store/pairname.h"

#include <assert.h>
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

#define BEGIN ".godwit-"
#define PREFIX_LEN (sizeof BEGIN - 1 + PAIR_TOKEN_LEN + 1)
static_assert(PREFIX_LEN + NUMBER_DIGITS < PAIR_TEMP_MAX, "the longest name has room");

static void prefix(const char token[PAIR_TOKEN_LEN + 1], char ret[PAIR_TEMP_MAX])
{
    memcpy(ret, BEGIN, sizeof BEGIN - 1);
    memcpy(ret + sizeof BEGIN - 1, token, PAIR_TOKEN_LEN);
    ret[PREFIX_LEN - 1] = '-';
}

/* By hand: each small file asks for one. */
void pair_temp_name(const char token[PAIR_TOKEN_LEN + 1], uint64_t n, char ret[PAIR_TEMP_MAX])
{
    char digits[NUMBER_DIGITS];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    prefix(token, ret);
    memcpy(ret + PREFIX_LEN, digits + at, sizeof digits - at);
    ret[PREFIX_LEN + sizeof digits - at] = '\0';
}

bool pair_is_temp(const char token[PAIR_TOKEN_LEN + 1], const char *name, size_t len)
{
    char want[PAIR_TEMP_MAX];
    size_t n = PREFIX_LEN;
    prefix(token, want);
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
