/* idmap_ranges: pure. Any thread. */
#include "orchestrator/workload/idmap_ranges.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define BACKENDS_MAX 32

struct range {
    char name[40], kind[24];
    uint64_t from, to; /* 0: none is said */
    bool bad;
};

/* "LAB: rid 100000-199999"; kind and range may be missing. */
static bool read_one(const char *text, struct range *ret)
{
    const char *colon = strstr(text, ": ");
    char *end = NULL;
    *ret = (struct range){.bad = false};
    if (!colon || colon == text)
        return false;
    (void)snprintf(ret->name, sizeof ret->name, "%.*s", (int)(colon - text), text);
    const char *kind = colon + 2, *space = strchr(kind, ' ');
    size_t n = space ? (size_t)(space - kind) : strlen(kind);
    (void)snprintf(ret->kind, sizeof ret->kind, "%.*s", (int)n, kind);
    if (!space || !space[1])
        return true;
    ret->from = strtoull(space + 1, &end, 10);
    ret->bad = end == space + 1;
    end += strspn(end, " ");
    if (*end == '-')
        ret->to = strtoull(end + 1, &end, 10);
    ret->bad = ret->bad || ret->to == 0 || ret->from > ret->to || ret->to > UINT32_MAX || *end;
    return true;
}

static bool overlap(const struct range *a, const struct range *b)
{
    return a->to && b->to && a->from <= b->to && b->from <= a->to;
}

static bool odd_one(const struct range *r, char *ret, size_t size)
{
    bool rest = strcmp(r->name, "*") == 0; /* Samba prints it also where nobody set it */
    if (rest && !r->bad && r->to == 0)
        return false;
    if (!r->kind[0])
        (void)snprintf(ret, size, "%s has no back end", r->name);
    else if (r->bad)
        (void)snprintf(ret, size, "the range of %s is none", r->name);
    else if (r->to == 0)
        (void)snprintf(ret, size, "%s has no range", r->name);
    else
        return false;
    return true;
}

bool idmap_ranges_odd(const json_t *backends, char *ret, size_t size)
{
    struct range of[BACKENDS_MAX];
    size_t n = 0, i;
    const json_t *one;
    json_array_foreach(backends, i, one)
    {
        const char *text = json_string_value(one);
        if (text && n < ARRAY_SIZE(of) && read_one(text, &of[n]))
            n++;
    }
    for (size_t k = 0; k < n; k++)
        if (odd_one(&of[k], ret, size))
            return true;
    for (size_t k = 0; k < n; k++)
        for (size_t m = 0; m < k; m++)
            if (overlap(&of[m], &of[k])) {
                (void)snprintf(ret, size, "the ranges of %s and %s overlap", of[m].name,
                               of[k].name);
                return true;
            }
    return false;
}
