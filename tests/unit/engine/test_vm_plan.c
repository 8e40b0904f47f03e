/* test_vm_plan: which way a machine moves: what speaks against each way, what stops all of them,
 * when a plan is stale. The matrices of storage and of hosts are test_vm_matrix.c. */
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
#define CHAIN_ON(more)                                                                             \
    "{\"machine\": {\"disks\": [{\"target\": \"vda\", \"images\": [{\"path\": "                    \
    "\"/images/web.qcow2\", \"backing\": \"b\", \"backing_format\": \"qcow2\", \"real_bytes\": "   \
    "1000" more "}, {\"path\": \"/images/b\", \"format\": \"qcow2\", \"in_pool\": true, "          \
    "\"real_bytes\": 5000000}]}]}}"
#define CHAIN CHAIN_ON("")
#define BASE(more)                                                                                 \
    "{\"bases\": [{\"source\": \"/images/b\", \"path\": \"/images/b\", \"group\": \"1\"" more "}]" \
    "}"
#define BASE_ABSENT BASE("")
#define BASE_THERE BASE(", \"exists\": true, \"seen\": true")
#define BASE_OTHER BASE(", \"exists\": true")
#define STOP .options = "{\"stop\": true}"

static void what_speaks_against_a_way_is_said(void **state)
{
    static const struct {
        const char *name;
        struct vm_case m;
        const char *want;    /* NULL: none is left */
        const char *refused; /* a better one */
        const char *why;     /* in its reason */
    } cases[] = {
        {"a disk is local",                                         {RUNNING},                     "live-vsm", "live",         "the source alone"},
        {"snapshots keep it from moving while it runs",
         {RUNNING, .patch = "{\"machine\": {\"domain\": {\"snapshots\": 1}}}"},
         NULL,                                                                                                 "live-vsm",
         "snapshots"                                                                                                                             },
        {"and with leave it is shut down",
         {RUNNING, STOP, .patch = "{\"machine\": {\"domain\": {\"snapshots\": 1}}}"},
         "warm",                                                                                               "live-vsm",
         "snapshots"                                                                                                                             },
        {"it writes faster than can be sent",
         {RUNNING, .rate = 10 << 20, .patch = "{\"machine\": {\"dirty_rate\": 20971520}}"},
         "warm-quick",                                                                                         "live-vsm",
         "not come to an end"                                                                                                                    },
        {"what its processors can be slowed for goes live",
         {RUNNING, .rate = 15 << 20, .patch = "{\"machine\": {\"dirty_rate\": 20971520}}"},
         "live-vsm",                                                                                           "live",
         "the source alone"                                                                                                                      },
        {"a limit is lifted in time",
         {RUNNING, .rate = 100 << 20, .patch = "{\"machine\": {\"dirty_rate\": 39845888}}",
          .options = "{\"rate\": 31457280, \"max_outage_ms\": 350}"},
         "live-vsm",                                                                                           "live",
         "the source alone"                                                                                                                      },
        {"but it keeps what goes before from its promise",
         {RUNNING, .rate = 100 << 20, .options = "{\"rate\": 3145728, \"max_duration_s\": 100}"},
         NULL,                                                                                                 "live-vsm",
         "100 s are allowed"                                                                                                                     },
        {"unless somebody takes the risk",
         {RUNNING, .rate = 10 << 20, .patch = "{\"machine\": {\"dirty_rate\": 20971520}}",
          .options = "{\"override\": [\"convergence\"]}"},
         "live-vsm",                                                                                           "live",
         "the source alone"                                                                                                                      },
        {"unless post-copy is allowed",
         {RUNNING, .rate = 10 << 20, .options = "{\"postcopy\": true}",
          .patch = "{\"machine\": {\"dirty_rate\": 20971520}}"},
         "live-vsm",                                                                                           "live",
         "the source alone"                                                                                                                      },
        {"nothing keeps the promise",
         {RUNNING, .options = "{\"max_outage_ms\": 20}"},
         NULL,                                                                                                 "live-vsm",
         "20 ms are allowed"                                                                                                                     },
        {"it would take too long",
         {RUNNING, .rate = 2 << 20, .options = "{\"max_duration_s\": 60}"},
         NULL,                                                                                                 "live-vsm",
         "60 s are allowed"                                                                                                                      },
        {"a raw disk is copied while it is written, as any other",
         {RUNNING, .rate = 10 << 20, STOP,
          .patch =
              "{\"machine\": {\"dirty_rate\": 20971520, \"domain\": {\"snapshots\": 1, \"disks\": "
              "[{\"target\": \"vda\", \"device\": \"disk\", \"storage\": \"file\", \"source\": "
              "\"/images/web.raw\", \"format\": \"raw\", \"virtual_bytes\": 1000}]}, \"disks\": "
              "[{\"target\": \"vda\", \"images\": [{\"path\": \"/images/web.raw\", \"format\": "
              "\"raw\", \"real_bytes\": 1000}]}]}}"},
         "warm",                                                                                               "warm-quick",
         "snapshots"                                                                                                                             },
        {"the agent there is too old",
         {RUNNING, STOP,
          .patch_check = "{\"stages\": [\"reserve\", \"stop\", \"state\", \"copy\", \"fence\", "
                         "\"define\", \"start\", \"answers\", \"drop\", \"adopt\", \"forget\"]}"},
         "cold",                                                                                               "live-vsm",
         "kvm2 does not know how (migrate)"                                                                                                      },
        {"another one was asked for",
         {RUNNING, .options = "{\"stop\": true, \"type\": \"cold\"}"},
         "cold",                                                                                               "live-vsm",
         "--type cold"                                                                                                                           },
        {"a machine without a definition cannot be started anew",
         {RUNNING, STOP,
          .patch = "{\"machine\": {\"domain\": {\"snapshots\": 1, \"persistent\": false}}}"},
         NULL,                                                                                                 "cold",
         "outlives"                                                                                                                              },
        {"a disk on another image takes it along",
         {RUNNING, STOP, .patch = CHAIN, .patch_check = BASE_ABSENT},
         "live-vsm",                                                                                           "live",
         "the source alone"                                                                                                                      },
        {"but not by a way that knows only what was written since",
         {RUNNING, .patch = CHAIN, .patch_check = BASE_ABSENT,
          .options = "{\"stop\": true, \"type\": \"warm\"}"},
         NULL,                                                                                                 "warm",
         "--flatten would"                                                                                                                       },
        {"where the agent there knows nothing of bases",
         {OFF, .patch = CHAIN,
          .patch_check = "{\"bases\": [{\"source\": \"/images/b\", \"path\": \"/images/b\"}], "
                         "\"stages\": [\"reserve\", \"state\", \"copy\", \"fence\", \"define\", "
                         "\"drop\", \"adopt\", \"forget\"]}"},
         NULL,                                                                                                 "cold",
         "kvm2 does not know how (bases)"                                                                                                        },
        {"flattened it needs none",
         {OFF, .patch = CHAIN, .options = "{\"flatten\": true}",
          .patch_check = "{\"bases\": [{\"source\": \"/images/b\", \"path\": \"/images/b\"}], "
                         "\"stages\": [\"reserve\", \"state\", \"copy\", \"fence\", \"define\", "
                         "\"drop\", \"adopt\", \"forget\"]}"},
         "cold",                                                                                               "san",
         "the source alone"                                                                                                                      },
        {"its saved memory wants the processor too",
         {OFF,
          .patch =
              "{\"machine\": {\"saved\": \"/s/web.save\", \"domain\": {\"managed_save\": true}}}",
          .patch_check = "{\"host\": {\"hypervisor_version\": 7002000}}"},
         NULL,                                                                                                 "cold",
         "7.2.0"                                                                                                                                 },
        {"an older hypervisor takes no memory",
         {RUNNING, .patch_check = "{\"host\": {\"hypervisor_version\": 7002000}}"},
         NULL,                                                                                                 "live-vsm",
         "7.2.0"                                                                                                                                 },
        {"on its own host its storage moves",
         {RUNNING, .to = "kvm1", .options = "{\"pool\": \"fast\"}"},
         "live-storage",                                                                                       NULL,
         NULL                                                                                                                                    },
        {"on its own host and off",
         {OFF, .to = "kvm1", .options = "{\"pool\": \"fast\"}"},
         "quick-storage",                                                                                      NULL,
         NULL                                                                                                                                    },
        {"on its own host to nowhere",                              {RUNNING, .to = "kvm1"},       NULL,       "live-storage", "--pool"          },
        {"a shared disk written through a cache",
         {RUNNING, .from_fs = "nfs", .to_fs = "nfs", .same = true, STOP,
          .patch = "{\"machine\": {\"domain\": {\"disks\": [{\"target\": \"vda\", \"device\": "
                   "\"disk\", \"storage\": \"file\", \"source\": \"/images/web.qcow2\", "
                   "\"format\": \"qcow2\", \"cache\": \"writeback\"}]}}}"},
         "san",                                                                                                "live",
         "writeback"                                                                                                                             },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *plan = vm_facts_plan(&cases[i].m);
        const char *why = cases[i].refused ? vm_facts_refusal(plan, cases[i].refused) : "";
        if (strcmp(vm_text(plan, "type"), cases[i].want ? cases[i].want : "") != 0 || !why ||
            (cases[i].why && !strstr(why, cases[i].why)))
            print_message("%s: %s\n", cases[i].name, json_dumps(plan, JSON_INDENT(1)));
        assert_string_equal(vm_text(plan, "type"), cases[i].want ? cases[i].want : "");
        assert_non_null(why);
        if (cases[i].why)
            assert_non_null(strstr(why, cases[i].why));
        assert_int_equal(vm_flag(plan, "ok"), cases[i].want != NULL);
        json_decref(plan);
    }
}

