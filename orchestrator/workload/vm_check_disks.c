/* vm_check_disks: the checks of a machine's disks. Headers of images are written by guests: what
 * one names has to lie where images lie. Main thread, pure. */
#include <string.h>

#include "common/base/text.h"
#include "orchestrator/workload/vm_chain.h"
#include "orchestrator/workload/vm_checks_priv.h"

#define each_disk(f, i, disk) json_array_foreach(json_object_get(vm_domain(f), "disks"), i, disk)

static bool is_one_of(const char *s, const char *const *list)
{
    for (size_t i = 0; list[i]; i++)
        if (strcmp(s, list[i]) == 0)
            return true;
    return false;
}

/* Can it be seen at all what the disk is? */
void vm_check_storage(struct vm_ctx *c)
{
    static const char *const known[] = {"file", "block", "network", NULL};
    size_t i;
    const json_t *disk;
    each_disk(c->f, i, disk)
    {
        if (!vm_is_disk(disk))
            continue;
        if (!is_one_of(vm_text(disk, "storage"), known))
            vm_say(c, VM_FAIL, "%s is of storage that is not looked into (%s)",
                   vm_text(disk, "target"), vm_text(disk, "storage"));
        if (vm_to_library(c->f) && strcmp(vm_text(disk, "storage"), "file") != 0)
            vm_say(c, VM_FAIL, "%s is no file (%s): a library holds files alone",
                   vm_text(disk, "target"), vm_text(disk, "storage"));
        if (vm_flag(disk, "transient"))
            vm_say(c, VM_FAIL, "%s forgets what is written to it when the machine ends",
                   vm_text(disk, "target"));
    }
}

void vm_check_physical(struct vm_ctx *c)
{
    size_t i;
    const json_t *disk;
    each_disk(c->f, i, disk)
    {
        if (strcmp(vm_text(disk, "device"), "lun") == 0)
            vm_say(c, VM_FAIL, "%s is a device of its host that takes commands as it is (lun)",
                   vm_text(disk, "target"));
    }
}

/* What all disks that would stand on the same file system may grow to, together. */
static uint64_t wanted_on(const struct vm_facts *f, const char *group)
{
    uint64_t sum = 0;
    size_t i;
    const json_t *disk;
    each_disk(f, i, disk)
    {
        const json_t *there = vm_arrival(f, vm_text(disk, "target"));
        if (vm_is_disk(disk) && !vm_is_shared(f, disk) &&
            strcmp(vm_text(there, "group"), group) == 0)
            sum += vm_number(disk, "virtual_bytes");
    }
    if (strcmp(vm_text(vm_arrival(f, "saved"), "group"), group) == 0)
        sum += vm_number(vm_machine(f), "saved_bytes");
    return sum + vm_chain_lacking(f, group);
}

void vm_check_space(struct vm_ctx *c)
{
    size_t i;
    const json_t *disk;
    char want[16], have[16];
    each_disk(c->f, i, disk)
    {
        const json_t *there = vm_arrival(c->f, vm_text(disk, "target"));
        if (!vm_is_disk(disk) || vm_is_shared(c->f, disk))
            continue;
        if (!there) {
            vm_say(c, VM_UNKNOWN, "where %s would be was not told", vm_text(disk, "target"));
            continue;
        }
        uint64_t need = wanted_on(c->f, vm_text(there, "group")) + c->f->arriving_disk;
        text_bytes(need, want);
        text_bytes(vm_number(there, "free_bytes"), have);
        vm_say(c, need > vm_number(there, "free_bytes") ? VM_FAIL : VM_PASS,
               "its disks may grow to %s, %s are free for %s", want, have, vm_text(there, "path"));
    }
}

void vm_check_cache(struct vm_ctx *c)
{
    static const char *const safe[] = {"", "default", "none", "directsync", NULL};
    size_t i;
    const json_t *disk;
    each_disk(c->f, i, disk)
    {
        if (vm_is_disk(disk) && vm_is_shared(c->f, disk) && !vm_flag(disk, "read_only") &&
            !is_one_of(vm_text(disk, "cache"), safe))
            vm_say(c, VM_WARN, "%s is shared and written through its host's cache (%s)",
                   vm_text(disk, "target"), vm_text(disk, "cache"));
    }
}

/* A device of larger sectors takes nothing smaller: what its guest writes in small ones would be
 * read, changed and written again, and is torn by a power cut. */
