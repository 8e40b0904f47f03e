/* jobspec_filter: what a job leaves out, on the way from options to JSON. Main thread. */
#include "orchestrator/console/jobspec_filter.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/filter.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"

static bool is_in(const json_t *list, const char *text)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one) if (strcmp(json_string_value(one), text) == 0) return true;
    return false;
}

/* A command line over a job file brings the same again. */
static json_t *list_json(const char *lines)
{
    json_t *list = json_array();
    CLEANUP(mem_free) char *copy = xstrdup(lines);
    char *save = NULL;
    for (char *one = strtok_r(copy, "\n", &save); one; one = strtok_r(NULL, "\n", &save))
        if (!is_in(list, one))
            (void)json_array_append_new(list, json_string(one));
    return list;
}

void jobspec_list_json(json_t *options, const char *key, const char *lines)
{
    if (lines && *lines)
        (void)json_object_set_new(options, key, list_json(lines));
}

static void set_number(json_t *options, const char *key, uint64_t v)
{
    if (v)
        (void)json_object_set_new(options, key,
                                  json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v));
}

void jobspec_filter_json(const struct filter_opts *f, json_t *options)
{
    jobspec_list_json(options, "exclude", f->exclude);
    jobspec_list_json(options, "include", f->include);
    set_number(options, "min_size", f->min_size);
    set_number(options, "max_size", f->max_size);
    set_number(options, "min_age", f->min_age_ms);
    set_number(options, "max_age", f->max_age_ms);
    if (f->delete_excluded)
        (void)json_object_set_new(options, "delete_excluded", json_true());
}

int jobspec_filter_check(const char *pattern, struct fault *reterr)
{
    CLEANUP(filter_free) struct filter *f = NULL;
    const struct filter_conf conf = {.exclude = &pattern, .nexclude = 1};
    return filter_new(&f, &conf, reterr);
}

char *jobspec_filter_name(const struct filter_opts *f)
{
    uint8_t digest[SHA256_LEN];
    json_t *options = json_object();
    jobspec_filter_json(f, options);
    CLEANUP(mem_free) char *text = json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS);
    bool none = json_object_size(options) == 0;
    json_decref(options);
    if (none || !text)
        return xstrdup("");
    sha256_of(text, strlen(text), digest);
    char *name = xasprintf(".filter-%02x%02x%02x%02x%02x%02x", digest[0], digest[1], digest[2],
                           digest[3], digest[4], digest[5]);
    return name;
}
