/* files_options: the options of the files workload: one row each. Main thread, pure. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/files_contract.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/shares.h"

#define MAX_LANES 64
#define MAX_LOCK_WAIT 3600
#define MAX_LATENCY_MS 60000
#define MAX_CHECK_NAME 40
#define MAX_HOOK_NAME 32
#define AGE_MS_MAX INT64_C(31536000000000) /* a thousand years */

/* What a hook runs is known to its host alone; here it is a name. */
static int check_snapshot(const char *value, struct fault *reterr)
{
    static const char hook[] = "hook:";
    if (strcmp(value, "none") == 0 || strcmp(value, "auto") == 0)
        return 0;
    if (strncmp(value, hook, sizeof hook - 1) == 0 &&
        text_is_name(value + sizeof hook - 1, MAX_HOOK_NAME))
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                     "options.snapshot: must be \"none\", \"auto\" or \"hook:NAME\"");
}

static int check_map(const char *value, struct fault *reterr)
{
    CLEANUP(idmap_free) struct idmap *map = NULL;
    struct idmap_error e;
    if (idmap_parse(value, strlen(value), &map, &e) == 0)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.map: line %zu column %zu: %s", e.line,
                     e.column, e.text);
}

/* Checks of the engine go by names too, so only the form is looked at. */
static int check_override(const char *value, struct fault *reterr)
{
    if (text_is_name(value, MAX_CHECK_NAME))
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                     "must be ids of checks, such as clock-skew; godwit job validate --help lists "
                     "them");
}

static const struct option_rule {
    const char *name;
    json_type type; /* JSON_TRUE stands for both booleans, JSON_ARRAY for a list of texts */
    const char *choices[3];
    int (*check)(const char *value, struct fault *reterr); /* of a text that has no choices */
    int64_t most; /* of a number; such an option has no default: not there is not wanted */
} option_rules[] = {
    {"delete",             JSON_TRUE,    {NULL},                      NULL,                 0         },
    {"dry_run",            JSON_TRUE,    {NULL},                      NULL,                 0         },
    {"one_file_system",    JSON_TRUE,    {NULL},                      NULL,                 0         },
    {"checksum",           JSON_TRUE,    {NULL},                      NULL,                 0         },
    {"full_scan",          JSON_TRUE,    {NULL},                      NULL,                 0         },
    {"delta",              JSON_TRUE,    {NULL},                      NULL,                 0         },
    {"lanes",              JSON_INTEGER, {NULL},                      NULL,                 0         },
    {"lock_tries",         JSON_INTEGER, {NULL},                      NULL,                 0         },
    {"lock_wait",          JSON_INTEGER, {NULL},                      NULL,                 0         },
    {"max_source_latency", JSON_INTEGER, {NULL},                      NULL,                 0         },
    {"compress",           JSON_STRING,  {"auto", "on", "off"},       NULL,                 0         },
    {"verify",             JSON_STRING,  {"in-flight"},               files_check_verify,   0         },
    {"snapshot",           JSON_STRING,  {"none"},                    check_snapshot,       0         },
    {"manifest",           JSON_STRING,  {"off", "sha256"},           NULL,                 0         },
    {"shares",             JSON_STRING,  {"list"},                    shares_check_want,    0         },
    {"nfs",                JSON_STRING,  {"list"},                    shares_check_want,    0         },
    {"exclude",            JSON_ARRAY,   {NULL},                      NULL,                 0         },
    {"include",            JSON_ARRAY,   {NULL},                      NULL,                 0         },
    {"min_size",           JSON_INTEGER, {NULL},                      NULL,                 INT64_MAX },
    {"max_size",           JSON_INTEGER, {NULL},                      NULL,                 INT64_MAX },
    {"min_age",            JSON_INTEGER, {NULL},                      NULL,                 AGE_MS_MAX},
    {"max_age",            JSON_INTEGER, {NULL},                      NULL,                 AGE_MS_MAX},
    {"override",           JSON_ARRAY,   {NULL},                      check_override,       0         },
    {"accept_loss",        JSON_ARRAY,   {NULL},                      contract_check_class, 0         },
    {"pre_existing",       JSON_STRING,  {"keep", "aside", "mirror"}, NULL,                 1         },
    {"delete_excluded",    JSON_TRUE,    {NULL},                      NULL,                 1         },
    {"map",                JSON_STRING,  {""},                        check_map,            0         },
    {"passwords",          JSON_STRING,  {"move", "lock"},            NULL,                 1         },
    {"quotas",             JSON_STRING,  {"keep", "off"},             NULL,                 1         },
    {"accounts",           JSON_STRING,  {"none"},                    files_check_accounts, 0         },
};

