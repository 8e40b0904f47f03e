/* rate: bytes a second as people write them. Any thread. */
#include "common/base/rate.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"

#define RATE_MIN 1024U
#define RATE_MAX (1ULL << 40)
#define DIGITS_MAX 9

/* Numerator and denominator of bytes a second: a bit is an eighth. */
static const struct unit {
    const char *name;
    uint64_t times, by;
} units[] = {
    {"KiB/s",  1ULL << 10, 1},
    {"MiB/s",  1ULL << 20, 1},
    {"GiB/s",  1ULL << 30, 1},
    {"kB/s",   1000,       1},
    {"MB/s",   1000000,    1},
    {"GB/s",   1000000000, 1},
    {"kbit/s", 1000,       8},
    {"Mbit/s", 1000000,    8},
    {"Gbit/s", 1000000000, 8},
};

/* Up to 9 digits with at most one point; *retscale is 10 to the number of digits behind it. */
static const char *parse_digits(const char *p, uint64_t *ret, uint64_t *retscale)
{
    unsigned digits = 0;
    bool point = false;
    *ret = 0;
    *retscale = 1;
    for (; isdigit((unsigned char)*p) || (*p == '.' && !point && digits > 0); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        if (++digits > DIGITS_MAX)
            return NULL;
        *ret = *ret * 10 + (uint64_t)(*p - '0');
        *retscale *= point ? 10 : 1;
    }
    return digits > 0 && p[-1] != '.' ? p : NULL;
}

int rate_parse(const char *text, uint64_t *ret)
{
    uint64_t n = 0, scale = 1;
    if (strcasecmp(text, "none") == 0 || strcasecmp(text, "unlimited") == 0) {
        *ret = tolower((unsigned char)*text) == 'n' ? 0 : RATE_UNLIMITED;
        return 0;
    }
    const char *unit = parse_digits(text, &n, &scale);
    if (!unit)
        return -EINVAL;
    unit += *unit == ' ';
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcasecmp(unit, units[i].name) != 0)
            continue;
        uint64_t rate = n * units[i].times / (scale * units[i].by); /* below 2^60 */
        if (rate < RATE_MIN || rate > RATE_MAX)
            return -EINVAL;
        *ret = rate;
        return 0;
    }
    return -EINVAL;
}

void rate_text(uint64_t rate, char ret[24])
{
    static const int order[] = {2, 5, 1, 4, 0, 3};
    if (rate == 0 || rate == RATE_UNLIMITED) {
        (void)snprintf(ret, 24, "%s", rate ? "unlimited" : "none");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        const struct unit *u = &units[order[i]];
        if (rate % u->times != 0)
            continue;
        (void)snprintf(ret, 24, "%" PRIu64 " %s", rate / u->times, u->name);
        return;
    }
    int u = rate >= units[2].times ? 2 : rate >= units[1].times ? 1 : 0;
    (void)snprintf(ret, 24, "%.1f %s", (double)rate / (double)units[u].times, units[u].name);
}