#define FINDING(id, text)                                                                          \
    "{\"findings\": [{\"check\": \"" id                                                            \
    "\", \"target\": \"\", \"result\": \"fail\", \"text\": \"" text "\"}]}"

static void what_stops_every_way_names_its_remedy(void **state)
{
    static const struct {
        const char *id;
        unsigned point;
        struct vm_case m;
    } cases[] = {
        {"known",          0,  {.patch = "{\"machine\": {\"domain\": {\"trouble\": \"malformed\"}}}"}              },
        {"known",          0,  {.patch = "{\"open_move\": \"0123.1\"}"}                                            },
        {"machine-type",   1,  {.patch_check = FINDING("machine-type", "no such machine")}                         },
        {"hosts-distinct", 2,  {.patch_check = "{\"host\": {\"uuid\": \"AAAA\"}}"}                                 },
        {"hosts-distinct", 2,  {.patch_check = "{\"host\": {\"hostname\": \"KVM1\"}}"}                             },
        {"cpu-start",      3,  {.patch_check = FINDING("cpu-start", "missing features: svm")}                      },
        {"memory",         4,  {.patch_check = "{\"host\": {\"memory_free_bytes\": 1000}}"}                        },
        {"pages",          4,  {.patch_check = FINDING("pages", "none are free")}                                  },
        {"storage",
         5,                    {.patch = "{\"machine\": {\"domain\": {\"disks\": [{\"target\": \"vda\", \"device\": "
                   "\"disk\", \"storage\": \"volume\", \"source\": \"web\"}]}}}"}                       },
        {"physical-disk",
         5,                    {.patch = "{\"machine\": {\"domain\": {\"disks\": [{\"target\": \"vda\", \"device\": "
                   "\"lun\", \"storage\": \"block\", \"source\": \"/dev/sdb\"}]}}}"}                    },
        {"pool",           5,  {.patch_check = FINDING("pool", "there is no pool fast")}                           },
        {"disk-absent",    5,  {.patch_check = FINDING("disk-absent", "something else lies there")}                },
        {"space",
         5,                    {.patch_check = "{\"arrivals\": [{\"target\": \"vda\", \"path\": \"/images/web.qcow2\", "
                         "\"free_bytes\": 1000, \"group\": \"1\"}]}"}                                   },
        {"shared",
         6,                    {.from_fs = "nfs",
          .patch_check = "{\"arrivals\": [{\"target\": \"vda\", \"path\": \"/images/web.qcow2\", "
                         "\"free_bytes\": 9000000000, \"group\": \"1\", \"exists\": true, "
                         "\"shared\": true}]}"}                                                         },
        {"chain",
         7,                    {.patch = "{\"machine\": {\"disks\": [{\"target\": \"vda\", \"images\": [{\"path\": "
                   "\"/images/web.qcow2\"}, {\"path\": \"/images/base.qcow2\", \"trouble\": \"No "
                   "such file or directory\"}]}]}}"}                                                    },
        {"image-header",
         7,                    {.patch = "{\"machine\": {\"disks\": [{\"target\": \"vda\", \"images\": [{\"path\": "
                   "\"/images/web.qcow2\", \"backing\": \"/etc/shadow\", \"backing_format\": "
                   "\"raw\"}, {\"path\": \"/etc/shadow\"}]}]}}"}                                        },
        {"image-header",
         7,                    {.patch = "{\"machine\": {\"disks\": [{\"target\": \"vda\", \"images\": [{\"path\": "
                   "\"/images/web.qcow2\", \"data_file\": \"/etc/shadow\"}]}]}}"}                       },
        {"image-header",
         7,                    {.patch = "{\"machine\": {\"disks\": [{\"target\": \"vda\", \"images\": [{\"path\": "
                   "\"/images/web.qcow2\", \"backing\": \"base.qcow2\"}, {\"path\": "
                   "\"/images/base.qcow2\"}]}]}}"}                                                      },
        {"snapshots",
         8,                    {.options = "{\"pool\": \"images\"}",
          .patch_check = BASE_ABSENT,
          .patch = "{\"machine\": {\"domain\": {\"snapshots\": 1}, \"disks\": [{\"target\": "
                   "\"vda\", \"images\": [{\"path\": \"/images/web.qcow2\", \"backing\": \"b\", "
                   "\"backing_format\": \"qcow2\"}, {\"path\": \"/images/b\"}]}]}}"}                    },
        {"firmware",       9,  {.patch_check = FINDING("firmware", "there is no OVMF here")}                       },
        {"tpm",            9,  {.patch_check = FINDING("tpm", "swtpm is not installed here")}                      },
        {"secrets",        9,  {.patch = "{\"machine\": {\"secrets\": true}}"}                                     },
        {"devices",
         10,                   {.patch = "{\"machine\": {\"domain\": {\"host_devices\": [\"pci 0000:01:00.0\"]}}}"}},
        {"folders",
         10,                   {.patch = "{\"machine\": {\"domain\": {\"file_systems\": [\"/srv as data\"]}}}"}    },
        {"networks",       11, {.patch_check = FINDING("networks", "bridge br0 is not here")}                      },
        {"absent",         11, {.patch_check = FINDING("absent", "another machine of its name is here")}           },
        {"trust",
         12,                   {.patch =
              "{\"reaches\": [{\"endpoint\": \"192.0.2.2:7410\", \"on\": true, \"why\": \"\"}, "
              "{\"endpoint\": \"192.0.2.2:16514\", \"on\": true, \"why\": \"Connection "
              "refused\"}]}"}                                                                          },
        {"quiet",          13, {.patch = "{\"machine\": {\"job\": \"a job\"}}"}                                    },
        {"quiet",          13, {.patch = "{\"machine\": {\"domain\": {\"state\": \"paused\"}}}"}                   },
        {"quiet",          13, {.patch = "{\"machine\": {\"domain\": {\"managed_save\": true}}}"}                  },
        {"quiet",
         13,                   {OFF,
          .patch =
              "{\"machine\": {\"saved\": \"/s/web.save\", \"domain\": {\"managed_save\": true}}}",
          .options = "{\"pool\": \"images\"}"}                                                         },
        {"chain",          7,  {.patch = CHAIN, .patch_check = BASE_OTHER}                                         },
        {"chain",          7,  {.patch = CHAIN}                                                                    },
        {"chain",
         7,                    {.patch = CHAIN_ON(", \"shared\": true"),
          .patch_check = BASE_ABSENT,
          .from_fs = "nfs",
          .to_fs = "nfs",
          .same = true}                                                                                 },
        {"snapshots",
         8,                    {.patch = "{\"machine\": {\"snapshot_files\": [\"/s/web.mem\"], \"domain\": "
                   "{\"snapshots\": 1}}}"}                                                              },
        {"errors",         13, {.patch = "{\"machine\": {\"reason\": \"I/O error\"}}"}                             },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *plan = vm_facts_plan(&cases[i].m);
        const json_t *check = vm_check_of(json_object_get(plan, "checks"), cases[i].id);
        if (vm_flag(plan, "ok") || strcmp(vm_text(check, "result"), "pass") == 0)
            print_message("%s: %s\n", cases[i].id, json_dumps(plan, JSON_INDENT(1)));
        assert_false(vm_flag(plan, "ok"));
        assert_true(strcmp(vm_text(check, "result"), "fail") == 0 ||
                    strcmp(vm_text(check, "result"), "unknown") == 0);
        assert_true(*vm_text(check, "evidence") && *vm_text(check, "remedy"));
        assert_int_equal(vm_number(check, "point"), cases[i].point);
        json_decref(plan);
    }
}

