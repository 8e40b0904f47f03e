/* vm_options: what a request to plan moves of machines may say. Main thread, pure. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/vm_plan.h"
#include "orchestrator/workload/vm_streams.h"
#include "orchestrator/workload/vm_types.h"

static int refuse(struct fault *reterr, const char *key, const char *what)
{
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%.64s: %s", key, what);
}

static bool is_short_text(const json_t *v)
{
    return json_is_string(v) && json_string_length(v) <= 255;
}

static bool is_folder(const json_t *v)
{
    return is_short_text(v) && json_string_value(v)[0] == '/' && json_string_length(v) > 1;
}

static bool are_devices(const json_t *v)
{
    const char *target;
    json_t *path;
    if (!json_is_object(v) || json_object_size(v) > 64)
        return false;
    json_object_foreach((json_t *)(uintptr_t)v, target, path)
    {
        if (!is_folder(path) || !text_is_name(target, 32))
            return false;
    }
    return true;
}

static bool are_short_texts(const json_t *v)
{
    size_t i;
    const json_t *one;
    if (!json_is_array(v) || json_array_size(v) > 64)
        return false;
    json_array_foreach(v, i, one)
    {
        if (!is_short_text(one))
            return false;
    }
    return true;
}

static bool is_number(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= UINT32_MAX;
}

static bool is_size(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

static bool is_flag(const json_t *v)
{
    return json_is_boolean(v);
}

static bool is_streams(const json_t *v)
{
    return is_number(v) && json_integer_value(v) <= VM_STREAMS_MOST;
}

int vm_plan_check_options(json_t *options, struct fault *reterr)
{
    static const struct {
        const char *key;
        bool (*fits)(const json_t *v);
        const char *what;
    } known[] = {
        {"max_outage_ms",   is_number,       "must be milliseconds"      },
        {"max_duration_s",  is_number,       "must be seconds"           },
        {"stop_s",          is_number,       "must be seconds"           },
        {"keep_s",          is_number,       "must be seconds"           },
        {"arriving_disk",   is_size,         "must be bytes"             },
        {"arriving_memory", is_size,         "must be bytes"             },
        {"rate",            is_size,         "must be bytes a second"    },
        {"streams",         is_streams,      "must be 0 to 16"           },
        {"pool",            is_short_text,   "must be a pool's name"     },
        {"library",         is_folder,       "must be a folder's path"   },
        {"devices",         are_devices,     "must be paths by disk"     },
        {"type",            is_short_text,   "must be the name of a type"},
        {"answers",         is_short_text,   "must be arp or tcp ADDRESS"},
        {"stop",            is_flag,         "must be true or false"     },
        {"force_off",       is_flag,         "must be true or false"     },
        {"postcopy",        is_flag,         "must be true or false"     },
        {"own_tcp",         is_flag,         "must be true or false"     },
        {"flatten",         is_flag,         "must be true or false"     },
        {"override",        are_short_texts, "must be a list of checks"  },
    };
    const char *key;
    const json_t *v;
    json_object_foreach(options, key, v)
    {
        size_t i = 0;
        while (i < ARRAY_SIZE(known) && strcmp(known[i].key, key) != 0)
            i++;
        if (i == ARRAY_SIZE(known))
            return refuse(reterr, key, "unknown option");
        if (!known[i].fits(v))
            return refuse(reterr, key, known[i].what);
    }
    if (vm_number(options, "streams") > 1 && vm_flag(options, "postcopy"))
        return refuse(reterr, "streams", "do not go together with postcopy");
    const char *type = vm_text(options, "type");
    if (*type && !vm_type_named(type))
        return refuse(reterr, "type", "there is no such type of moving");
    return 0;
}
