/* spec: reads a job's JSON from strangers: every key known, every value bounded, the error names
 * its JSON path. Main thread; no state. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "orchestrator/engine/engine_priv.h"

#define ROOT_PATH_MAX 4095

static int refuse(struct fault *reterr, const char *where, const char *what)
{
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s: %s", where, what);
}

/* keys ends with NULL; all that are required come before the empty string. */
static int check_keys(json_t *o, const char *where, const char *const *keys, struct fault *reterr)
{
    if (!json_is_object(o))
        return refuse(reterr, *where ? where : "the job", "must be an object");
    const char *key;
    json_t *value;
    const char *dot = *where ? "." : "";
    json_object_foreach(o, key, value)
    {
        size_t i = 0;
        while (keys[i] && (!keys[i][0] || strcmp(keys[i], key) != 0))
            i++;
        if (keys[i])
            continue;
        CLEANUP(mem_free) char *shown = text_printable(key, strnlen(key, 64));
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s%s%s: unknown key", where, dot, shown);
    }
    for (size_t i = 0; keys[i] && keys[i][0]; i++)
        if (!json_object_get(o, keys[i]))
            return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s%s%s: is missing", where, dot,
                             keys[i]);
    return 0;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* In place: \xNN becomes its byte. NULL, or what is wrong. */
static const char *unescape(char *s)
{
    char *to = s;
    for (const char *p = s; *p; p++) {
        if (*p != '\\') {
            *to++ = *p;
            continue;
        }
        int hi = p[1] == 'x' ? hex_digit(p[2]) : -1;
        int lo = hi >= 0 ? hex_digit(p[3]) : -1;
        if (lo < 0)
            return "a backslash must begin \\xNN (write \\x5c for a backslash)";
        if (hi == 0 && lo == 0)
            return "a path cannot hold a NUL byte";
        *to++ = (char)(hi << 4 | lo);
        p += 3;
    }
    *to = '\0';
    return NULL;
}

/* In place: one slash between names, none at the end. */
static const char *normalize(char *path)
{
    if (path[0] != '/')
        return "a path must begin with /";
    char *to = path;
    for (const char *p = path; *p;) {
        while (*p == '/')
            p++;
        size_t n = strcspn(p, "/");
        if (n == 0)
            break;
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return "a path must not hold . or ..";
        *to++ = '/';
        memmove(to, p, n);
        to += n;
        p += n;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
    return NULL;
}

static int read_path(const json_t *v, const char *where, const struct workload *k, char **ret,
                     struct fault *reterr)
{
    if (!json_is_string(v))
        return refuse(reterr, where, "must be a text");
    CLEANUP(mem_free) char *path = xstrdup(json_string_value(v));
    const char *wrong = strlen(path) > 4UL * ROOT_PATH_MAX ? "is too long" : unescape(path);
    if (!wrong)
        wrong = k->check_place ? k->check_place(path) : normalize(path);
    if (!wrong && strlen(path) > ROOT_PATH_MAX)
        wrong = "is too long";
    if (wrong)
        return refuse(reterr, where, wrong);
    *ret = path;
    path = NULL;
    return 0;
}

static int read_endpoint(const json_t *v, char **ret, struct fault *reterr)
{
    const char *name = json_string_value(v);
    if (!v)
        return 0;
    if (!name || !text_is_name(name, LIMIT_HOST_NAME))
        return refuse(reterr, "endpoint", "must be an endpoint's name");
    *ret = xstrdup(name);
    return 0;
}

struct side_at {
    const struct workload *workload;
    const char *where;
    enum step_side side;
};

static int read_side(json_t *v, const struct side_at *at, struct spec_pair *ret,
                     struct fault *reterr)
{
    const char *where = at->where;
    enum step_side side = at->side;
    static const char *const keys[] = {"host", "path", "", "endpoint", NULL};
    char **rethost = &ret->host[side], **retpath = &ret->path[side];
    int rc = check_keys(v, where, keys, reterr);
    if (rc < 0)
        return rc;
    const char *host = json_string_value(json_object_get(v, "host"));
    CLEANUP(mem_free) char *host_at = xasprintf("%s.host", where);
    CLEANUP(mem_free) char *path_at = xasprintf("%s.path", where);
    if (!host || !text_is_name(host, LIMIT_HOST_NAME))
        return refuse(reterr, host_at, "must be a host's name");
    rc = read_path(json_object_get(v, "path"), path_at, at->workload, retpath, reterr);
    if (rc == 0)
        *rethost = xstrdup(host);
    char **endpoint = side == SIDE_SOURCE ? &ret->endpoint : &ret->to_endpoint;
    return rc == 0 ? read_endpoint(json_object_get(v, "endpoint"), endpoint, reterr) : rc;
}

static int read_pair(json_t *v, unsigned i, const struct workload *k, struct spec_pair *ret,
                     struct fault *reterr)
{
    static const char *const keys[] = {"source", "destination", NULL};
    CLEANUP(mem_free) char *where = xasprintf("pairs[%u]", i);
    int rc = check_keys(v, where, keys, reterr);
    for (int side = 0; rc == 0 && side < 2; side++) {
        CLEANUP(mem_free) char *at = xasprintf("%s.%s", where, keys[side]);
        const struct side_at about = {.workload = k, .where = at, .side = (enum step_side)side};
        rc = read_side(json_object_get(v, keys[side]), &about, ret, reterr);
    }
    return rc;
}

static int read_pairs(const json_t *v, struct spec *s, struct fault *reterr)
{
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n == 0)
        return refuse(reterr, "pairs", "must be a list with at least one pair");
    if (n > LIMIT_PAIRS)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "pairs: at most %d in one job",
                         LIMIT_PAIRS);
    s->pairs = xcalloc(n, sizeof *s->pairs);
    s->npairs = (unsigned)n;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < n; i++)
        rc = read_pair(json_array_get(v, i), i, s->workload, &s->pairs[i], reterr);
    return rc;
}

