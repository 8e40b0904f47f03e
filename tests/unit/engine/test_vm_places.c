/* test_vm_places: plans that name a place of their own for a machine's disks: a library folder, to
 * which a copy goes, and devices. And what is told of a machine without stopping it. */
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/vm_plan.h"
#include "orchestrator/workload/vm_types.h"
#include "tests/unit/engine/vm_facts.h"
#include "tests/unit/test.h"

#define RUNNING .state = "running"
#define OFF .state = "off"
#define LIBRARY .options = "{\"library\": \"/srv/library\"}"
#define TO_DEVICE(more) .options = "{\"devices\": {\"vda\": \"/dev/vg0/web\"}" more "}"
#define RAW                                                                                        \
    .patch = "{\"machine\": {\"domain\": {\"disks\": [{\"target\": \"vda\", \"device\": "          \
             "\"disk\", \"storage\": \"file\", \"source\": \"/images/web.raw\", \"format\": "      \
             "\"raw\", \"virtual_bytes\": 1000}]}, \"disks\": [{\"target\": \"vda\", "             \
             "\"images\": [{\"path\": \"/images/web.raw\", \"format\": \"raw\", "                  \
             "\"real_bytes\": 1000}]}]}}"
#define ON_DEVICE                                                                                  \
    .patch_check =                                                                                 \
        "{\"arrivals\": [{\"target\": \"vda\", \"path\": \"/dev/vg0/web\", \"file_system\": "      \
        "\"device\", \"group\": \"/dev/vg0/web\", \"free_bytes\": 9000000000, \"exists\": true, "  \
        "\"block\": true, \"device\": true}]}"
#define CHAIN                                                                                      \
    .patch = "{\"machine\": {\"disks\": [{\"target\": \"vda\", \"images\": [{\"path\": "           \
             "\"/images/web.qcow2\", \"backing\": \"b\", \"backing_format\": \"qcow2\", "          \
             "\"real_bytes\": 1000}, {\"path\": \"/images/b\", \"format\": \"qcow2\", "            \
             "\"in_pool\": true, \"real_bytes\": 5000000}]}]}}"

static void show(const char *name, const json_t *plan)
{
    CLEANUP(mem_free) char *text = json_dumps(plan, JSON_INDENT(1));
    print_message("%s: %s\n", name, text);
}

static void a_copy_goes_into_a_library(void **state)
{
    static const struct {
        const char *name;
        struct vm_case m;
        const char *check; /* that stops it; NULL: none does */
        const char *text;  /* in its evidence */
    } cases[] = {
        {"off",                    {OFF, LIBRARY},                                              NULL,    NULL                 },
        {"also where both see it",
         {OFF, LIBRARY, .from_fs = "nfs", .to_fs = "nfs", .same = true},
         NULL,                                                                                           NULL                 },
        {"whatever the processor",
         {OFF, LIBRARY,
          .patch_check = "{\"host\": {\"memory_free_bytes\": 1, \"uuid\": \"AAAA\"}}"},
         NULL,                                                                                           NULL                 },
        {"running",                {RUNNING, LIBRARY},                                          "quiet", "only a machine that"},
        {"saved",
         {OFF, LIBRARY,
          .patch = "{\"machine\": {\"saved\": \"/s\", \"domain\": {\"managed_save\": true}}}"},
         "quiet",                                                                                        "power cut"          },
        {"a LUN",
         {OFF, LIBRARY,
          .patch = "{\"machine\": {\"domain\": {\"disks\": [{\"target\": \"vda\", \"device\": "
                   "\"disk\", \"storage\": \"block\", \"source\": \"/dev/sdb\"}]}}}"},
         "storage",                                                                                      "files alone"        },
        {"on other images",        {OFF, LIBRARY, CHAIN},                                       "chain", "on nothing else"    },
        {"as one image",
         {OFF, CHAIN, .options = "{\"library\": \"/srv/library\", \"flatten\": true}"},
         NULL,                                                                                           NULL                 },
        {"something lies there",
         {OFF, LIBRARY,
          .patch_check = "{\"findings\": [{\"check\": \"disk-absent\", \"target\": \"vda\", "
                         "\"result\": \"fail\", \"text\": \"something else lies there\"}]}"},
         "disk-absent",                                                                                  "something else"     },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *plan = vm_facts_plan(&cases[i].m);
        const char *id = cases[i].check;
        const json_t *check = vm_check_of(json_object_get(plan, "checks"), id ? id : "");
        if (vm_flag(plan, "ok") != !id)
            show(cases[i].name, plan);
        assert_int_equal(vm_flag(plan, "ok"), !id);
        if (id) {
            assert_non_null(strstr(vm_text(check, "evidence"), cases[i].text));
            assert_true(*vm_text(check, "remedy"));
        } else {
            assert_string_equal(vm_text(plan, "type"), "library");
            assert_string_equal(vm_text(json_object_get(plan, "move"), "library"), "/srv/library");
            assert_int_equal(vm_number(plan, "memory_bytes"), 0); /* it takes none there */
            assert_null(vm_check_of(json_object_get(plan, "checks"), "cpu-start"));
            assert_int_equal(vm_count(plan, "refused"), 0); /* no move was asked for */
        }
        json_decref(plan);
    }
    struct vm_case here = {OFF, LIBRARY, .to = "kvm1"};
    json_t *plan = vm_facts_plan(&here);
    assert_non_null(strstr(vm_facts_refusal(plan, "library"), "another host"));
    json_decref(plan);
}

