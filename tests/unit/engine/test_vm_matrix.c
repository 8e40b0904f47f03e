/* test_vm_matrix: the two matrices of support: from each kind of host to each other one, from each
 * kind of storage to each other one, for machines that run, are off, are saved: which type is
 * chosen, why, and why no better one, word by word. */
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/vm_plan.h"
#include "tests/unit/engine/vm_facts.h"
#include "tests/unit/test.h"

#define OWN "1 of its 1 disks are seen by the source alone"
#define BOTH_SEE "both hosts see all of its disks: nothing is to be copied"
#define ANEW "it would be shut down or started anew, which --stop would allow"

/* What is said of a machine whose disk both hosts see, or the source alone. */
struct outcome {
    const char *type; /* NULL: it may not move */
    const char *why;
    const char *refused[6]; /* "Type: why", best first */
    const char *stopped_by, *evidence;
};

enum { RUNS, RUNS_MAY_STOP, IS_OFF, IS_SAVED, STATES };

#define ALONG "it is running, its disks go along; nothing better is possible"
#define OFF_ALONG "it is off, its disks go along; nothing better is possible"
#define PUT "it is running, both hosts see all of its disks"
#define OFF_PUT "it is off, both hosts see all of its disks"
#define SAVED_ALONG "it is saved, its disks go along; nothing better is possible"
#define SAVED_PUT "it is saved, its saved memory goes along; nothing better is possible"
#define SAVED "its saved memory is on the source alone"
#define CPU "no such processor (cpu)"

/* clang-format off */
/* By state. Leave to stop it is not taken where it is not needed. */
static const struct outcome goes_along[STATES] = {
    {"live-vsm", ALONG, {"Live: " OWN}, NULL, NULL},
    {"live-vsm", ALONG, {"Live: " OWN}, NULL, NULL},
    {"cold", OFF_ALONG, {"SAN: " OWN}, NULL, NULL},
    {"cold", SAVED_ALONG, {"SAN: " OWN}, NULL, NULL},
};

static const struct outcome stays_put[STATES] = {
    {"live", PUT, {NULL}, NULL, NULL},
    {"live", PUT, {NULL}, NULL, NULL},
    {"san", OFF_PUT, {NULL}, NULL, NULL},
    {"cold", SAVED_PUT, {"SAN: " SAVED}, NULL, NULL},
};

/* A machine that runs, whose processor cannot be had there: by who sees its disk, and by leave. */
static const struct outcome cannot_run_there[4] = {
    {NULL, NULL,
     {"Live: " OWN, "Live VM-and-storage: " CPU, "Quick: " OWN, "Warm quick: " CPU, "SAN: " OWN,
      "Network, warm: " ANEW}, NULL, NULL},
    {"warm", ALONG,
     {"Live: " OWN, "Live VM-and-storage: " CPU, "Quick: " OWN, "Warm quick: " CPU, "SAN: " OWN},
     NULL, NULL},
    {NULL, NULL,
     {"Live: " CPU, "Live VM-and-storage: " BOTH_SEE, "Quick: " CPU, "Warm quick: " BOTH_SEE,
      "SAN: " ANEW, "Network, warm: " BOTH_SEE}, NULL, NULL},
    {"san", PUT "; nothing better is possible",
     {"Live: " CPU, "Live VM-and-storage: " BOTH_SEE, "Quick: " CPU, "Warm quick: " BOTH_SEE},
     NULL, NULL},
};
/* clang-format on */

enum { LOCAL, SHARE, LUN, STORAGES };

