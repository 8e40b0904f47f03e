/* test_vm_checks: rows of the checks whose results are more than pass and fail. What stops every
 * way is test_vm_plan.c. */
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/vm_checks.h"
#include "tests/unit/engine/vm_facts.h"
#include "tests/unit/test.h"

struct row_case {
    const char *name;
    struct vm_case m;
    const char *result, *evidence; /* evidence: a part of it; NULL: any */
};

static void rows_say(const char *id, unsigned point, const struct row_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_t *plan = vm_facts_plan(&cases[i].m);
        const json_t *row = vm_check_of(json_object_get(plan, "checks"), id);
        const char *result = vm_text(row, "result"), *evidence = vm_text(row, "evidence");
        bool passes = strcmp(cases[i].result, "pass") == 0;
        bool stops = !passes && strcmp(cases[i].result, "warn") != 0;
        if (strcmp(result, cases[i].result) != 0 ||
            (cases[i].evidence && !strstr(evidence, cases[i].evidence)))
            print_message("%s, %s: %s: %s\n", id, cases[i].name, result, evidence);
        assert_string_equal(result, cases[i].result);
        assert_true(!cases[i].evidence || strstr(evidence, cases[i].evidence));
        assert_true(*evidence);
        assert_int_equal(*vm_text(row, "remedy") != '\0', !passes);
        assert_int_equal(vm_number(row, "point"), point);
        assert_int_equal(vm_check_good(json_object_get(plan, "checks"), id), !stops);
        assert_true(vm_flag(row, "stops"));
        json_decref(plan);
    }
}

#define FOUND(id, result)                                                                          \
    "{\"findings\": [{\"check\": \"" id "\", \"target\": \"\", \"result\": \"" result              \
    "\", \"text\": \"it says so\"}]}"