/* What goes along is counted once, and only where it is not there yet. */
static void a_base_costs_its_bytes_once(void **state)
{
    static const struct {
        const char *check, *options;
        uint64_t disk_bytes;
        size_t bases;
        int how;
        bool flat;
    } cases[] = {
        {BASE_ABSENT, NULL,                  5001000, 1, GODWIT__VM_MOVE_DISK__HOW__SEEDED, false},
        {BASE_THERE,  NULL,                  1000,    1, GODWIT__VM_MOVE_DISK__HOW__SEEDED, false},
        {BASE_ABSENT, "{\"flatten\": true}", 5001000, 0, GODWIT__VM_MOVE_DISK__HOW__COPY,   true },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vm_case m = {OFF, .patch = CHAIN, .patch_check = cases[i].check,
                            .options = cases[i].options};
        json_t *plan = vm_facts_plan(&m);
        const json_t *move = json_object_get(plan, "move"),
                     *disk = json_array_get(json_object_get(move, "disks"), 0);
        assert_string_equal(vm_text(plan, "type"), "cold");
        assert_int_equal(vm_number(plan, "bytes"), cases[i].disk_bytes);
        assert_int_equal(vm_count(move, "bases"), cases[i].bases);
        assert_int_equal(vm_number(disk, "how"), cases[i].how);
        assert_int_equal(vm_flag(disk, "flatten"), cases[i].flat);
        assert_string_equal(json_string_value(json_array_get(json_object_get(disk, "bases"), 0)),
                            "/images/b");
        json_decref(plan);
    }
}

