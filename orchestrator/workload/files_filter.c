/* files_filter: what a job leaves out, from its options into orders. Main thread. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/filter.h"
#include "orchestrator/workload/files_priv.h"

/* The texts are the options'. */
static size_t list_of(const json_t *options, const char *key, char **ret)
{
    const json_t *list = json_object_get(options, key), *one;
    size_t i, n = 0;
    json_array_foreach(list, i, one)
    {
        if (n < FILTER_PATTERNS_MAX)
            ret[n++] = files_text(json_string_value(one));
    }
    return n;
}

static int64_t number(const json_t *options, const char *key)
{
    return json_integer_value(json_object_get(options, key));
}

Godwit__Filter *files_filter(const json_t *options, struct files_filter *f)
{
    int64_t now = clock_wall_ms(), young = number(options, "min_age"),
            old = number(options, "max_age");
    godwit__filter__init(&f->msg);
    f->msg.exclude = f->exclude;
    f->msg.include = f->include;
    f->msg.n_exclude = list_of(options, "exclude", f->exclude);
    f->msg.n_include = list_of(options, "include", f->include);
    f->msg.min_size = (uint64_t)number(options, "min_size");
    f->msg.max_size = (uint64_t)number(options, "max_size");
    f->msg.newest_ms = young ? now - young : 0;
    f->msg.oldest_ms = old ? now - old : 0;
    bool any = f->msg.n_exclude || f->msg.min_size || f->msg.max_size || young || old;
    return any ? &f->msg : NULL;
}

int files_check_filter(const json_t *options, struct fault *reterr)
{
    struct files_filter f;
    CLEANUP(filter_free) struct filter *made = NULL;
    (void)files_filter(options, &f);
    if (json_array_size(json_object_get(options, "exclude")) > FILTER_PATTERNS_MAX ||
        json_array_size(json_object_get(options, "include")) > FILTER_PATTERNS_MAX)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "options: at most %d patterns in exclude and in include",
                         FILTER_PATTERNS_MAX);
    const struct filter_conf conf = {.exclude = (const char *const *)f.exclude,
                                     .nexclude = f.msg.n_exclude,
                                     .include = (const char *const *)f.include,
                                     .ninclude = f.msg.n_include,
                                     .min_size = f.msg.min_size,
                                     .max_size = f.msg.max_size};
    struct fault why = {.err = 0};
    int rc = filter_new(&made, &conf, &why);
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.exclude: %.200s", why.text)
                  : 0;
}