static void check_one_sector(struct vm_ctx *c, const json_t *disk, const json_t *image,
                             const json_t *there)
{
    static const char *const direct[] = {"none", "directsync", NULL};
    unsigned a = (unsigned)vm_number(image, "sector"), b = (unsigned)vm_number(there, "sector");
    bool device = vm_flag(there, "block") || vm_flag(there, "device");
    if (device && (!a || !b))
        vm_say(c, VM_WARN, "%s: which sectors the device %s has cannot be told",
               vm_text(disk, "target"), vm_text(there, "path"));
    if (!a || !b || a == b)
        return;
    if (device)
        vm_say(c, b > a ? VM_FAIL : VM_WARN,
               "%s: sectors of %u bytes at the source, of %u on the device %s",
               vm_text(disk, "target"), a, b, vm_text(there, "path"));
    else if (b > a && is_one_of(vm_text(disk, "cache"), direct))
        vm_say(c, VM_WARN,
               "%s is written past its host's cache (%s): in sectors of %u bytes at the source, of "
               "%u below %s",
               vm_text(disk, "target"), vm_text(disk, "cache"), a, b, vm_text(there, "path"));
}

void vm_check_sector(struct vm_ctx *c)
{
    size_t i;
    const json_t *disk;
    each_disk(c->f, i, disk)
    {
        const json_t *there = vm_arrival(c->f, vm_text(disk, "target"));
        if (vm_is_disk(disk) && there && !vm_is_shared(c->f, disk))
            check_one_sector(c, disk, json_array_get(vm_images(c->f, disk), 0), there);
    }
}

void vm_check_shared(struct vm_ctx *c)
{
    size_t i, shared = 0, own = 0;
    const json_t *disk;
    each_disk(c->f, i, disk)
    {
        if (!vm_is_disk(disk))
            continue;
        shared += vm_is_shared(c->f, disk);
        own += !vm_is_shared(c->f, disk);
        const json_t *there = vm_arrival(c->f, vm_text(disk, "target"));
        const json_t *image = json_array_get(vm_images(c->f, disk), 0);
        if (vm_flag(there, "exists") && !vm_flag(there, "seen") && !vm_flag(there, "device") &&
            (vm_flag(image, "shared") || vm_flag(image, "block")))
            vm_say(c, VM_FAIL,
                   "%s: something lies at %s there, and it is not what the source has there",
                   vm_text(disk, "target"), vm_text(there, "path"));
    }
    vm_say(c, VM_PASS, "%zu of its disks both hosts see, %zu only the source; a mark will prove it",
           shared, own);
}

/* Who could start it next is another matter than whether it can move. */
void vm_check_reach(struct vm_ctx *c)
{
    size_t i;
    const json_t *disk;
    each_disk(c->f, i, disk)
    {
        const json_t *there = vm_arrival(c->f, vm_text(disk, "target"));
        const json_t *image = json_array_get(vm_images(c->f, disk), 0);
        bool had = vm_flag(image, "shared") || vm_flag(image, "block");
        bool has = vm_flag(there, "shared") || vm_flag(there, "block");
        if (!vm_is_disk(disk) || !there || had == has)
            continue;
        if (had)
            vm_say(c, VM_WARN,
                   "%s leaves storage that other hosts may see (%s): afterwards %s alone has it",
                   vm_text(disk, "target"), vm_text(image, "file_system"), c->f->to);
        else
            vm_say(c, VM_PASS, "%s comes to storage that other hosts may see (%s)",
                   vm_text(disk, "target"), vm_text(there, "file_system"));
    }
}

/* An image in the middle names the next one: a copy of it elsewhere would name the wrong one. */
static bool is_named_right(const struct vm_facts *f, const json_t *image, const json_t *next)
{
    const char *name = vm_text(image, "backing"), *path = vm_text(next, "path");
    const char *there = vm_text(vm_chain_arrival(f, path), "path");
    return *name != '/' || strcmp(there, path) == 0;
}

static void check_one_below(struct vm_ctx *c, const json_t *disk, const json_t *image)
{
    const char *target = vm_text(disk, "target"), *path = vm_text(image, "path");
    const json_t *there = vm_chain_arrival(c->f, path);
    if (!vm_chain_goes_along(c->f, disk)) {
        if (vm_is_shared(c->f, disk) && !vm_flag(there, "seen"))
            vm_say(c, VM_FAIL, "%s: both hosts see it, but %s, which it stands on, is not at %s",
                   target, path, c->f->to);
        return;
    }
    if (!there)
        vm_say(c, VM_UNKNOWN, "%s: where %s would be was not told", target, path);
    else if (vm_flag(there, "exists") && !vm_flag(there, "seen"))
        vm_say(c, VM_FAIL, "%s: something else lies where %s would be: %s", target, path,
               vm_text(there, "path"));
    else
        vm_say(c, VM_PASS, "%s stands on %s: %s", target, path,
               vm_flag(there, "exists") ? "the destination has one of that name and size"
                                        : "it goes along, once for all that stand on it");
}