/* Memory goes through several compressed streams as asked for, or where that pays by itself. */
static void streams_are_taken_where_they_gain(void **state)
{
#define BIG                                                                                        \
    "{\"host\": {\"cpus\": 16}, \"machine\": {\"domain\": {\"memory_now_bytes\": 8589934592}}}"
#define SMALL                                                                                      \
    "{\"host\": {\"cpus\": 4}, \"machine\": {\"domain\": {\"memory_now_bytes\": 8589934592}}}"
#define HOST(more) "{\"host\": {\"cpus\": 16" more "}}"
#define OLD                                                                                        \
    "{\"host\": {\"cpus\": 16, \"libvirt_version\": 9000000}, \"machine\": {\"domain\": "          \
    "{\"memory_now_bytes\": 8589934592}}}"
    static const struct {
        struct vm_case m;
        uint64_t streams;
        const char *type, *why; /* why: against live-vsm */
    } cases[] = {
        {{RUNNING},                                                                                 0, "live-vsm",   NULL},
        {{RUNNING, .patch = BIG, .patch_check = HOST("")},                                          4, "live-vsm",   NULL},
        {{RUNNING, .patch = SMALL, .patch_check = HOST("")},                                        0, "live-vsm",   NULL},
        {{RUNNING, .patch = BIG},                                                                   0, "live-vsm",   NULL},
        {{RUNNING, .patch = OLD, .patch_check = HOST("")},                                          0, "live-vsm",   NULL},
        {{RUNNING, .patch = BIG, .patch_check = HOST(""), .rate = UINT64_C(2) << 30},
         0,                                                                                            "live-vsm",
         NULL                                                                                                            },
        {{RUNNING, .patch = BIG, .patch_check = HOST(""), .options = "{\"streams\": 1}"},
         0,                                                                                            "live-vsm",
         NULL                                                                                                            },
        {{RUNNING, .patch = BIG, .patch_check = HOST(""), .options = "{\"postcopy\": true}"},
         0,                                                                                            "live-vsm",
         NULL                                                                                                            },
        {{RUNNING, .patch = BIG, .patch_check = HOST(""), .options = "{\"type\": \"warm-quick\"}"},
         0,                                                                                            "warm-quick",
         NULL                                                                                                            },
        {{RUNNING, .options = "{\"streams\": 6}"},                                                  6, "live-vsm",   NULL},
        {{RUNNING, .options = "{\"streams\": 6}",
          .patch = "{\"host\": {\"hypervisor_version\": 7002000}}"},
         0,                                                                                            "warm-quick",
         "kvm1 is too old"                                                                                               },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *plan = vm_facts_plan(&cases[i].m);
        const char *why = vm_facts_refusal(plan, "live-vsm");
        assert_string_equal(vm_text(plan, "type"), cases[i].type);
        assert_int_equal(vm_number(json_object_get(plan, "move"), "streams"), cases[i].streams);
        if (cases[i].why)
            assert_non_null(strstr(why, cases[i].why));
        json_decref(plan);
    }
}