static const struct {
    const char *name;
    int from, to;
    bool same;
    const char *reach; /* what is warned of; NULL: nothing */
} storages[] = {
    {"local to local",          LOCAL, LOCAL, false, NULL    },
    {"equal paths, both local", LOCAL, LOCAL, true,  NULL    },
    {"local to share",          LOCAL, SHARE, false, NULL    },
    {"local to LUN",            LOCAL, LUN,   false, NULL    },
    {"share to local",          SHARE, LOCAL, false, "nfs"   },
    {"share to the same",       SHARE, SHARE, true,  NULL    },
    {"share to another",        SHARE, SHARE, false, NULL    },
    {"share to LUN",            SHARE, LUN,   false, NULL    },
    {"LUN to local",            LUN,   LOCAL, false, "device"},
    {"LUN to share",            LUN,   SHARE, false, NULL    },
    {"LUN to the same",         LUN,   LUN,   true,  NULL    },
    {"LUN to another",          LUN,   LUN,   false, NULL    },
};

/* A host that stands alone, one of a group, another one of it, one of another group. What a group
 * is to its own tools is nothing to us: they need nothing in common. */
static const struct {
    const char *name, *source, *destination;
} hosts[] = {
    {"standalone to standalone", "{\"host\": {\"hostname\": \"a\"}}",
     "{\"host\": {\"hostname\": \"b\"}}"        },
    {"standalone to group",      "{\"host\": {\"hostname\": \"a\"}}",
     "{\"host\": {\"hostname\": \"n1.group1\"}}"},
    {"group to standalone",      "{\"host\": {\"hostname\": \"n1.group1\"}}",
     "{\"host\": {\"hostname\": \"a\"}}"        },
    {"within a group",           "{\"host\": {\"hostname\": \"n1.group1\"}}",
     "{\"host\": {\"hostname\": \"n2.group1\"}}"},
    {"group to another",         "{\"host\": {\"hostname\": \"n1.group1\"}}",
     "{\"host\": {\"hostname\": \"n1.group2\"}}"},
};

static void say_case(const char *a, const char *b, int state, const json_t *plan)
{
    char *text = json_dumps(plan, JSON_INDENT(1));
    print_message("%s, %s, state %d: %s\n", a, b, state, text);
    free(text);
}

static bool refuses(const json_t *plan, const char *const refused[6])
{
    size_t n = 0, i;
    const json_t *one, *list = json_object_get(plan, "refused");
    while (n < 6 && refused[n])
        n++;
    if (json_array_size(list) < n || (n < 6 && json_array_size(list) != n))
        return false;
    json_array_foreach(list, i, one)
    {
        CLEANUP(mem_free)
        char *said = xasprintf("%s: %s", vm_text(one, "name"), vm_text(one, "why"));
        if (i < n && strcmp(said, refused[i]) != 0)
            return false;
    }
    return true;
}

static bool comes_out(const json_t *plan, const struct outcome *o)
{
    const json_t *stop =
        o->stopped_by ? vm_check_of(json_object_get(plan, "checks"), o->stopped_by) : NULL;
    return strcmp(vm_text(plan, "type"), o->type ? o->type : "") == 0 &&
           strcmp(vm_text(plan, "why"), o->why ? o->why : "") == 0 && refuses(plan, o->refused) &&
           strcmp(vm_text(plan, "stopped_by"), o->stopped_by ? o->stopped_by : "") == 0 &&
           (!stop ||
            (strcmp(vm_text(stop, "evidence"), o->evidence) == 0 && *vm_text(stop, "remedy"))) &&
           vm_flag(plan, "ok") == (o->type && !o->stopped_by);
}

/* plan_of() of one field of both matrices. */
static json_t *plan_of(size_t h, size_t s, int state, const char *check, const char *options)
{
    static const char *const fs[STORAGES] = {"ext4", "nfs", "ext4"};
    struct vm_case m = {.state = state <= RUNS_MAY_STOP ? "running" : "off",
                        .from_fs = fs[storages[s].from],
                        .to_fs = storages[s].to == SHARE && !storages[s].same ? "ceph"
                                                                              : fs[storages[s].to],
                        .same = storages[s].same,
                        .block = storages[s].from == LUN,
                        .to_block = storages[s].to == LUN,
                        .patch = hosts[h].source,
                        .patch_check = check ? check : hosts[h].destination,
                        .options = options                  ? options
                                   : state == RUNS_MAY_STOP ? "{\"stop\": true}"
                                                            : NULL};
    CLEANUP(mem_free) char *saved = NULL;
    if (state == IS_SAVED) {
        saved = xasprintf("%.*s, \"machine\": {\"domain\": {\"managed_save\": true}, \"saved\": "
                          "\"/save/web.save\"}}",
                          (int)strlen(hosts[h].source) - 1, hosts[h].source);
        m.patch = saved;
    }
    return vm_facts_plan(&m);
}

