/* test_idmap_ranges: the ranges of ids that winbind gives by, back end by back end: what is odd in
 * one host's, and what the check of identities says of two hosts that have each their own; which
 * SIDs a pass of a cutover maps. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/idmap_ranges.h"
#include "orchestrator/workload/workload.h"
#include "tests/unit/test.h"

static void ranges_are_looked_at(void **state)
{
    (void)state;
    static const struct {
        const char *backends, *says; /* "": nothing is odd */
    } cases[] = {
        {"[]",                                                                 ""                               },
        {"[\"*: tdb \"]",                                                      ""                               },
        {"[\"*: tdb 3000-9999\",\"LAB: rid 100000-199999\"]",                  ""                               },
        {"[\"*: autorid 100000-9999999\"]",                                    ""                               },
        {"[\"*: tdb 3000-7999\",\"LAB: ad 10000-99999\",\"B: rid 100000-2\"]",
         "the range of B is none"                                                                               },
        {"[\"*: tdb 3000-150000\",\"LAB: rid 100000-199999\"]",                "the ranges of * and LAB overlap"},
        {"[\"LAB: rid 1-2\",\"B: rid 2-3\"]",                                  "the ranges of LAB and B overlap"},
        {"[\"LAB: rid 1-2\",\"B: rid 3-3\"]",                                  ""                               },
        {"[\"LAB: rid \"]",                                                    "LAB has no range"               },
        {"[\"LAB:  5-6\"]",                                                    "LAB has no back end"            },
        {"[\"LAB: rid x-y\"]",                                                 "the range of LAB is none"       },
        {"[\"LAB: rid 1-99999999999\"]",                                       "the range of LAB is none"       },
        {"[\"LAB: rid 1-2 3\"]",                                               "the range of LAB is none"       },
        {"[7,\"\",\":\",\"LAB\"]",                                             ""                               },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[80] = "";
        json_t *list = json_loads(cases[i].backends, 0, NULL);
        bool odd = idmap_ranges_odd(list, text, sizeof text);
        if (!list || odd != (cases[i].says[0] != '\0') || strcmp(text, cases[i].says) != 0)
            fail_msg("case %zu: %d '%s'", i, odd, text);
        json_decref(list);
    }
}

/* What a host's winbind makes of LAB\alice and LAB\staff: as is 0 where it has no id for them. */
struct winbind {
    const char *backends;
    unsigned alice, staff;
};

static const struct winbind rid = {"*: tdb 3000-9999\",\"LAB: rid 100000-199999", 101105, 101106};
static const struct winbind rid_other = {"*: tdb 3000-9999\",\"LAB: rid 200000-299999", 201105,
                                         201106};
static const struct winbind rid_narrow = {"*: tdb 3000-9999\",\"LAB: rid 100000-101105", 101105, 0};
static const struct winbind rid_overlaps = {"*: tdb 3000-150000\",\"LAB: rid 100000-199999", 101105,
                                            101106};
static const struct winbind autorid = {"*: autorid 100000-9999999", 101105, 101106};
static const struct winbind autorid_later = {"*: autorid 100000-9999999", 201105, 201106};
static const struct winbind ad = {"*: tdb 3000-9999\",\"LAB: ad 10000-19999", 10005, 10006};
static const struct winbind ad_unset = {"*: tdb 3000-9999\",\"LAB: ad 10000-19999", 10005, 0};
static const struct winbind tdb = {"*: tdb 3000-9999", 3001, 3002};
static const struct winbind tdb_fresh = {"*: tdb 3000-9999", 0, 0};
static const struct winbind tdb_swapped = {"*: tdb 3000-9999", 3002, 3001};
static const struct winbind no_range = {"LAB: rid ", 101105, 101106};

/* Of this id there; the SID of a number that is another's goes with it. */
static json_t *row(const char *sid, unsigned asked, const struct winbind *w, bool alice)
{
    unsigned id = alice ? w->alice : w->staff;
    const char *has = asked == w->alice   ? "S-1-5-21-1-2-3-1105"
                      : asked == w->staff ? "S-1-5-21-1-2-3-1106"
                                          : "";
    return json_pack("{s:i,s:i,s:s,s:i,s:i,s:s,s:s}", "kind", alice ? 0 : 1, "id", (int)asked,
                     "sid", sid, "as", id ? 3 : 0, "as_id", (int)id, "has_sid", has, "name",
                     alice ? "alice" : "staff");
}

static json_t *told(const struct winbind *here, const struct winbind *w)
{
    json_t *list = json_array();
    (void)json_array_append_new(list, row("S-1-5-21-1-2-3-1105", here->alice, w, true));
    (void)json_array_append_new(list, row("S-1-5-21-1-2-3-1106", here->staff, w, false));
    CLEANUP(mem_free) char *text = xasprintf("[\"%s\"]", w->backends);
    return json_pack("{s:o,s:o}", "list", list, "backends", json_loads(text, 0, NULL));
}