static void a_check_can_be_overridden(void **state)
{
    struct vm_case m = {.patch = "{\"machine\": {\"secrets\": true}}",
                        .options = "{\"override\": [\"secrets\"]}"};
    (void)state;
    json_t *plan = vm_facts_plan(&m);
    assert_true(vm_flag(plan, "ok"));
    assert_true(vm_flag(vm_check_of(json_object_get(plan, "checks"), "secrets"), "overridden"));
    json_decref(plan);
}

static void a_silent_destination_stops_it(void **state)
{
    struct vm_case m = {.state = NULL};
    (void)state;
    json_t *look = vm_facts_look(&m), *options = json_object();
    struct vm_question q = {
        .word = "web", .facts = {.look = look, .options = options, .from = "kvm1", .to = "kvm2"}
    };
    json_t *plan = vm_plan(&q);
    assert_false(vm_flag(plan, "ok"));
    json_decref(plan);
    json_decref(look);
    json_decref(options);
}

static void a_plan_goes_stale_with_what_it_rests_on(void **state)
{
    static const struct {
        struct vm_case m;
        const char *why; /* NULL: it holds */
    } cases[] = {
        {{RUNNING},                                                                                       NULL                },
        {{RUNNING,
          .patch =
              "{\"machine\": {\"dirty_rate\": 5000000, \"disks\": [{\"target\": \"vda\", "
              "\"images\": [{\"path\": \"/images/web.qcow2\", \"real_bytes\": 300000000}]}]}}"},
         NULL                                                                                                                 },
        {{OFF},                                                                                           "started or stopped"},
        {{RUNNING, .patch = "{\"machine\": {\"digest\": \"d2\"}}"},                                       "definition"        },
        {{RUNNING, .patch = "{\"machine\": {\"domain\": {\"uuid\": \"x\"}}}"},                            "another machine"   },
        {{RUNNING, .from_fs = "nfs", .to_fs = "nfs", .same = true},                                       "another way"       },
        {{RUNNING, .patch = "{\"machine\": {\"secrets\": true}}"},                                        "may not move"      },
    };
    struct vm_case first = {RUNNING};
    (void)state;
    json_t *old = vm_facts_plan(&first);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char why[128] = "";
        json_t *now = vm_facts_plan(&cases[i].m);
        assert_int_equal(vm_plan_stale(old, now, why, sizeof why), cases[i].why != NULL);
        if (cases[i].why)
            assert_non_null(strstr(why, cases[i].why));
        json_decref(now);
    }
    json_decref(old);
}