static bool both_see(size_t s)
{
    return storages[s].same && storages[s].from != LOCAL;
}

static void each_field_of_the_matrices_holds(void **unused)
{
    (void)unused;
    for (size_t h = 0; h < ARRAY_SIZE(hosts); h++)
        for (size_t s = 0; s < ARRAY_SIZE(storages); s++)
            for (int state = 0; state < STATES; state++) {
                const struct outcome *o = both_see(s) ? &stays_put[state] : &goes_along[state];
                json_t *plan = plan_of(h, s, state, NULL, NULL);
                const json_t *reach = vm_check_of(json_object_get(plan, "checks"), "reach");
                bool good =
                    comes_out(plan, o) &&
                    strcmp(vm_text(reach, "result"), storages[s].reach ? "warn" : "pass") == 0 &&
                    (!storages[s].reach || strstr(vm_text(reach, "evidence"), storages[s].reach));
                if (!good)
                    say_case(hosts[h].name, storages[s].name, state, plan);
                assert_true(good);
                json_decref(plan);
            }
}

#define NO_CPU                                                                                     \
    "{\"findings\": [{\"check\": \"cpu\", \"target\": \"\", \"result\": \"fail\", \"text\": "      \
    "\"no such processor\"}, "                                                                     \
    "{\"check\": \"machine-type\", \"result\": \"pass\"}, "                                        \
    "{\"check\": \"cpu-start\", \"result\": \"pass\"}, {\"check\": \"pages\", \"result\": "        \
    "\"pass\"}, "                                                                                  \
    "{\"check\": \"pool\", \"result\": \"pass\"}, {\"check\": \"folder\", \"result\": \"pass\"}, " \
    "{\"check\": \"disk-absent\", \"result\": \"pass\"}, {\"check\": \"media\", \"result\": "      \
    "\"pass\"}, "                                                                                  \
    "{\"check\": \"firmware\", \"result\": \"pass\"}, {\"check\": \"tpm\", \"result\": "           \
    "\"pass\"}, "                                                                                  \
    "{\"check\": \"networks\", \"result\": \"pass\"}, {\"check\": \"mtu\", \"result\": "           \
    "\"pass\"}, {\"check\": \"absent\", \"result\": \"pass\"}]}"

static void without_its_processor_it_starts_anew_or_stays(void **unused)
{
    (void)unused;
    for (size_t s = 0; s < ARRAY_SIZE(storages); s++)
        for (int leave = 0; leave < 2; leave++) {
            json_t *plan = plan_of(0, s, leave ? RUNS_MAY_STOP : RUNS, NO_CPU, NULL);
            if (!comes_out(plan, &cannot_run_there[2 * both_see(s) + leave]))
                say_case("no processor", storages[s].name, leave, plan);
            assert_true(comes_out(plan, &cannot_run_there[2 * both_see(s) + leave]));
            json_decref(plan);
        }
}

/* The destination's findings, one of them bad; NULL: none. malloc'd, NULL: as they are. */
static char *missing_there(const char *bad)
{
    static const char *const ids[] = {
        "machine-type", "cpu",      "cpu-start", "pages",    "pool", "folder", "disk-absent",
        "media",        "firmware", "tpm",       "networks", "mtu",  "absent"};
    json_t *list = json_array(), *all;
    for (size_t i = 0; bad && i < ARRAY_SIZE(ids); i++)
        (void)json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "check", ids[i], "result",
                                                    strcmp(ids[i], bad) == 0 ? "fail" : "pass",
                                                    "text", "it is not here"));
    all = json_pack("{s:o}", "findings", list);
    char *text = bad ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    return text;
}

