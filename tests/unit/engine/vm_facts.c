/* vm_facts: see vm_facts.h. */
#include "tests/unit/engine/vm_facts.h"

#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/workload/vm_plan.h"
#include "tests/unit/test.h"

#define UUID "1f0b7c54-6a3c-4b1e-9a51-0f8f6d1d2c11"

static void lay_over(json_t *on, const char *patch)
{
    json_t *p = patch ? json_loads(patch, 0, NULL) : NULL;
    assert_true(!patch || json_is_object(p));
    if (p)
        assert_int_equal(json_object_update_recursive(on, p), 0);
    json_decref(p);
}

static json_t *stages(void)
{
    static const char *const all[] = {"reserve", "stop",  "seed",   "pause", "save",    "copy",
                                      "state",   "fence", "define", "start", "migrate", "answers",
                                      "drop",    "adopt", "forget", "shift", "bases",   "shelve"};
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        (void)json_array_append_new(list, json_string(all[i]));
    return list;
}

static bool is_shared_fs(const char *fs)
{
    return strcmp(fs, "nfs") == 0 || strcmp(fs, "ceph") == 0;
}

static json_t *host(const char *name, const char *uuid)
{
    return json_pack("{s:s,s:s,s:I,s:I,s:I}", "hostname", name, "uuid", uuid, "memory_free_bytes",
                     (json_int_t)8 << 30, "hypervisor_version", (json_int_t)10000002,
                     "libvirt_version", (json_int_t)11003000);
}

json_t *vm_facts_look(const struct vm_case *m)
{
    const char *fs = m->from_fs ? m->from_fs : "ext4";
    json_t *image = json_pack("{s:s,s:s,s:I,s:s,s:b,s:b,s:s,s:b}", "path", "/images/web.qcow2",
                              "format", "qcow2", "real_bytes", (json_int_t)100 << 20, "file_system",
                              m->block ? "device" : fs, "shared", is_shared_fs(fs) && !m->block,
                              "block", m->block, "trouble", "", "in_pool", true);
    json_t *disk =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:[]}", "target", "vda", "device", "disk",
                  "storage", m->block ? "block" : "file", "source", "/images/web.qcow2", "format",
                  "qcow2", "cache", "none", "virtual_bytes", (json_int_t)1 << 30, "chain");
    json_t *domain =
        json_pack("{s:s,s:s,s:s,s:b,s:I,s:I,s:[o],s:[],s:[],s:s}", "name", "web", "uuid", UUID,
                  "state", m->state ? m->state : "running", "persistent", true, "memory_bytes",
                  (json_int_t)512 << 20, "memory_now_bytes", (json_int_t)512 << 20, "disks", disk,
                  "host_devices", "file_systems", "trouble", "");
    json_t *look =
        json_pack("{s:o,s:{s:o,s:s,s:[{s:s,s:[o]}],s:b,s:I,s:s,s:s},s:o}", "host",
                  host("kvm1", "aaaa"), "machine", "domain", domain, "digest", "d1", "disks",
                  "target", "vda", "images", image, "dirty_known", true, "dirty_rate",
                  (json_int_t)1 << 20, "job", "", "reason", "", "stages", stages());
    assert_non_null(look);
    lay_over(look, m->patch);
    return look;
}

static json_t *findings(void)
{
    static const char *const ids[] = {
        "machine-type", "cpu",      "cpu-start", "pages",    "pool", "folder", "disk-absent",
        "media",        "firmware", "tpm",       "networks", "mtu",  "absent"};
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        (void)json_array_append_new(list,
                                    json_pack("{s:s,s:s,s:s,s:s}", "check", ids[i], "target", "",
                                              "result", "pass", "text", "it is as it should be"));
    return list;
}

static json_t *check_of(const struct vm_case *m)
{
    const char *fs = m->to_fs ? m->to_fs : "ext4";
    json_t *arrival =
        json_pack("{s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:I,s:s}", "target", "vda", "path",
                  "/images/web.qcow2", "pool", "images", "file_system", m->to_block ? "device" : fs,
                  "shared", is_shared_fs(fs), "block", m->to_block, "seen", m->same, "exists",
                  m->same, "free_bytes", (json_int_t)4 << 30, "group", "1");
    json_t *check = json_pack("{s:o,s:o,s:[o],s:o}", "host", host("kvm2", "bbbb"), "findings",
                              findings(), "arrivals", arrival, "stages", stages());
    assert_non_null(check);
    lay_over(check, m->patch_check);
    return check;
}

json_t *vm_facts_plan(const struct vm_case *m)
{
    json_t *look = vm_facts_look(m), *check = check_of(m);
    json_t *options = m->options ? json_loads(m->options, 0, NULL) : json_object();
    assert_non_null(options);
    struct vm_question q = {
        .word = "web",
        .facts = {.look = look,
                  .check = check,
                  .options = options,
                  .from = "kvm1",
                  .to = m->to ? m->to : "kvm2"},
        .rate = m->rate,
        .now_s = VM_FACTS_NOW_S
    };
    json_t *plan = vm_plan(&q);
    assert_non_null(plan);
    json_decref(look);
    json_decref(check);
    json_decref(options);
    return plan;
}

const char *vm_facts_refusal(const json_t *plan, const char *type)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(plan, "refused"), i, one)
    {
        if (strcmp(vm_text(one, "type"), type) == 0)
            return vm_text(one, "why");
    }
    return NULL;
}