static void check_below(struct vm_ctx *c, const json_t *disk)
{
    const json_t *images = vm_images(c->f, disk);
    size_t n = json_array_size(images);
    if (vm_to_library(c->f) && !vm_flag(c->f->options, "flatten"))
        vm_say(c, VM_FAIL, "%s stands on %s: what lies in a library stands on nothing else",
               vm_text(disk, "target"), vm_text(json_array_get(images, 1), "path"));
    if (vm_flag(c->f->options, "flatten") && vm_number(vm_domain(c->f), "snapshots") > 0)
        vm_say(c, VM_FAIL, "%s: its snapshots would be lost in one flat image",
               vm_text(disk, "target"));
    for (size_t k = 1; k < n && !vm_to_library(c->f); k++) {
        const json_t *image = json_array_get(images, k), *next = json_array_get(images, k + 1);
        check_one_below(c, disk, image);
        if (next && vm_chain_goes_along(c->f, disk) && !is_named_right(c->f, image, next))
            vm_say(c, VM_FAIL, "%s: %s names %s by a path that would not be its own there",
                   vm_text(disk, "target"), vm_text(image, "path"), vm_text(next, "path"));
    }
}

void vm_check_chain(struct vm_ctx *c)
{
    size_t i, k;
    const json_t *disk, *image;
    each_disk(c->f, i, disk)
    {
        json_array_foreach(vm_images(c->f, disk), k, image)
        {
            if (*vm_text(image, "trouble"))
                vm_say(c, VM_FAIL, "%s: %s: %s", vm_text(disk, "target"), vm_text(image, "path"),
                       vm_text(image, "trouble"));
            else if (vm_flag(image, "encrypted"))
                vm_say(c, VM_FAIL, "%s: %s is encrypted by its format", vm_text(disk, "target"),
                       vm_text(image, "path"));
        }
        if (vm_is_disk(disk) && vm_chain_depth(c->f, disk) > 0)
            check_below(c, disk);
    }
}

static bool in_definition(const json_t *disk, const char *path)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(disk, "chain"), i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), path) == 0)
            return true;
    }
    return false;
}

static bool beside(const char *a, const char *b)
{
    const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
    return x && y && x - a == y - b && strncmp(a, b, (size_t)(x - a)) == 0;
}

/* images[k] was named by the header of the one above it. */
static void check_named(struct vm_ctx *c, const json_t *disk, const json_t *above,
                        const json_t *image)
{
    const char *path = vm_text(image, "path"), *target = vm_text(disk, "target");
    if (!*vm_text(above, "backing_format"))
        vm_say(c, VM_FAIL, "%s: the header of %s does not say of which format %s is", target,
               vm_text(above, "path"), path);
    if (!vm_flag(image, "in_pool") && !beside(vm_text(above, "path"), path) &&
        !in_definition(disk, path))
        vm_say(c, VM_FAIL,
               "%s: the header of %s names %s, which lies in no storage pool and not beside it",
               target, vm_text(above, "path"), path);
}

void vm_check_header(struct vm_ctx *c)
{
    size_t i, k;
    const json_t *disk, *image;
    each_disk(c->f, i, disk)
    {
        const json_t *images = vm_images(c->f, disk), *first = json_array_get(images, 0);
        if (strcmp(vm_text(disk, "format"), "raw") == 0 &&
            strcmp(vm_text(first, "format"), "qcow2") == 0)
            vm_say(c, VM_FAIL,
                   "%s is a raw disk that looks like qcow2: its guest may have written it",
                   vm_text(disk, "target"));
        json_array_foreach(images, k, image)
        {
            if (*vm_text(image, "data_file"))
                vm_say(c, VM_FAIL, "%s: the header of %s names another file for its data: %s",
                       vm_text(disk, "target"), vm_text(image, "path"),
                       vm_text(image, "data_file"));
            if (k > 0)
                check_named(c, disk, json_array_get(images, k - 1), image);
        }
    }
}

void vm_check_errors(struct vm_ctx *c)
{
    size_t i;
    const json_t *facts;
    const char *reason = vm_text(vm_machine(c->f), "reason");
    json_array_foreach(json_object_get(vm_machine(c->f), "disks"), i, facts)
    {
        if (*vm_text(facts, "error"))
            vm_say(c, VM_FAIL, "%s has an error: %s", vm_text(facts, "target"),
                   vm_text(facts, "error"));
        const json_t *image = json_array_get(json_object_get(facts, "images"), 0);
        if (vm_flag(image, "dirty") && strcmp(vm_text(vm_domain(c->f), "state"), "off") == 0)
            vm_say(c, VM_FAIL, "%s was not closed as it should be: check it with qemu-img check",
                   vm_text(image, "path"));
    }
    if (strstr(reason, "error") || strstr(reason, "failed"))
        vm_say(c, VM_FAIL, "the hypervisor says of it: %s", reason);
}