static json_t *option_default(const struct option_rule *r)
{
    if (r->type == JSON_TRUE)
        return json_false();
    if (r->type == JSON_STRING)
        return *r->choices[0] ? json_string(r->choices[0]) : NULL; /* "": it is left out */
    return json_integer(0);
}

static int choice_of(const struct option_rule *r, const char *value)
{
    for (int i = 0; i < 3; i++)
        if (r->choices[i] && strcmp(r->choices[i], value) == 0)
            return i;
    return -1;
}

static int64_t most(const struct option_rule *r)
{
    if (r->most)
        return r->most;
    if (strcmp(r->name, "lock_wait") == 0)
        return MAX_LOCK_WAIT;
    return strcmp(r->name, "max_source_latency") == 0 ? MAX_LATENCY_MS : MAX_LANES;
}

static int refuse_choice(const struct option_rule *r, struct fault *reterr)
{
    bool three = r->choices[2] != NULL;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: must be \"%s\"%s%s%s or \"%s\"",
                     r->name, r->choices[0], three ? ", \"" : "", three ? r->choices[1] : "",
                     three ? "\"" : "", r->choices[three ? 2 : 1]);
}

static bool is_list(const json_t *v)
{
    size_t i;
    const json_t *one;
    json_array_foreach(v, i, one)
    {
        if (!json_is_string(one))
            return false;
    }
    return json_is_array(v);
}

static int check_items(const struct option_rule *r, const json_t *list, struct fault *reterr)
{
    size_t i;
    const json_t *one;
    struct fault why = {.err = 0};
    json_array_foreach(list, i, one)
    {
        if (r->check(json_string_value(one), &why) < 0)
            return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: %.200s", r->name,
                             why.text);
    }
    return 0;
}

static int check_option(const struct option_rule *r, const json_t *v, struct fault *reterr)
{
    if (r->type == JSON_TRUE && !json_is_boolean(v))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: must be true or false",
                         r->name);
    if (r->type == JSON_INTEGER &&
        (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > most(r)))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: must be a number, 0 to %lld",
                         r->name, (long long)most(r));
    if (r->type == JSON_ARRAY && !is_list(v))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: must be a list of texts",
                         r->name);
    if (r->type == JSON_ARRAY && r->check)
        return check_items(r, v, reterr);
    if (r->type == JSON_STRING && r->check)
        return r->check(json_is_string(v) ? json_string_value(v) : "", reterr);
    if (r->type == JSON_STRING && (!json_is_string(v) || choice_of(r, json_string_value(v)) < 0))
        return refuse_choice(r, reterr);
    return 0;
}

static const struct option_rule *find_rule(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(option_rules); i++)
        if (strcmp(option_rules[i].name, name) == 0)
            return &option_rules[i];
    return NULL;
}

int files_check_options(json_t *options, struct fault *reterr)
{
    const char *key;
    json_t *value;
    json_object_foreach(options, key, value)
    {
        const struct option_rule *r = find_rule(key);
        if (!r) {
            CLEANUP(mem_free) char *shown = text_printable(key, strnlen(key, 64));
            return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: unknown key", shown);
        }
        int rc = check_option(r, value, reterr);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < ARRAY_SIZE(option_rules); i++)
        if (!json_object_get(options, option_rules[i].name) && option_rules[i].type != JSON_ARRAY &&
            !option_rules[i].most)
            (void)json_object_set_new(options, option_rules[i].name,
                                      option_default(&option_rules[i]));
    return files_check_filter(options, reterr);
}

int files_choice(const char *option, const char *value)
{
    return choice_of(find_rule(option), value);
}