static void what_the_destination_finds_is_said(void **state)
{
    static const struct {
        const char *id;
        unsigned point;
    } rows[] = {
        {"mtu", 11},
        {"tpm", 9 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(mem_free) char *pass = xasprintf(FOUND("%s", "pass"), rows[i].id);
        CLEANUP(mem_free) char *warn = xasprintf(FOUND("%s", "warn"), rows[i].id);
        CLEANUP(mem_free) char *fail = xasprintf(FOUND("%s", "fail"), rows[i].id);
        CLEANUP(mem_free) char *odd = xasprintf(FOUND("%s", "splendid"), rows[i].id);
        const struct row_case cases[] = {
            {"pass",           {.patch_check = pass},                 "pass",    "it says so"  },
            {"warn",           {.patch_check = warn},                 "warn",    "it says so"  },
            {"fail",           {.patch_check = fail},                 "fail",    "it says so"  },
            {"another word",   {.patch_check = odd},                  "unknown", "it says so"  },
            {"an older agent", {.patch_check = "{\"findings\": []}"}, "unknown", "did not tell"},
        };
        rows_say(rows[i].id, rows[i].point, cases, ARRAY_SIZE(cases));
    }
}

#define SECTOR_HERE(bytes)                                                                         \
    .patch = "{\"machine\": {\"disks\": [{\"target\": \"vda\", \"images\": [{\"path\": "           \
             "\"/images/web.qcow2\", \"sector\": " #bytes "}]}]}}"
#define ARRIVES(more)                                                                              \
    .patch_check = "{\"arrivals\": [{\"target\": \"vda\", \"path\": \"/there\", \"free_bytes\": "  \
                   "9000000000, \"group\": \"1\"" more "}]}"

static void sectors_are_compared(void **state)
{
    static const struct row_case cases[] = {
        {"as large",
         {SECTOR_HERE(512), ARRIVES(", \"sector\": 512, \"device\": true")},
         "pass",                                                                                             "of another size"},
        {"a device of larger ones",
         {SECTOR_HERE(512), ARRIVES(", \"sector\": 4096, \"device\": true")},
         "fail",                                                                                             "512 bytes"      },
        {"a device of smaller ones",
         {SECTOR_HERE(4096), ARRIVES(", \"sector\": 512, \"block\": true")},
         "warn",                                                                                             "of 512 on"      },
        {"a device of unknown ones",
         {SECTOR_HERE(512), ARRIVES(", \"sector\": 0, \"device\": true")},
         "warn",                                                                                             "cannot be told" },
        {"from unknown ones",
         {SECTOR_HERE(0), ARRIVES(", \"sector\": 512, \"device\": true")},
         "warn",                                                                                             "cannot be told" },
        {"a file on larger ones, past the cache",
         {SECTOR_HERE(512), ARRIVES(", \"sector\": 4096")},
         "warn",                                                                                             "4096 below"     },
        {"a file on smaller ones",                {SECTOR_HERE(4096), ARRIVES(", \"sector\": 512")}, "pass", NULL             },
        {"a file of unknown ones",                {SECTOR_HERE(512), ARRIVES("")},                   "pass", NULL             },
        {"somebody takes the risk",
         {SECTOR_HERE(512), ARRIVES(", \"sector\": 4096, \"device\": true"),
          .options = "{\"override\": [\"memory\"]}"},
         "fail",                                                                                             NULL             },
        {"both see it",                           {.from_fs = "nfs", .to_fs = "nfs", .same = true},  "pass", NULL             },
        {"a lie",
         {SECTOR_HERE(512), ARRIVES(", \"sector\": -5, \"device\": \"yes\"")},
         "pass",                                                                                             NULL             },
    };
    (void)state;
    rows_say("sector", 5, cases, ARRAY_SIZE(cases));
}

#define OWN_TCP .options = "{\"own_tcp\": true, \"max_duration_s\": 1000}"
#define CERT(end) "{\"certificates\": [{\"path\": \"/c.pem\", \"not_after_s\": " #end "}]}"
#define LATE CERT(1087401) /* a day after the end, and a second */
#define NONE "{\"certificates\": []}"
#define BROKEN "{\"certificates\": [{\"path\": \"/c.pem\", \"trouble\": \"it is no certificate\"}]}"

static void certificates_outlive_the_move(void **state)
{
    static const struct row_case cases[] = {
        {"lanes need none",    {.patch = CERT(5), .patch_check = NONE},                            "pass", "none is needed"      },
        {"on its own host",    {OWN_TCP, .to = "kvm1", .patch = CERT(5)},                          "pass", NULL                  },
        {"both are good",      {OWN_TCP, .patch = LATE, .patch_check = LATE},                      "pass", "for a day after"     },
        {"it ends in the day",
         {OWN_TCP, .patch = LATE, .patch_check = CERT(1087399)},
         "warn",                                                                                           "1970-01-13T14:03:19Z"},
        {"it ends before",
         {OWN_TCP, .patch = CERT(1000999), .patch_check = LATE},
         "fail",                                                                                           "kvm1: /c.pem is good"},
        {"it has ended there",
         {OWN_TCP, .patch = LATE, .patch_check = CERT(999999)},
         "fail",                                                                                           "kvm2: /c.pem is good"},
        {"it says nothing",
         {OWN_TCP, .patch = LATE, .patch_check = BROKEN},
         "unknown",                                                                                        "no certificate"      },
        {"none is found",      {OWN_TCP, .patch = LATE, .patch_check = NONE},                      "warn", "kvm2: none of"       },
        {"an older agent",     {OWN_TCP, .patch = LATE},                                           "warn", "kvm2: none of"       },
        {"a lie",              {OWN_TCP, .patch = CERT(9223372036854775807), .patch_check = LATE}, "pass", NULL                  },
        {"another lie",        {OWN_TCP, .patch = CERT(-7), .patch_check = LATE},                  "fail", "1970-01-01"          },
        {"a long promise",
         {.options = "{\"own_tcp\": true, \"max_duration_s\": 9223372036854775807}",
          .patch = CERT(9223372036854775807),
          .patch_check = LATE},
         "fail",                                                                                           NULL                  },
    };
    (void)state;
    rows_say("certificates", 12, cases, ARRAY_SIZE(cases));
}

#define REACH(more)                                                                                \
    .patch =                                                                                       \
        "{\"reaches\": [{\"endpoint\": \"192.0.2.2:7410\", \"on\": true, \"why\": \"\"" more "}]}"

static void packets_of_lanes_arrive(void **state)
{
    static const struct row_case cases[] = {
        {"whole",
         {REACH(", \"packet\": 9000, \"path\": \"whole\"")},
         "pass",                                                         "9000 bytes from kvm1"},
        {"lost",
         {REACH(", \"packet\": 9000, \"path\": \"swallowed\"")},
         "fail",                                                         "small ones arrive"   },
        {"nobody answers",
         {REACH(", \"packet\": 1500, \"path\": \"silent\"")},
         "pass",                                                         "nothing there tells" },
        {"an older agent",    {REACH("")},                       "pass", "nothing was sent"    },
        {"nobody is reached", {.patch = "{\"reaches\": []}"},    "pass", "nothing was sent"    },
    };
    (void)state;
    rows_say("path", 11, cases, ARRAY_SIZE(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sectors_are_compared),
        cmocka_unit_test(certificates_outlive_the_move),
        cmocka_unit_test(packets_of_lanes_arrive),
        cmocka_unit_test(what_the_destination_finds_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
