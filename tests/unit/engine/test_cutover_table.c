/* test_cutover_table: the table against the seed's, row by row; orders and what does not apply. */
#include <errno.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/workload/cutover_table.h"
#include "tests/unit/test.h"

static const struct {
    unsigned percent;
    const char *text;
} seed[] = {
    {0,   "The cutover is idle."                                                            },
    {2,   "Connecting to the source computer..."                                            },
    {5,   "Connecting to the destination computer..."                                       },
    {6,   "Setting security permissions on the computer object in Active Directory..."      },
    {8,   "Making sure that the temporary account that we created was successfully deleted on the "
        "source computer..."                                                         },
    {11,  "Creating a temporary local user account on the source computer..."               },
    {13,  "Setting the local account token filter policy on the source computer..."         },
    {16,  "Connecting to the source computer using the temporary local user account..."     },
    {19,  "Making sure that the temporary account that we created was successfully deleted on the "
         "destination computer..."                                                  },
    {22,  "Creating a temporary local user account on the destination computer..."          },
    {25,  "Setting the local account token filter policy on the destination computer..."    },
    {27,  "Connecting to the destination computer using the temporary local user account..."},
    {30,  "Removing the source computer from the domain..."                                 },
    {31,  "Collecting the source computer IP addresses."                                    },
    {33,  "Restarting the source computer... (1st restart)"                                 },
    {36,  "Waiting for the source computer to respond after the 1st restart..."             },
    {38,  "Mapping network interfaces on the source computer..."                            },
    {41,  "Renaming the source computer..."                                                 },
    {42,  "Restarting the source computer... (1st restart)"                                 },
    {43,  "Restarting the source computer... (2nd restart)"                                 },
    {43,  "Waiting for the source computer to respond after the 1st restart..."             },
    {43,  "Waiting for the source computer to respond after the 2nd restart..."             },
    {44,  "Adding the source computer to the domain..."                                     },
    {47,  "Restarting the source computer... (1st restart)"                                 },
    {50,  "Restarting the source computer... (2nd restart)"                                 },
    {51,  "Restarting the source computer... (3rd restart)"                                 },
    {52,  "Waiting for the source computer to respond..."                                   },
    {52,  "Waiting for the source computer to respond after the 1st restart..."             },
    {55,  "Waiting for the source computer to respond after the 2nd restart..."             },
    {56,  "Waiting for the source computer to respond after the 3rd restart..."             },
    {57,  "Removing alternate computer names on the source..."                              },
    {58,  "Removing a temporary local account we created on the source computer..."         },
    {61,  "Resetting the local account token filter policy on the source computer..."       },
    {63,  "Removing the destination computer from the domain..."                            },
    {66,  "Restarting the destination computer... (1st restart)"                            },
    {69,  "Waiting for the destination computer to respond after the 1st restart..."        },
    {72,  "Mapping network interfaces on destination computer..."                           },
    {75,  "Renaming the destination computer..."                                            },
    {77,  "Adding the destination computer to the domain..."                                },
    {80,  "Restarting the destination computer... (1st restart)"                            },
    {83,  "Restarting the destination computer... (2nd restart)"                            },
    {84,  "Waiting for the destination computer to respond..."                              },
    {86,  "Waiting for the destination computer to respond after the 1st restart..."        },
    {88,  "Waiting for the destination computer to respond after the 2nd restart..."        },
    {91,  "Waiting for the destination computer to respond with the new name..."            },
    {93,  "Removing alternate computer names on the destination..."                         },
    {94,  "Removing a temporary local account we created on the destination computer..."    },
    {97,  "Resetting the local account token filter policy on the destination computer..."  },
    {100, "Succeeded"                                                                       },
};

static void every_stage_of_the_seed_is_there_in_its_order(void **state)
{
    (void)state;
    size_t n = 0;
    for (unsigned i = 0; i < CUTOVER_ROWS; i++) {
        const struct cutover_row *r = &cutover_rows[i];
        assert_non_null(r->id);
        if (r->own)
            continue;
        assert_true(n < ARRAY_SIZE(seed));
        assert_int_equal(r->seed, seed[n].percent);
        assert_string_equal(r->text, seed[n].text);
        n++;
    }
    assert_int_equal(n, ARRAY_SIZE(seed));
}

static void ids_are_unique_and_every_row_is_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CUTOVER_ROWS; i++) {
        const struct cutover_row *r = &cutover_rows[i];
        assert_int_equal(cutover_find(r->id), i);
        assert_true(r->percent <= 100 && r->seed <= 100);
        if (r->by == DOER_NOBODY) {
            assert_non_null(r->otherwise);
            continue;
        }
        assert_true(r->when & (IN_TRANSPLANT | IN_REJOIN));
        assert_true(r->when & (IN_DOMAIN | IN_WORKGROUP));
        if (r->by != DOER_IDENTITY)
            continue;
        assert_non_null(r->stage);
        assert_true(r->on != ON_NONE);
        assert_true(r->limit_s > 0);
        assert_non_null(r->waits);
        if (r->when != IN_ALL)
            assert_non_null(r->otherwise);
    }
    assert_int_equal(cutover_find("nothing"), CUTOVER_NO_ROW);
}