static size_t check_of(const char *id)
{
    size_t i = 0;
    for (const struct check_info *c; (c = workload_files.check_info(i)) != NULL; i++)
        if (strcmp(c->id, id) == 0)
            return i;
    fail_msg("no check %s", id);
    return 0;
}

static void back_ends_are_compared(void **state)
{
    (void)state;
    static const struct {
        const struct winbind *here, *there;
        enum check_result want;
        const char *says;
    } cases[] = {
        {&rid,          &rid,           CHECK_PASS, "2 ids and SIDs are the same"                       },
        {&rid,          &rid_other,     CHECK_FAIL, "alice is uid and gid 101105 here and 201105 there" },
        {&rid,          &rid_narrow,    CHECK_FAIL, "staff is uid and gid 101106 here and nobody there" },
        {&rid,          &rid_overlaps,  CHECK_WARN, "on the destination the ranges of * and LAB overlap"},
        {&rid_overlaps, &rid,           CHECK_WARN, "on the source the ranges of * and LAB overlap"     },
        {&rid,          &no_range,      CHECK_WARN, "LAB has no range"                                  },
        {&rid,          &autorid,       CHECK_PASS, ""                                                  },
        {&autorid,      &autorid_later, CHECK_FAIL, "201105 there"                                      },
        {&ad,           &ad,            CHECK_PASS, ""                                                  },
        {&ad,           &ad_unset,      CHECK_FAIL, "nobody there"                                      },
        {&rid,          &ad,            CHECK_FAIL, "10005 there"                                       },
        {&tdb,          &tdb,           CHECK_PASS, ""                                                  },
        {&tdb,          &tdb_fresh,     CHECK_FAIL, "nobody there"                                      },
        {&tdb,          &tdb_swapped,   CHECK_FAIL, "3002 there"                                        },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[300] = "";
        json_t *options = json_object();
        json_t *facts = json_pack("{s:o,s:o}", "identities", told(cases[i].here, cases[i].here),
                                  "identities_there", told(cases[i].here, cases[i].there));
        struct check_pair p = {.facts = facts, .options = options};
        enum check_result got =
            workload_files.check(check_of("identity-maps"), &p, text, sizeof text);
        if (got != cases[i].want || !strstr(text, cases[i].says))
            fail_msg("case %zu: %d '%s'", i, (int)got, text);
        json_decref(facts);
        json_decref(options);
    }
}

static const struct stage *stage(const char *name)
{
    for (size_t i = 0; i < workload_files.nstages; i++)
        if (strcmp(workload_files.stages[i].name, name) == 0)
            return &workload_files.stages[i];
    fail_msg("no stage %s", name);
    return NULL;
}

/* SIDs that became the destination's own are the source's again when it becomes that machine. */
static void a_cutover_takes_sids_as_they_are(void **state)
{
    (void)state;
    static const char ids[] = "uid,1,2\nsid,S-1-5-21-1-2-3-4,S-1-5-21-1-2-3-5";
    static const struct {
        const char *stage, *cutover;
        bool keeps;
    } cases[] = {
        {"Copying",                              "{}",                        false},
        {"Copying",                              "{\"plan\":{\"method\":1}}", false},
        {"Copying what changed (final pass)...", "{\"plan\":{\"method\":1}}", true },
        {"Copying what changed (final pass)...", "{\"plan\":{\"method\":2}}", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *options = json_pack("{s:s,s:s}", "accounts", "rename", "map", ids);
        json_t *facts = json_pack("{s:{s:s},s:o}", "accounts", "map",
                                  "uid,5,6\nsid,S-1-5-21-7-7-7-1,S-1-5-21-8-8-8-1\ngid,7,8\nsid,S-"
                                  "1-5-21-7-7-7-2,S-1-5-21-8-8-8-9\n",
                                  "cutover", json_loads(cases[i].cutover, 0, NULL));
        struct pair_view v = {.options = options, .facts = facts, .stage = stage(cases[i].stage)};
        CLEANUP(mem_free) char *map = files_map_text(&v);
        CLEANUP(mem_free)
        char *want = xasprintf("%s\nuid,5,6\n%sgid,7,8\n%s", ids,
                               cases[i].keeps ? "" : "sid,S-1-5-21-7-7-7-1,S-1-5-21-8-8-8-1\n",
                               cases[i].keeps ? "" : "sid,S-1-5-21-7-7-7-2,S-1-5-21-8-8-8-9\n");
        if (strcmp(map, want) != 0)
            fail_msg("case %zu: %s", i, map);
        assert_true(files_maps_sids(&v));
        (void)json_object_del(facts, "accounts"); /* the job's own row is another matter */
        assert_false(files_maps_sids(&v));
        json_decref(options);
        json_decref(facts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_looked_at),
        cmocka_unit_test(back_ends_are_compared),
        cmocka_unit_test(a_cutover_takes_sids_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
