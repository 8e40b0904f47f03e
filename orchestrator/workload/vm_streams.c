/* vm_streams: see vm_streams.h. */
#include "orchestrator/workload/vm_streams.h"

#define LIBVIRT_SINCE 9004000 /* the first that compresses several streams by zstd */
#define QEMU_SINCE 8000000    /* before it streams that were compressed could hang at the end */
#define SOME 4                /* that are taken without being asked for */
#define CPUS_LEAST 8          /* of each host: they take SOME of them on both sides */
#define MEMORY_LEAST (UINT64_C(1) << 30)
#define RATE_MOST (UINT64_C(1) << 30) /* a link that carries more waits for the compressor */

static bool is_able(const json_t *host)
{
    return vm_number(host, "libvirt_version") >= LIBVIRT_SINCE &&
           vm_number(host, "hypervisor_version") >= QEMU_SINCE;
}

static bool has_spare(const json_t *host)
{
    return is_able(host) && vm_number(host, "cpus") >= CPUS_LEAST;
}

static bool are_asked_for(const struct vm_facts *f)
{
    return vm_number(f->options, "streams") > 1;
}

const char *vm_streams_lack(const struct vm_facts *f)
{
    if (!are_asked_for(f))
        return NULL;
    if (!is_able(json_object_get(f->look, "host")))
        return f->from;
    return is_able(json_object_get(f->check, "host")) ? NULL : f->to;
}

/* Where post-copy is allowed it is the surer measure, and the two do not go together. */
uint32_t vm_streams(const struct vm_facts *f, const struct vm_type *t, const struct vm_load *l)
{
    if (!vm_type_has(t, "migrate"))
        return 0;
    if (json_object_get(f->options, "streams"))
        return are_asked_for(f) ? (uint32_t)vm_number(f->options, "streams") : 0;
    bool gains = l->memory_bytes >= MEMORY_LEAST && l->rate <= RATE_MOST;
    return gains && !vm_flag(f->options, "postcopy") &&
                   has_spare(json_object_get(f->look, "host")) &&
                   has_spare(json_object_get(f->check, "host"))
               ? SOME
               : 0;
}
