/* vm_chain: see vm_chain.h. */
#include "orchestrator/workload/vm_chain.h"

#include <string.h>

#include "orchestrator/workload/vm_checks_priv.h"

size_t vm_chain_depth(const struct vm_facts *f, const json_t *disk)
{
    size_t n = json_array_size(vm_images(f, disk));
    return n > 0 ? n - 1 : 0;
}

bool vm_chain_goes_along(const struct vm_facts *f, const json_t *disk)
{
    return vm_is_disk(disk) && !vm_is_shared(f, disk) && vm_chain_depth(f, disk) > 0 &&
           !vm_flag(f->options, "flatten");
}

const json_t *vm_chain_arrival(const struct vm_facts *f, const char *source)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(f->check, "bases"), i, one)
    {
        if (strcmp(vm_text(one, "source"), source) == 0)
            return one;
    }
    return NULL;
}

json_t *vm_chain_names(const struct vm_facts *f, const json_t *disk)
{
    json_t *list = json_array();
    size_t i;
    const json_t *image;
    json_array_foreach(vm_images(f, disk), i, image)
    {
        if (i > 0)
            (void)json_array_append_new(list, json_string(vm_text(image, "path")));
    }
    return list;
}

static bool has(const json_t *list, const char *source)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        if (strcmp(vm_text(one, "source"), source) == 0)
            return true;
    }
    return false;
}

static void add_chain(const struct vm_facts *f, const json_t *disk, json_t *list)
{
    const json_t *images = vm_images(f, disk);
    for (size_t i = json_array_size(images); i-- > 1;) {
        const json_t *image = json_array_get(images, i);
        const char *source = vm_text(image, "path");
        const char *path = vm_text(vm_chain_arrival(f, source), "path");
        if (!has(list, source))
            (void)json_array_append_new(
                list, json_pack("{s:s,s:s,s:s,s:I}", "source", source, "path",
                                *path ? path : source, "format", vm_text(image, "format"), "bytes",
                                (json_int_t)vm_number(image, "real_bytes")));
    }
}

json_t *vm_chain_bases(const struct vm_facts *f)
{
    json_t *list = json_array();
    size_t i;
    const json_t *disk;
    json_array_foreach(json_object_get(vm_domain(f), "disks"), i, disk)
    {
        if (vm_chain_goes_along(f, disk))
            add_chain(f, disk, list);
    }
    return list;
}

uint64_t vm_chain_lacking(const struct vm_facts *f, const char *group)
{
    json_t *bases = vm_chain_bases(f), *one;
    uint64_t sum = 0;
    size_t i;
    json_array_foreach(bases, i, one)
    {
        const json_t *there = vm_chain_arrival(f, vm_text(one, "source"));
        if (!vm_flag(there, "exists") && (!group || strcmp(vm_text(there, "group"), group) == 0))
            sum += vm_number(one, "bytes");
    }
    json_decref(bases);
    return sum;
}
