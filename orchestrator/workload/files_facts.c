/* files_facts: result bodies as JSON, by a table of fields. Main thread. */
#include "orchestrator/workload/files_facts.h"

#include <stddef.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define HISTOGRAM_MAX 64

struct number_field {
    const char *name;
    size_t off;
};

#define FIELD(f)                                                                                   \
    {                                                                                              \
#f, offsetof(Godwit__InventoryResult, f)                                                   \
    }
/* All 64 bits wide. */
static const struct number_field inventory_fields[] = {
    FIELD(files),           FIELD(folders),         FIELD(symlinks),        FIELD(devices),
    FIELD(fifos),           FIELD(sockets),         FIELD(bytes),           FIELD(allocated_bytes),
    FIELD(hard_linked),     FIELD(sparse),          FIELD(with_acl),        FIELD(with_xattr),
    FIELD(with_capability), FIELD(setid),           FIELD(non_utf8),        FIELD(longest_path),
    FIELD(deepest),         FIELD(largest_folder),  FIELD(newest_ms),       FIELD(oldest_ms),
    FIELD(unreadable),      FIELD(fs_size),         FIELD(fs_used),         FIELD(peak_rss),
    FIELD(elapsed_ms),      FIELD(with_flags),      FIELD(with_project),    FIELD(with_nfs4_acl),
    FIELD(with_birth),      FIELD(oldest_birth_ms), FIELD(newest_birth_ms), FIELD(sealed),
    FIELD(shared_files),    FIELD(shared_bytes),    FIELD(left_out),        FIELD(cold_bytes_1y),
    FIELD(cold_bytes_3y),   FIELD(cold_bytes_5y),
};

/* Milliseconds since 1970, before it too. */
static const size_t inventory_times[] = {
    offsetof(Godwit__InventoryResult, newest_ms),
    offsetof(Godwit__InventoryResult, oldest_ms),
    offsetof(Godwit__InventoryResult, oldest_birth_ms),
    offsetof(Godwit__InventoryResult, newest_birth_ms),
};

/* Larger than JSON's integers can be: a lie of the agent, shown as the largest. */
static json_t *number(uint64_t v)
{
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *shown(const char *s)
{
    CLEANUP(mem_free) char *text = text_printable(s, strlen(s));
    return json_string(text);
}

json_t *files_inventory_json(const Godwit__InventoryResult *r)
{
    json_t *j = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(inventory_fields); i++) {
        uint64_t v = 0;
        memcpy(&v, (const char *)r + inventory_fields[i].off, sizeof v);
        bool is_time = false;
        for (size_t k = 0; k < ARRAY_SIZE(inventory_times); k++)
            is_time = is_time || inventory_fields[i].off == inventory_times[k];
        json_t *n = is_time ? json_integer((json_int_t)(int64_t)v) : number(v);
        (void)json_object_set_new(j, inventory_fields[i].name, n);
    }
    json_t *histogram = json_array();
    for (size_t i = 0; i < r->n_size_histogram && i < HISTOGRAM_MAX; i++)
        (void)json_array_append_new(histogram, number(r->size_histogram[i]));
    (void)json_object_set_new(j, "size_histogram", histogram);
    (void)json_object_set_new(j, "file_system", shown(r->file_system));
    return j;
}

json_t *files_prepare_json(const Godwit__PrepareResult *r)
{
    json_t *j = json_object();
    (void)json_object_set_new(j, "fs_free", number(r->fs_free));
    (void)json_object_set_new(j, "inodes_free", number(r->inodes_free));
    (void)json_object_set_new(j, "file_system", shown(r->file_system));
    (void)json_object_set_new(j, "empty", json_boolean(r->empty));
    (void)json_object_set_new(j, "has_xattr", json_boolean(r->has_xattr));
    (void)json_object_set_new(j, "has_acl", json_boolean(r->has_acl));
    if (r->aside_entries)
        (void)json_object_set_new(j, "aside_entries", number(r->aside_entries));
    (void)json_object_set_new(j, "privileged", json_boolean(r->privileged));
    return j;
}
