/* shares_parts: what each share holds. Main thread, pure. */
#include "orchestrator/workload/shares_parts.h"

#include <stdint.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define PARTS_MAX 600
#define HISTOGRAM_MAX 64

size_t shares_part_len(const char *below)
{
    size_t n = strcspn(below, "%");
    if (!below[n])
        return n;
    while (n > 0 && below[n - 1] != '/')
        n--;
    return n > 0 ? n - 1 : 0;
}

bool shares_is_part(const Godwit__Share *s)
{
    return s->inside && *s->path && !s->missing;
}

static void add(ProtobufCBinaryData *list, size_t *n, const char *below)
{
    size_t len = shares_part_len(below);
    for (size_t i = 0; i < *n; i++)
        if (list[i].len == len && memcmp(list[i].data, below, len) == 0)
            return;
    if (*n == PARTS_MAX)
        return;
    memcpy(&list[*n].data, &below, sizeof below);
    list[(*n)++].len = len;
}

ProtobufCBinaryData *shares_parts(const Godwit__SharesInventory *inv, size_t *retn)
{
    ProtobufCBinaryData *list = xcalloc(PARTS_MAX, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < inv->n_shares; i++)
        if (shares_is_part(inv->shares[i]))
            add(list, &n, inv->shares[i]->below);
    for (size_t i = 0; i < inv->n_exports; i++)
        if (inv->exports[i]->inside)
            add(list, &n, inv->exports[i]->below);
    *retn = n;
    return list;
}

static json_t *number(uint64_t v)
{
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *part_json(const Godwit__InventoryPart *p)
{
    json_t *o = json_object(), *sizes = json_array();
    CLEANUP(mem_free) char *path = text_printable(p->path.data, p->path.len);
    for (size_t i = 0; i < p->n_size_histogram && i < HISTOGRAM_MAX; i++)
        (void)json_array_append_new(sizes, number(p->size_histogram[i]));
    (void)json_object_set_new(o, "folder", json_string(path));
    (void)json_object_set_new(o, "files", number(p->files));
    (void)json_object_set_new(o, "folders", number(p->folders));
    (void)json_object_set_new(o, "bytes", number(p->bytes));
    (void)json_object_set_new(o, "allocated_bytes", number(p->allocated_bytes));
    (void)json_object_set_new(o, "size_histogram", sizes);
    if (p->files) {
        (void)json_object_set_new(o, "newest_ms", json_integer((json_int_t)p->newest_ms));
        (void)json_object_set_new(o, "oldest_ms", json_integer((json_int_t)p->oldest_ms));
    }
    (void)json_object_set_new(o, "cold_bytes_1y", number(p->cold_bytes_1y));
    (void)json_object_set_new(o, "cold_bytes_3y", number(p->cold_bytes_3y));
    (void)json_object_set_new(o, "cold_bytes_5y", number(p->cold_bytes_5y));
    return o;
}

json_t *shares_parts_json(const Godwit__InventoryResult *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_parts && i < PARTS_MAX; i++)
        (void)json_array_append_new(list, part_json(r->parts[i]));
    return list;
}

static json_t *find(const json_t *parts, const char *folder)
{
    json_t *one = NULL;
    size_t i = 0;
    json_array_foreach((json_t *)(uintptr_t)parts, i, one)
    {
        const char *path = json_string_value(json_object_get(one, "folder"));
        if (path && strcmp(path, folder) == 0)
            return one;
    }
    return NULL;
}

static json_t *list_with(const json_t *list, const json_t *parts)
{
    json_t *ret = json_array(), *one = NULL;
    size_t i = 0;
    json_array_foreach((json_t *)(uintptr_t)list, i, one)
    {
        const char *folder = json_string_value(json_object_get(one, "folder"));
        json_t *copy = json_copy(one), *part = folder ? find(parts, folder) : NULL;
        if (part)
            (void)json_object_set(copy, "counted", part);
        (void)json_array_append_new(ret, copy);
    }
    return ret;
}

json_t *shares_with_parts(const json_t *shares, const json_t *parts)
{
    json_t *all = json_copy((json_t *)(uintptr_t)shares);
    (void)json_object_set_new(all, "list", list_with(json_object_get(shares, "list"), parts));
    (void)json_object_set_new(all, "exports", list_with(json_object_get(shares, "exports"), parts));
    return all;
}
