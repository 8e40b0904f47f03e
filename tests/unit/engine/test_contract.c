/* test_contract: the same class is another matter where one side is read or written over SMB. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "orchestrator/workload/files_contract.h"
#include "tests/unit/test.h"

static void the_contract_of_an_endpoint(void **state)
{
    (void)state;
    static const struct {
        const char *trait, *side, *verdict;
    } cases[] = {
        {"reparse-points", "from_endpoint", "lost"      },
        {"names-too-long", "from_endpoint", "lost"      },
        {"streams-large",  "from_endpoint", "unknown"   },
        {"hard-links",     "from_endpoint", "translated"},
        {"sparse",         "from_endpoint", "translated"},
        {"locked-now",     "from_endpoint", "note"      },
        {"hard-links",     "to_endpoint",   "translated"},
        {"fifos-sockets",  "to_endpoint",   "lost"      },
        {"streams-depot",  "to_endpoint",   "kept"      },
        {"streams-depot",  "of_nobody",     "lost"      },
        {"hard-links",     "of_nobody",     "kept"      },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *facts = json_pack("{s:[{s:s,s:i}],s:b}", "traits", "name", cases[i].trait, "count",
                                  2, cases[i].side, 1);
        json_t *options = json_object(), *contract = contract_json(facts, options);
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(contract, 0), "verdict")),
            cases[i].verdict);
        json_decref(contract);
        json_decref(options);
        json_decref(facts);
    }
}

static void a_depot_holds_large_streams(void **state)
{
    (void)state;
    for (int has = 0; has < 2; has++) {
        json_t *facts = json_pack("{s:[{s:s,s:i}],s:b,s:{s:b}}", "traits", "name", "streams-large",
                                  "count", 1, "from_endpoint", 1, "place", "has_depot", has);
        json_t *options = json_object();
        char open[120];
        assert_int_equal(contract_open(facts, options, open, sizeof open), !has);
        json_decref(options);
        json_decref(facts);
    }
}

static void losses_of_endpoints_can_be_accepted(void **state)
{
    (void)state;
    struct fault why;
    assert_int_equal(contract_check_class("reparse-points", &why), 0);
    assert_int_equal(contract_check_class("streams-large", &why), 0);
    assert_int_equal(contract_check_class("of-tomorrow", &why), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract_of_an_endpoint),
        cmocka_unit_test(a_depot_holds_large_streams),
        cmocka_unit_test(losses_of_endpoints_can_be_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