static int read_rate(const json_t *v, struct spec *s, struct fault *reterr)
{
    const char *text = json_string_value(v);
    if (v && (!text || rate_parse(text, &s->rate) < 0))
        return refuse(reterr, "limits.rate", "must be a rate, such as \"200MiB/s\"");
    return 0;
}

/* Not read here: a job must load also when its calendar's zone is gone from this machine. */
static int read_calendar(const json_t *v, struct spec *s, struct fault *reterr)
{
    const char *text = json_string_value(v);
    if (!v)
        return 0;
    if (!text)
        return refuse(reterr, "limits.calendar", "must be a text");
    s->calendar = xstrdup(text);
    return 0;
}

static int read_limits(json_t *v, struct spec *s, struct fault *reterr)
{
    static const char *const keys[] = {"", "pairs", "rate", "calendar", NULL};
    if (!v)
        return 0;
    int rc = check_keys(v, "limits", keys, reterr);
    if (rc < 0)
        return rc;
    const json_t *pairs = json_object_get(v, "pairs");
    if (pairs && (!json_is_integer(pairs) || json_integer_value(pairs) < 1 ||
                  json_integer_value(pairs) > LIMIT_PAIRS))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "limits.pairs: must be a number, 1 to %d",
                         LIMIT_PAIRS);
    s->limit = pairs ? (unsigned)json_integer_value(pairs) : 0;
    rc = read_rate(json_object_get(v, "rate"), s, reterr);
    return rc < 0 ? rc : read_calendar(json_object_get(v, "calendar"), s, reterr);
}

static int read_options(const json_t *v, const struct spec *s, json_t **ret, struct fault *reterr)
{
    if (v && !json_is_object(v))
        return refuse(reterr, "options", "must be an object");
    json_t *options = v ? json_deep_copy(v) : json_object();
    int rc = s->workload->check_options(options, reterr);
    if (rc < 0) {
        json_decref(options);
        return rc;
    }
    *ret = options;
    return 0;
}

int spec_check_pairs(const struct spec *s, struct fault *reterr)
{
    const json_t *options = json_object_get(s->json, "options");
    if (!s->workload->check_pairs)
        return 0;
    CLEANUP(mem_free) const char **sources = xcalloc(s->npairs + 1, sizeof *sources);
    for (unsigned i = 0; i < s->npairs; i++)
        sources[i] = s->pairs[i].endpoint ? NULL : s->pairs[i].host[SIDE_SOURCE];
    int rc = s->workload->check_pairs(options, sources, s->npairs, reterr);
    for (unsigned i = 0; rc == 0 && s->workload->check_to_endpoint && i < s->npairs; i++)
        if (s->pairs[i].to_endpoint)
            rc = s->workload->check_to_endpoint(options, reterr);
    return rc;
}

