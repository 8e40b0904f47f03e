/* test_files_shown: what an inventory shows of shares and accounts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/workload.h"
#include "proto/accounts.pb-c.h"
#include "proto/files.pb-c.h"
#include "proto/shares.pb-c.h"
#include "tests/unit/test.h"

static struct fleet_host from = {.name = "fs1"}, to = {.name = "new1"};

static struct pair_view view(json_t *options, json_t *facts)
{
    return (struct pair_view){.job = "0123456789abcdef",
                              .n = 3,
                              .source_host = "fs1",
                              .destination_host = "new1",
                              .source = "/srv/a",
                              .destination = "/srv/b",
                              .options = options,
                              .facts = facts,
                              .from = &from,
                              .to = &to};
}

static const struct stage *stage(const char *name)
{
    for (size_t i = 0; i < workload_files.nstages; i++)
        if (strcmp(workload_files.stages[i].name, name) == 0)
            return &workload_files.stages[i];
    fail_msg("there is no stage %s", name);
    return NULL;
}

static json_t *options_of(const char *text)
{
    struct fault why = {.err = 0};
    json_t *o = json_loads(text, 0, NULL);
    assert_int_equal(workload_files.check_options(o, &why), 0);
    return o;
}

/* The folders of a server's shares go to the count, and what was counted to each share. */
static void each_share_has_what_was_counted(void **state)
{
    (void)state;
    json_t *options = options_of("{\"shares\":\"pair\"}"), *facts = json_object();
    struct pair_view v = view(options, facts);
    struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
    struct fault why = {.err = 0};
    char data[] = "data", path[] = "/srv/x", homes[] = "homes/%S", empty[] = "", more[] = "homes";
    Godwit__Share a = GODWIT__SHARE__INIT, b = a, c = a, d = a, *list[] = {&a, &b, &c, &d};
    Godwit__SharesInventory inv = GODWIT__SHARES_INVENTORY__INIT;
    a.name = b.name = c.name = d.name = data;
    a.path = b.path = c.path = path;
    a.inside = b.inside = c.inside = d.inside = true;
    a.below = homes;
    b.below = more;
    c.below = path;
    c.missing = true;
    d.path = empty; /* [homes] without one */
    inv.n_shares = 4;
    inv.shares = list;
    uint8_t body[512];
    Godwit__Result r = GODWIT__RESULT__INIT;
    const Godwit__Result *given[2] = {&r, NULL};
    r.status = GODWIT__RESULT__STATUS__DONE;
    r.body = (ProtobufCBinaryData){.data = body, .len = godwit__shares_inventory__pack(&inv, body)};
    assert_int_equal(stage("Reading shares")->judge(&v, given, &why), VERDICT_NEXT);
    assert_int_equal(stage("Counting files")->plan(&v, s, &why), 2);
    Godwit__InventoryOrder *o = godwit__inventory_order__unpack(NULL, s[0].args_len, s[0].args);
    assert_int_equal(o->n_parts, 1);
    assert_int_equal(o->parts[0].len, 5);
    assert_memory_equal(o->parts[0].data, "homes", 5);
    Godwit__InventoryPart part = GODWIT__INVENTORY_PART__INIT, *parts[] = {&part};
    Godwit__InventoryResult counted = GODWIT__INVENTORY_RESULT__INIT;
    Godwit__Result silent = GODWIT__RESULT__INIT;
    part.path = o->parts[0];
    part.files = 42;
    counted.n_parts = 1;
    counted.parts = parts;
    r.body =
        (ProtobufCBinaryData){.data = body, .len = godwit__inventory_result__pack(&counted, body)};
    silent.status = GODWIT__RESULT__STATUS__FAILED;
    given[1] = &silent;
    assert_int_equal(stage("Counting files")->judge(&v, given, &why), VERDICT_NEXT);
    json_t *all = workload_files.inventory(facts);
    json_t *shares = json_object_get(json_object_get(all, "shares"), "list");
    for (size_t i = 0; i < 4; i++) {
        json_t *n = json_object_get(json_object_get(json_array_get(shares, i), "counted"), "files");
        assert_int_equal(json_integer_value(n), i < 2 ? 42 : 0);
    }
    json_decref(all);
    godwit__inventory_order__free_unpacked(o, NULL);
    planned_step_done(&s[0]);
    planned_step_done(&s[1]);
    json_decref(options);
    json_decref(facts);
}

/* What cannot be told costs the inventory nothing. */
static void accounts_are_shown_where_somebody_looks(void **state)
{
    (void)state;
    const struct stage *seen = stage("Reading accounts");
    json_t *options = options_of("{}"), *facts = json_object();
    struct pair_view v = view(options, facts);
    v.phase = "inventory";
    assert_true(seen->wanted(&v));
    v.phase = "";
    assert_false(seen->wanted(&v));
    char name[] = "alice", sid[] = "S-1-5-21-1-2-3-1000", text[] = "too many";
    uint8_t body[256];
    Godwit__AccountUser u = GODWIT__ACCOUNT_USER__INIT, *users[] = {&u};
    Godwit__AccountsResult told = GODWIT__ACCOUNTS_RESULT__INIT;
    Godwit__FaultInfo info = GODWIT__FAULT_INFO__INIT;
    Godwit__Result r = GODWIT__RESULT__INIT;
    const Godwit__Result *given[2] = {&r, NULL};
    struct fault why = {.err = 0};
    u.name = name;
    u.sid = sid;
    told.users = users;
    told.n_users = 1;
    r.status = GODWIT__RESULT__STATUS__DONE;
    r.body = (ProtobufCBinaryData){.data = body, .len = godwit__accounts_result__pack(&told, body)};
    assert_int_equal(seen->judge(&v, given, &why), VERDICT_NEXT);
    json_t *accounts = json_object_get(facts, "accounts_seen");
    json_t *one = json_array_get(json_object_get(accounts, "users"), 0);
    assert_string_equal(json_string_value(json_object_get(one, "sid")), sid);
    assert_null(json_object_get(facts, "accounts"));
    info.text = text;
    info.what_next = FAULT_STOP_JOB;
    r.fault = &info;
    r.status = GODWIT__RESULT__STATUS__FAILED;
    assert_int_equal(seen->judge(&v, given, &why), VERDICT_NEXT);
    accounts = json_object_get(facts, "accounts_seen");
    assert_string_equal(json_string_value(json_object_get(accounts, "why")), text);
    json_decref(options);
    json_decref(facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_share_has_what_was_counted),
        cmocka_unit_test(accounts_are_shown_where_somebody_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