static void what_was_seen_before_is_the_rate(void **state)
{
    static const struct {
        const char *facts;
        uint64_t rate;
    } cases[] = {
        {"{}",                                                                                  0       },
        {"{\"vm\": {\"figures\": {\"bytes\": 1000}, \"rows\": {\"copy\": {\"took_ms\": 10}}}}", 0       },
        {"{\"vm\": {\"figures\": {\"bytes\": 50000000}, \"rows\": {\"copy\": {\"took_ms\": "
         "1000}}}}",                                                                   50000000},
        {"{\"vm\": {\"figures\": {\"bytes\": 50000000}, \"rows\": {}}}",                        0       },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *facts = json_loads(cases[i].facts, 0, NULL);
        assert_int_equal(vm_plan_rate(facts), cases[i].rate);
        json_decref(facts);
    }
}

static void each_way_costs_what_it_moves(void **state)
{
    const struct vm_load l = {.disk_bytes = 1000 << 20,
                              .memory_bytes = 100 << 20,
                              .rate = 100 << 20,
                              .dirty_rate = 50 << 20,
                              .runs = true};
    static const struct {
        const char *id;
        uint64_t bytes_mib, seconds, outage_ms;
    } cases[] = {
        {"live",       200,  3,  150  },
        {"live-vsm",   1200, 13, 150  },
        {"quick",      100,  3,  2450 },
        {"warm-quick", 1100, 13, 2450 },
        {"san",        0,    21, 25000},
        {"warm",       1000, 31, 21000},
        {"cold",       1000, 31, 35000},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vm_cost c = vm_type_cost(vm_type_named(cases[i].id), &l);
        assert_true(c.ends);
        assert_int_equal(c.bytes >> 20, cases[i].bytes_mib);
        assert_int_equal(c.seconds, cases[i].seconds);
        assert_int_equal(c.outage_ms, cases[i].outage_ms);
    }
    struct vm_load fast = l;
    fast.dirty_rate = fast.rate;
    struct vm_cost c = vm_type_cost(vm_type_named("live"), &fast);
    assert_true(c.ends && c.slowed && !c.lifted && c.outage_ms == 150 && c.bytes >> 20 == 200);
    fast.dirty_rate = 2 * fast.rate;
    assert_false(vm_type_cost(vm_type_named("live"), &fast).ends);
    fast = l;
    fast.limit = 10 << 20; /* of what is copied, not of the last rounds */
    c = vm_type_cost(vm_type_named("live-vsm"), &fast);
    assert_true(c.ends && !c.slowed && c.lifted && c.outage_ms == 150 && c.seconds == 112);
    c = vm_type_cost(vm_type_named("warm-quick"), &fast);
    assert_true(c.ends && c.outage_ms == 11450 && c.seconds == 112);
    assert_int_equal(vm_type_cost(vm_type_named("quick"), &fast).outage_ms, 2450);
}