static json_t *side_json(const struct spec_pair *p, enum step_side side)
{
    json_t *j = json_object();
    (void)json_object_set_new(j, "host", json_string(p->host[side]));
    (void)json_object_set_new(j, "path", shown_path(p->path[side]));
    const char *endpoint = side == SIDE_SOURCE ? p->endpoint : p->to_endpoint;
    if (endpoint)
        (void)json_object_set_new(j, "endpoint", json_string(endpoint));
    return j;
}

static json_t *rate_json(uint64_t rate)
{
    char text[24];
    rate_text(rate, text);
    return json_string(text);
}

/* What is kept: every option named, paths in one form. */
static json_t *canonical(const struct spec *s, json_t *options)
{
    json_t *j = json_object(), *pairs = json_array();
    (void)json_object_set_new(j, "name", json_string(s->name));
    (void)json_object_set_new(j, "workload", json_string(s->workload->name));
    (void)json_object_set_new(j, "options", options);
    json_t *limits = json_object();
    if (s->limit)
        (void)json_object_set_new(limits, "pairs", json_integer((json_int_t)s->limit));
    if (s->rate != RATE_UNLIMITED)
        (void)json_object_set_new(limits, "rate", rate_json(s->rate));
    if (s->calendar)
        (void)json_object_set_new(limits, "calendar", json_string(s->calendar));
    if (json_object_size(limits) > 0)
        (void)json_object_set(j, "limits", limits);
    json_decref(limits);
    for (unsigned i = 0; i < s->npairs; i++) {
        json_t *pair = json_object();
        (void)json_object_set_new(pair, "source", side_json(&s->pairs[i], SIDE_SOURCE));
        (void)json_object_set_new(pair, "destination", side_json(&s->pairs[i], SIDE_DESTINATION));
        (void)json_array_append_new(pairs, pair);
    }
    (void)json_object_set_new(j, "pairs", pairs);
    return j;
}

static int read_names(const json_t *root, struct spec *s, struct fault *reterr)
{
    const char *name = json_string_value(json_object_get(root, "name"));
    const char *workload = json_string_value(json_object_get(root, "workload"));
    if (!name || !text_is_name(name, LIMIT_JOB_NAME))
        return refuse(reterr, "name", "must be letters, digits, dots, dashes; at most 63");
    s->workload = workload ? workload_find(workload) : NULL;
    if (!s->workload)
        return refuse(reterr, "workload", "is not one that this version knows (files, vm)");
    s->name = xstrdup(name);
    return 0;
}

static int read_root(json_t *root, struct spec *s, struct fault *reterr)
{
    static const char *const keys[] = {"name", "workload", "pairs", "", "options", "limits", NULL};
    json_t *options = NULL;
    int rc = check_keys(root, "", keys, reterr);
    if (rc == 0)
        rc = read_names(root, s, reterr);
    if (rc == 0)
        rc = read_limits(json_object_get(root, "limits"), s, reterr);
    if (rc == 0)
        rc = read_pairs(json_object_get(root, "pairs"), s, reterr);
    if (rc == 0)
        rc = read_options(json_object_get(root, "options"), s, &options, reterr);
    if (rc == 0)
        s->json = canonical(s, options);
    return rc;
}

int spec_parse(const char *text, size_t len, struct spec *ret, struct fault *reterr)
{
    *ret = (struct spec){.rate = RATE_UNLIMITED};
    json_error_t at;
    if (len > LIMIT_CONSOLE_OPENED)
        return refuse(reterr, "the job", "is too large");
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
    if (!root) {
        CLEANUP(mem_free) char *shown = text_printable(at.text, strlen(at.text));
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "line %d column %d: %s", at.line,
                         at.column, shown);
    }
    int rc = read_root(root, ret, reterr);
    json_decref(root);
    if (rc < 0)
        spec_done(ret);
    return rc;
}

void spec_done(struct spec *s)
{
    for (unsigned i = 0; i < s->npairs; i++) {
        for (int side = 0; side < 2; side++) {
            free(s->pairs[i].host[side]);
            free(s->pairs[i].path[side]);
        }
        free(s->pairs[i].endpoint);
        free(s->pairs[i].to_endpoint);
    }
    free(s->pairs);
    free(s->name);
    free(s->calendar);
    json_decref(s->json);
    *s = (struct spec){.limit = 0};
}