static unsigned place_of(enum cutover_method m, const char *id)
{
    unsigned order[CUTOVER_ROWS], at = 0;
    cutover_order(m, order);
    while (at < CUTOVER_ROWS && strcmp(cutover_rows[order[at]].id, id) != 0)
        at++;
    return at;
}

static void orders_have_every_row_once_and_rise(void **state)
{
    (void)state;
    for (int m = 0; m < METHODS; m++) {
        unsigned order[CUTOVER_ROWS];
        bool seen[CUTOVER_ROWS] = {false};
        cutover_order((enum cutover_method)m, order);
        for (unsigned i = 0; i < CUTOVER_ROWS; i++) {
            assert_false(seen[order[i]]);
            seen[order[i]] = true;
            if (i > 0)
                assert_true(cutover_percent(&cutover_rows[order[i - 1]], (enum cutover_method)m) <=
                            cutover_percent(&cutover_rows[order[i]], (enum cutover_method)m));
        }
    }
}

/* What users do not wait for stands before the shares are closed, or after they are served. */
static void assert_rising(enum cutover_method m, const char *const *ids)
{
    for (size_t i = 1; ids[i]; i++)
        assert_true(place_of(m, ids[i - 1]) < place_of(m, ids[i]));
}

static void nothing_serves_twice(void **state)
{
    static const char *const transplant[] = {
        "source.guard",
        "destination.guard",
        "destination.stop",
        "source.fence",
        "final",
        "source.close",
        "stop",
        "last",
        "bundle",
        "source.addresses",
        "destination.names",
        "destination.join",
        "destination.addresses",
        "destination.start",
        "users",
        "destination.unguard",
        "source.unguard",
        "source.join",
        NULL,
    };
    static const char *const rejoin[] = {
        "destination.guard",
        "destination.stop",
        "destination.leave",
        "source.fence",
        "final",
        "source.close",
        "stop",
        "last",
        "source.addresses",
        "source.leave",
        "destination.names",
        "destination.addresses",
        "destination.join",
        "destination.start",
        "users",
        "destination.unguard",
        "source.unguard",
        "source.join",
        "source.dns",
        NULL,
    };
    (void)state;
    assert_rising(METHOD_TRANSPLANT, transplant);
    assert_rising(METHOD_REJOIN, rejoin);
}

/* An order has the rows that stand behind each other: one that does not belong would part them. */
static void the_rows_of_a_swap_stand_together(void **state)
{
    (void)state;
    for (int m = 0; m < METHODS; m++) {
        unsigned order[CUTOVER_ROWS], runs = 0;
        cutover_order((enum cutover_method)m, order);
        bool within = false;
        for (unsigned i = 0; i < CUTOVER_ROWS; i++) {
            const struct cutover_row *r = &cutover_rows[order[i]];
            if (cutover_why_not(r, (enum cutover_method)m, true))
                continue;
            bool swaps = r->swap;
            runs += swaps && !within;
            within = swaps;
        }
        assert_int_equal(runs, 2); /* the source's end, and the change of places */
    }
}

static void what_does_not_apply_says_why(void **state)
{
    static const struct {
        const char *id;
        enum cutover_method m;
        bool domain;
        const char *why;
    } cases[] = {
        {"source.join",      METHOD_TRANSPLANT, false, "the servers are in no domain"                 },
        {"source.join",      METHOD_TRANSPLANT, true,  NULL                                           },
        {"source.leave",     METHOD_TRANSPLANT, true,  "its account moves to the destination as it is"},
        {"source.leave",     METHOD_REJOIN,     true,  NULL                                           },
        {"bundle",           METHOD_REJOIN,     true,  "rejoin takes no secrets along"                },
        {"bundle",           METHOD_TRANSPLANT, false, NULL                                           },
        {"source.wait.1",    METHOD_REJOIN,     true,  "services are restarted, the host is not"      },
        {"source.restart.3", METHOD_REJOIN,     true,  "only for Windows Server 2003"                 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *why =
            cutover_why_not(&cutover_rows[cutover_find(cases[i].id)], cases[i].m, cases[i].domain);
        if (cases[i].why)
            assert_string_equal(why, cases[i].why);
        else
            assert_null(why);
    }
    assert_int_equal(cutover_method_parse("rejoin"), METHOD_REJOIN);
    assert_int_equal(cutover_method_parse("magic"), -EINVAL);
    assert_string_equal(cutover_method_name(METHOD_TRANSPLANT), "transplant");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_of_the_seed_is_there_in_its_order),
        cmocka_unit_test(ids_are_unique_and_every_row_is_whole),
        cmocka_unit_test(orders_have_every_row_once_and_rise),
        cmocka_unit_test(nothing_serves_twice),
        cmocka_unit_test(the_rows_of_a_swap_stand_together),
        cmocka_unit_test(what_does_not_apply_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