/* On its own host a machine's storage changes alone, running or off, from any kind to any other;
 * that itself and its firmware's variables are found there is no reason against it. */
static void storage_alone_moves_within_a_host(void **unused)
{
    static const struct outcome runs = {
        .type = "live-storage", .why = "it is running, its storage changes on its own host"};
    static const struct outcome off = {.type = "quick-storage",
                                       .why = "it is off, its storage changes on its own host"};
    static const char *const kinds[] = {"ext4", "nfs", "ceph"};
    (void)unused;
    for (size_t i = 0; i < 18; i++)
        for (int state = 0; state < 2; state++) {
            CLEANUP(mem_free) char *check = missing_there(i < 9 ? "absent" : "firmware");
            struct vm_case m = {.state = state ? "off" : "running",
                                .patch_check = check,
                                .to = "kvm1",
                                .from_fs = kinds[i % 9 / 3],
                                .to_fs = kinds[i % 3],
                                .options = "{\"pool\": \"fast\"}"};
            json_t *plan = vm_facts_plan(&m);
            if (!comes_out(plan, state ? &off : &runs))
                say_case("within", kinds[i % 9 / 3], state, plan);
            assert_true(comes_out(plan, state ? &off : &runs));
            json_decref(plan);
        }
}

/* Firmware with variables and a TPM of its own go along by every way; where the destination has not
 * what they need, none is taken. */
static void firmware_and_tpm_go_by_every_way(void **unused)
{
    static const struct {
        const char *type;
        bool same, off;
    } ways[] = {
        {"live",       true,  false},
        {"live-vsm",   false, false},
        {"quick",      true,  false},
        {"warm-quick", false, false},
        {"san",        true,  false},
        {"warm",       false, false},
        {"cold",       false, false},
        {"cold",       false, true },
        {"san",        true,  true },
    };
    static const char *const missing[] = {NULL, "tpm", "firmware"};
    (void)unused;
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
        for (size_t k = 0; k < ARRAY_SIZE(missing); k++) {
            CLEANUP(mem_free)
            char *options = xasprintf("{\"type\": \"%s\", \"stop\": true}", ways[i].type);
            CLEANUP(mem_free) char *check = missing_there(missing[k]);
            struct vm_case m = {
                .state = ways[i].off ? "off" : "running",
                .from_fs = ways[i].same ? "nfs" : "ext4",
                .to_fs = ways[i].same ? "nfs" : "ext4",
                .same = ways[i].same,
                .patch =
                    "{\"machine\": {\"nvram_is_there\": true, \"domain\": {\"firmware\": \"uefi\", "
                    "\"nvram\": \"/var/lib/libvirt/qemu/nvram/web_VARS.fd\", \"tpm\": "
                    "\"emulator\"}}}",
                .patch_check = check,
                .options = options};
            json_t *plan = vm_facts_plan(&m);
            const char *by = vm_text(plan, "stopped_by");
            bool good = strcmp(vm_text(plan, "type"), ways[i].type) == 0 &&
                        vm_flag(plan, "ok") == !missing[k] &&
                        strcmp(by, missing[k] ? missing[k] : "") == 0 &&
                        (!missing[k] ||
                         *vm_text(vm_check_of(json_object_get(plan, "checks"), by), "remedy"));
            if (!good)
                say_case(ways[i].type, missing[k] ? missing[k] : "nothing missing", 0, plan);
            assert_true(good);
            json_decref(plan);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_of_the_matrices_holds),
        cmocka_unit_test(without_its_processor_it_starts_anew_or_stays),
        cmocka_unit_test(storage_alone_moves_within_a_host),
        cmocka_unit_test(firmware_and_tpm_go_by_every_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