static void what_is_done_for_the_promise_is_told(void **state)
{
    static const struct {
        const char *dirty, *options, *told[2];
    } cases[] = {
        {"{\"machine\": {\"dirty_rate\": 1000000}}",   NULL,                  {NULL}                    },
        {"{\"machine\": {\"dirty_rate\": 1000000}}",   "{\"rate\": 3145728}", {"is lifted"}             },
        {"{\"machine\": {\"dirty_rate\": 150000000}}", NULL,                  {"slowed"}                },
        {"{\"machine\": {\"dirty_rate\": 300000000}}",
         "{\"override\": [\"convergence\"]}",                                 {"slowed", "nothing says"}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct vm_case m = {.patch = cases[i].dirty, .options = cases[i].options};
        json_t *plan = vm_facts_plan(&m);
        const json_t *list = json_object_get(plan, "measures");
        size_t n = 0;
        assert_string_equal(vm_text(plan, "type"), "live-vsm");
        for (; n < 2 && cases[i].told[n]; n++)
            assert_non_null(strstr(json_string_value(json_array_get(list, n)), cases[i].told[n]));
        assert_int_equal(json_array_size(list), n);
        json_decref(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_speaks_against_a_way_is_said),
        cmocka_unit_test(what_stops_every_way_names_its_remedy),
        cmocka_unit_test(a_base_costs_its_bytes_once),
        cmocka_unit_test(streams_are_taken_where_they_gain),
        cmocka_unit_test(a_check_can_be_overridden),
        cmocka_unit_test(a_silent_destination_stops_it),
        cmocka_unit_test(a_plan_goes_stale_with_what_it_rests_on),
        cmocka_unit_test(what_was_seen_before_is_the_rate),
        cmocka_unit_test(each_way_costs_what_it_moves),
        cmocka_unit_test(what_is_done_for_the_promise_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