static void a_disk_goes_onto_a_device(void **state)
{
    static const struct {
        const char *name;
        struct vm_case m;
        const char *want;    /* NULL: none is left */
        const char *refused; /* a better one */
        const char *why;
    } cases[] = {
        {"off",           {OFF, RAW, ON_DEVICE, TO_DEVICE("")},                        "cold",       NULL,            NULL },
        {"running",
         {RUNNING, RAW, ON_DEVICE, TO_DEVICE(", \"stop\": true, \"type\": \"warm\"")},
         "warm",                                                                                     "live-vsm",
         "own"                                                                                                             },
        {"at best",       {RUNNING, RAW, ON_DEVICE, TO_DEVICE("")},                    "warm-quick", "live-vsm",      "own"},
        {"from a device", {OFF, .block = true, ON_DEVICE, TO_DEVICE("")},              "cold",       NULL,            NULL },
        {"at home",
         {OFF, RAW, ON_DEVICE, TO_DEVICE(", \"pool\": \"images\""), .to = "kvm1"},
         NULL,                                                                                       "quick-storage",
         "pools"                                                                                                           },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *plan = vm_facts_plan(&cases[i].m);
        const json_t *disk =
            json_array_get(json_object_get(json_object_get(plan, "move"), "disks"), 0);
        const char *why = cases[i].refused ? vm_facts_refusal(plan, cases[i].refused) : NULL;
        if (strcmp(vm_text(plan, "type"), cases[i].want ? cases[i].want : "") != 0)
            show(cases[i].name, plan);
        assert_string_equal(vm_text(plan, "type"), cases[i].want ? cases[i].want : "");
        if (cases[i].want) {
            assert_true(vm_flag(disk, "device") && vm_flag(disk, "to_device"));
            assert_string_equal(vm_text(disk, "path"), "/dev/vg0/web");
        }
        if (cases[i].refused)
            assert_true(why && strstr(why, cases[i].why));
        json_decref(plan);
    }
}

/* From a device into a pool: its content goes as blocks, what comes of it is a file. */
static void a_device_becomes_a_file(void **state)
{
    struct vm_case m = {OFF, .block = true, .options = "{\"pool\": \"images\"}"};
    (void)state;
    json_t *plan = vm_facts_plan(&m);
    const json_t *disk = json_array_get(json_object_get(json_object_get(plan, "move"), "disks"), 0);
    assert_true(vm_flag(plan, "ok"));
    assert_true(vm_flag(disk, "device"));
    assert_false(vm_flag(disk, "to_device"));
    json_decref(plan);
}

static void options_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        const char *options;
        bool good;
    } cases[] = {
        {"{\"library\": \"/srv/library\"}",             true },
        {"{\"library\": \"srv\"}",                      false},
        {"{\"library\": \"/\"}",                        false},
        {"{\"library\": 7}",                            false},
        {"{\"devices\": {\"vda\": \"/dev/vg0/web\"}}",  true },
        {"{\"devices\": {\"vda\": \"\"}}",              false},
        {"{\"devices\": {\"../x\": \"/dev/vg0/web\"}}", false},
        {"{\"devices\": [\"/dev/vg0/web\"]}",           false},
        {"{\"streams\": 16}",                           true },
        {"{\"streams\": 17}",                           false},
        {"{\"streams\": -1}",                           false},
        {"{\"streams\": 1, \"postcopy\": true}",        true },
        {"{\"streams\": 2, \"postcopy\": true}",        false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault why = {.err = 0};
        json_t *options = json_loads(cases[i].options, 0, NULL);
        assert_int_equal(vm_plan_check_options(options, &why) == 0, cases[i].good);
        json_decref(options);
    }
}

/* What no way keeps is said, and stops none. */
static void what_is_lost_is_named(void **state)
{
    struct vm_case m = {OFF, .patch = "{\"machine\": {\"domain\": {\"checkpoints\": 2}}}"};
    (void)state;
    json_t *plan = vm_facts_plan(&m);
    const json_t *check = vm_check_of(json_object_get(plan, "checks"), "checkpoints");
    assert_true(vm_flag(plan, "ok"));
    assert_string_equal(vm_text(check, "result"), "warn");
    assert_non_null(strstr(vm_text(check, "evidence"), "it has 2"));
    assert_non_null(strstr(vm_text(check, "evidence"), "whole one"));
    assert_true(*vm_text(check, "remedy"));
    json_decref(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_goes_into_a_library),
        cmocka_unit_test(a_disk_goes_onto_a_device),
        cmocka_unit_test(a_device_becomes_a_file),
        cmocka_unit_test(options_that_make_no_sense_are_refused),
        cmocka_unit_test(what_is_lost_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
