/* option: sets one option from text, with limits, and frees what was set. Any thread. */
#include "common/conf/option.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "common/conf/option_priv.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"",    1         },
    {"B",   1         },
    {"K",   1ULL << 10},
    {"KiB", 1ULL << 10},
    {"M",   1ULL << 20},
    {"MiB", 1ULL << 20},
    {"G",   1ULL << 30},
    {"GiB", 1ULL << 30},
    {"T",   1ULL << 40},
    {"TiB", 1ULL << 40},
    {NULL,  0         },
};

static const struct unit duration_units[] = {
    {"ms", 1        },
    {"s",  1000     },
    {"m",  60000    },
    {"h",  3600000  },
    {"d",  86400000 },
    {"w",  604800000},
    {NULL, 0        },
};

/* Digits only: no sign, no blanks, no base prefix. *retrest is what follows them. */
static int parse_digits(const char *text, uint64_t *ret, const char **retrest)
{
    uint64_t v = 0;
    const char *p = text;
    for (; isdigit((unsigned char)*p); p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return -EINVAL;
        v = v * 10 + digit;
    }
    if (p == text)
        return -EINVAL;
    *ret = v;
    *retrest = p;
    return 0;
}

static int parse_with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
    uint64_t v = 0;
    const char *rest = NULL;
    if (parse_digits(text, &v, &rest) < 0)
        return -EINVAL;
    for (const struct unit *u = units; u->name; u++) {
        if (strcasecmp(rest, u->name) != 0)
            continue;
        if (v > UINT64_MAX / u->factor)
            return -EINVAL;
        *ret = v * u->factor;
        return 0;
    }
    return -EINVAL;
}

int parse_size(const char *text, uint64_t *ret)
{
    return parse_with_unit(text, size_units, ret);
}

int parse_duration(const char *text, uint64_t *retms)
{
    if (strcmp(text, "0") == 0) {
        *retms = 0;
        return 0;
    }
    return parse_with_unit(text, duration_units, retms);
}

int parse_bool(const char *text, bool *ret)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *ret = i % 2 == 1;
            return 0;
        }
    }
    return -EINVAL;
}

bool choice_is_one(const char *choices, const char *value)
{
    size_t n = strchr(value, '|') ? 0 : strlen(value);
    for (const char *p = choices; n && p; p = strchr(p, '|')) {
        p += *p == '|';
        if (strncmp(p, value, n) == 0 && (p[n] == '|' || p[n] == '\0'))
            return true;
    }
    return false;
}

static int bad_value(const struct option_row *row, const char *value, struct fault *reterr)
{
    static const char *const wants[] = {
        [OPT_STRING] = "text on one line",
        [OPT_UINT] = "a whole number",
        [OPT_SIZE] = "a size such as 64K, 1M or 8G",
        [OPT_DURATION] = "a time such as 250ms, 15s, 15m or 7d",
        [OPT_BOOL] = "yes or no",
        [OPT_ENUM] = "one of",
    };
    char *shown = option_shown(value);
    int rc = fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s: %s is not %s%s%s", row->name, shown,
                       wants[row->kind], row->kind == OPT_ENUM ? " " : "",
                       row->kind == OPT_ENUM ? row->choices : "");
    free(shown);
    return rc;
}

static int parse_number(const struct option_row *row, const char *value, uint64_t *ret)
{
    if (row->kind == OPT_SIZE)
        return parse_size(value, ret);
    if (row->kind == OPT_DURATION)
        return parse_duration(value, ret);
    const char *rest = NULL;
    int rc = parse_digits(value, ret, &rest);
    return rc < 0 || *rest || *ret > UINT32_MAX ? -EINVAL : 0;
}

static int set_number(const struct option_row *row, void *slot, const char *value,
                      struct fault *reterr)
{
    uint64_t v = 0;
    if (parse_number(row, value, &v) < 0)
        return bad_value(row, value, reterr);
    if (v < row->min)
        return fault_set(reterr, FAULT_STOP_JOB, ERANGE, "%s: %s is below the least, %llu",
                         row->name, value, (unsigned long long)row->min);
    if (row->max && v > row->max)
        return fault_set(reterr, FAULT_STOP_JOB, ERANGE, "%s: %s is over the most, %llu", row->name,
                         value, (unsigned long long)row->max);
    if (row->kind == OPT_UINT)
        *(uint32_t *)slot = (uint32_t)v;
    else
        *(uint64_t *)slot = v;
    return 0;
}

static int set_text(const struct option_row *row, char **slot, const char *value,
                    struct fault *reterr)
{
    if (strchr(value, '\n') || (row->kind == OPT_ENUM && !choice_is_one(row->choices, value)))
        return bad_value(row, value, reterr);
    char *text = row->repeat && *slot ? xasprintf("%s\n%s", *slot, value) : xstrdup(value);
    free(*slot);
    *slot = text;
    return 0;
}

int option_set(const struct option_row *row, void *conf, const char *value, struct fault *reterr)
{
    void *slot = (char *)conf + row->off;
    int rc = 0;
    switch (row->kind) {
    case OPT_STRING:
    case OPT_ENUM:
        rc = set_text(row, slot, value, reterr);
        break;
    case OPT_UINT:
    case OPT_SIZE:
    case OPT_DURATION:
        rc = set_number(row, slot, value, reterr);
        break;
    case OPT_BOOL:
        rc = parse_bool(value, slot) < 0 ? bad_value(row, value, reterr) : 0;
        break;
    }
    return rc < 0 ? -EINVAL : 0;
}

void options_defaults(const struct option_row *rows, void *conf)
{
    for (const struct option_row *r = rows; r->name; r++)
        if (r->def && option_set(r, conf, r->def, NULL) < 0)
            abort(); /* a mistake in the table, not in what a user wrote */
}

void options_free(const struct option_row *rows, void *conf)
{
    for (const struct option_row *r = rows; r->name; r++) {
        char **slot = (char **)(void *)((char *)conf + r->off);
        if (r->kind != OPT_STRING && r->kind != OPT_ENUM)
            continue;
        free(*slot);
        *slot = NULL;
    }
}

const struct option_row *option_find(const struct option_row *rows, const char *name, size_t len)
{
    for (const struct option_row *r = rows; r->name; r++)
        if (strlen(r->name) == len && strncmp(r->name, name, len) == 0)
            return r;
    return NULL;
}
