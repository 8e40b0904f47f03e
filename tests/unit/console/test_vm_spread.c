/* test_vm_spread: which host is tried for which machine of a host that is to be emptied. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/show.h"
#include "orchestrator/console/vm_spread.h"
#include "tests/unit/test.h"

static json_t *fleet(void)
{
    json_t *j = json_loads(
        "{\"hosts\": [{\"host\": \"a\", \"answer\": {\"host\": {\"memory_free_bytes\": 1}, "
        "\"domains\": ["
        "{\"name\": \"small\", \"memory_bytes\": 10}, {\"name\": \"large\", \"memory_bytes\": 60},"
        "{\"name\": \"huge\", \"memory_bytes\": 500}, {\"name\": \"also\", \"memory_bytes\": "
        "60}]}},"
        "{\"host\": \"b\", \"answer\": {\"host\": {\"memory_free_bytes\": 100}, \"domains\": []}},"
        "{\"host\": \"c\", \"answer\": {\"host\": {\"memory_free_bytes\": 90}, \"domains\": []}},"
        "{\"host\": \"d\", \"why\": \"it is lost\"}]}",
        0, NULL);
    assert_non_null(j);
    return j;
}

static void machines_go_where_most_is_free_the_largest_first(void **state)
{
    static const char *const want[] = {"huge:", "also:b", "large:c", "small:b"};
    struct spread s;
    (void)state;
    json_t *j = fleet(), *machine;
    size_t i;
    assert_int_equal(spread_new(j, "a", NULL, &s), 0);
    assert_int_equal(s.nhosts, 2);
    json_array_foreach(s.machines, i, machine)
    {
        uint64_t memory = (uint64_t)show_int(machine, "memory_bytes");
        spread_begin(&s);
        struct spread_host *h = spread_next(&s, memory);
        CLEANUP(mem_free)
        char *got = xasprintf("%s:%s", show_str(machine, "name"), h ? h->name : "");
        assert_string_equal(got, want[i]);
        if (h)
            h->free -= memory;
    }
    spread_done(&s);
    json_decref(j);
}

static void a_host_that_may_not_take_it_is_not_asked_twice(void **state)
{
    struct spread s;
    (void)state;
    json_t *j = fleet();
    assert_int_equal(spread_new(j, "a", NULL, &s), 0);
    spread_begin(&s);
    assert_string_equal(spread_next(&s, 10)->name, "b");
    assert_string_equal(spread_next(&s, 10)->name, "c");
    assert_null(spread_next(&s, 10));
    spread_done(&s);
    assert_int_equal(spread_new(j, "a", "c", &s), 0);
    assert_int_equal(s.nhosts, 1);
    spread_done(&s);
    assert_int_equal(spread_new(j, "d", NULL, &s), -ENOENT);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_go_where_most_is_free_the_largest_first),
        cmocka_unit_test(a_host_that_may_not_take_it_is_not_asked_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
