/* test_files: what the files workload orders, and how it judges what comes back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/workload.h"
#include "proto/files.pb-c.h"
#include "tests/unit/test.h"

static const uint8_t from_pin[32] = {1}, to_pin[32] = {2};
static struct fleet_host from = {.name = "fs1", .lane_pin = from_pin, .lane_address = "", .can = 7};
static struct fleet_host to = {
    .name = "new1", .lane_pin = to_pin, .lane_address = "192.0.2.7", .lane_port = 7410};

static struct pair_view view(json_t *options, json_t *facts)
{
    return (struct pair_view){.job = "0123456789abcdef",
                              .n = 3,
                              .source_host = "fs1",
                              .destination_host = "new1",
                              .source = "/srv/\xff",
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

static void both_sides_of_a_transfer_get_the_same_ticket(void **state)
{
    (void)state;
    json_t *options =
        options_of("{\"delete\":true,\"compress\":\"off\",\"lanes\":3,\"snapshot\":\"hook:web\"}");
    json_t *facts = json_object();
    struct pair_view v = view(options, facts);
    struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
    struct fault why = {.err = 0};
    v.only_failed = true;
    assert_int_equal(stage("Copying")->plan(&v, s, &why), 2);
    assert_string_equal(s[0].kind, "files.receive");
    assert_int_equal(s[0].side, SIDE_DESTINATION);
    assert_string_equal(s[1].kind, "files.send");
    assert_int_equal(s[1].side, SIDE_SOURCE);
    assert_string_not_equal(s[0].op_id, s[1].op_id);
    Godwit__ReceiveOrder *r = godwit__receive_order__unpack(NULL, s[0].args_len, s[0].args);
    Godwit__SendOrder *t = godwit__send_order__unpack(NULL, s[1].args_len, s[1].args);
    assert_non_null(r);
    assert_non_null(t);
    assert_string_equal(r->ticket->id, s[0].op_id);
    assert_string_equal(t->ticket->id, s[0].op_id);
    assert_int_equal(r->ticket->secret.len, 32);
    assert_memory_equal(r->ticket->secret.data, t->ticket->secret.data, 32);
    assert_true(r->ticket->not_after_ms > clock_wall_ms() + 23 * 3600000);
    assert_true(r->ticket->not_after_ms <= clock_wall_ms() + 24 * 3600000);
    assert_memory_equal(r->peer_pin.data, from_pin, 32);
    assert_memory_equal(t->peer_pin.data, to_pin, 32);
    assert_string_equal(t->peer_endpoints[0], "192.0.2.7:7410");
    assert_string_equal(r->pair, "0123456789abcdef.3");
    assert_string_equal(r->pair, t->pair);
    assert_memory_equal(t->path.data, "/srv/\xff", 6);
    assert_true(t->options->delete_extras && r->options->delete_extras);
    assert_int_equal(t->options->compress, 2);
    assert_string_equal(t->options->snapshot, "hook:web");
    assert_int_equal(t->options->lanes, 3);
    assert_true(t->options->only_failed);
    godwit__receive_order__free_unpacked(r, NULL);
    godwit__send_order__free_unpacked(t, NULL);
    planned_step_done(&s[0]);
    planned_step_done(&s[1]);
    json_decref(options);
    json_decref(facts);
}

static void a_peer_that_cannot_be_reached_is_a_reason_to_wait(void **state)
{
    (void)state;
    json_t *options = options_of("{}"), *facts = json_object();
    struct pair_view v = view(options, facts);
    struct fleet_host nowhere = to;
    struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
    struct fault why = {.err = 0};
    nowhere.lane_address = "";
    v.to = &nowhere;
    assert_true(stage("Copying")->plan(&v, s, &why) < 0);
    assert_int_equal(why.what_next, FAULT_RETRY);
    nowhere = to;
    nowhere.lane_address = "2001:db8::7";
    assert_int_equal(stage("Copying")->plan(&v, s, &why), 2);
    Godwit__SendOrder *t = godwit__send_order__unpack(NULL, s[1].args_len, s[1].args);
    assert_string_equal(t->peer_endpoints[0], "[2001:db8::7]:7410");
    godwit__send_order__free_unpacked(t, NULL);
    planned_step_done(&s[0]);
    planned_step_done(&s[1]);
    json_decref(options);
    json_decref(facts);
}

static void cleaning_walks_only_where_something_may_be_left(void **state)
{
    (void)state;
    json_t *options = options_of("{}"), *facts = json_object();
    struct pair_view v = view(options, facts);
    struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
    assert_int_equal(workload_files.clean(&v, false, s), 0);
    (void)json_object_set_new(facts, "prepare", json_object());
    for (int whole = 0; whole < 2; whole++) {
        assert_int_equal(workload_files.clean(&v, whole, s), 2);
        assert_int_equal(s[0].side, SIDE_SOURCE);
        assert_int_equal(s[1].side, SIDE_DESTINATION);
        Godwit__CleanOrder *from_order =
            godwit__clean_order__unpack(NULL, s[0].args_len, s[0].args);
        Godwit__CleanOrder *to_order = godwit__clean_order__unpack(NULL, s[1].args_len, s[1].args);
        assert_string_equal(from_order->pair, "0123456789abcdef.3");
        assert_string_equal(to_order->pair, "0123456789abcdef.3");
        assert_int_equal(from_order->path.len, 0);
        assert_int_equal(to_order->path.len, whole ? 0 : strlen("/srv/b"));
        godwit__clean_order__free_unpacked(from_order, NULL);
        godwit__clean_order__free_unpacked(to_order, NULL);
        planned_step_done(&s[0]);
        planned_step_done(&s[1]);
        memset(s, 0, sizeof s);
    }
    json_decref(options);
    json_decref(facts);
}

static void a_dry_run_makes_no_folder(void **state)
{
    (void)state;
    json_t *options = options_of("{}"), *facts = json_object();
    struct pair_view v = view(options, facts);
    for (int dry = 0; dry < 2; dry++) {
        struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
        struct fault why = {.err = 0};
        v.dry_run = dry;
        assert_int_equal(stage("Checking the destination")->plan(&v, s, &why), 1);
        Godwit__PrepareOrder *o = godwit__prepare_order__unpack(NULL, s[0].args_len, s[0].args);
        assert_int_equal(o->create, !dry);
        godwit__prepare_order__free_unpacked(o, NULL);
        planned_step_done(&s[0]);
    }
    json_decref(options);
    json_decref(facts);
}

/* Status of receive and of send: D, P, R(etry), F(ailed), S(topped), '-' still out. */
static void a_transfer_is_judged_by_its_worse_side(void **state)
{
    static const struct {
        char receive, send;
        enum verdict want;
    } cases[] = {
        {'-', '-', VERDICT_WAIT   },
        {'D', '-', VERDICT_WAIT   },
        {'-', 'P', VERDICT_WAIT   },
        {'D', 'D', VERDICT_NEXT   },
        {'P', 'D', VERDICT_PARTIAL},
        {'D', 'P', VERDICT_PARTIAL},
        {'R', '-', VERDICT_AGAIN  },
        {'-', 'R', VERDICT_AGAIN  },
        {'S', 'D', VERDICT_AGAIN  },
        {'R', 'F', VERDICT_FAIL   },
        {'F', 'R', VERDICT_FAIL   },
        {'F', 'S', VERDICT_FAIL   },
        {'F', '-', VERDICT_FAIL   },
        {'P', 'S', VERDICT_AGAIN  },
    };
    (void)state;
    json_t *facts = json_object();
    struct pair_view v = view(NULL, facts);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char letters[2] = {cases[i].receive, cases[i].send};
        Godwit__Result r[2];
        Godwit__FaultInfo f[2];
        const Godwit__Result *given[2] = {NULL, NULL};
        char text[] = "why";
        struct fault why = {.err = 0};
        for (int side = 0; side < 2; side++) {
            godwit__result__init(&r[side]);
            godwit__fault_info__init(&f[side]);
            f[side].text = text;
            f[side].what_next = letters[side] == 'R' ? FAULT_RETRY : FAULT_STOP_JOB;
            r[side].fault = &f[side];
            r[side].status = letters[side] == 'D'   ? GODWIT__RESULT__STATUS__DONE
                             : letters[side] == 'P' ? GODWIT__RESULT__STATUS__PARTIAL
                             : letters[side] == 'S' ? GODWIT__RESULT__STATUS__STOPPED
                                                    : GODWIT__RESULT__STATUS__FAILED;
            given[side] = letters[side] == '-' ? NULL : &r[side];
        }
        enum verdict got = stage("Copying")->judge(&v, given, &why);
        if (got != cases[i].want)
            fail_msg("receive %c, send %c: %d", letters[0], letters[1], (int)got);
    }
    json_decref(facts);
}

static enum verdict judge_prepare(json_t *facts, uint64_t bytes, uint64_t room, bool empty)
{
    uint8_t inventory[64], prepare[64];
    Godwit__InventoryResult i = GODWIT__INVENTORY_RESULT__INIT;
    Godwit__PrepareResult p = GODWIT__PREPARE_RESULT__INIT;
    Godwit__Result r = GODWIT__RESULT__INIT;
    Godwit__Result silent = GODWIT__RESULT__INIT;
    const Godwit__Result *given[2] = {&r, NULL};
    struct fault why = {.err = 0};
    json_t *options = options_of("{}");
    struct pair_view v = view(options, facts);
    silent.status = GODWIT__RESULT__STATUS__FAILED;
    i.bytes = i.allocated_bytes = bytes;
    r.status = GODWIT__RESULT__STATUS__DONE;
    r.body = (ProtobufCBinaryData){.data = inventory,
                                   .len = godwit__inventory_result__pack(&i, inventory)};
    assert_int_equal(stage("Counting files")->judge(&v, given, &why), VERDICT_WAIT);
    given[1] = &silent; /* a destination that says nothing of itself is no failure of the count */
    assert_int_equal(stage("Counting files")->judge(&v, given, &why), VERDICT_NEXT);
    Godwit__FaultInfo full =
        GODWIT__FAULT_INFO__INIT; /* but one that could not just now is asked again */
    full.what_next = FAULT_RETRY;
    full.err = ENOSPC;
    silent.fault = &full;
    assert_int_equal(stage("Counting files")->judge(&v, given, &why), VERDICT_AGAIN);
    assert_int_equal(why.err, ENOSPC);
    p.fs_free = room;
    p.empty = empty;
    r.body =
        (ProtobufCBinaryData){.data = prepare, .len = godwit__prepare_result__pack(&p, prepare)};
    enum verdict ret = stage("Checking the destination")->judge(&v, given, &why);
    json_decref(options);
    return ret;
}

static void a_source_that_cannot_fit_is_refused_before_it_is_sent(void **state)
{
    (void)state;
    json_t *facts = json_object();
    assert_int_equal(judge_prepare(facts, 100, 1000, true), VERDICT_NEXT);
    assert_int_equal(judge_prepare(facts, 1000, 100, true), VERDICT_FAIL);
    assert_int_equal(judge_prepare(facts, 1000, 100, false), VERDICT_NEXT); /* a later pass */
    json_t *inventory = workload_files.inventory(facts);
    assert_int_equal(json_integer_value(json_object_get(inventory, "bytes")), 1000);
    json_decref(inventory);
    json_decref(facts);
}

static void a_damaged_body_fails_the_pair(void **state)
{
    (void)state;
    uint8_t noise[] = {0xff, 0xff, 0xff};
    Godwit__Result r = GODWIT__RESULT__INIT;
    const Godwit__Result *given[2] = {&r, &r};
    struct fault why = {.err = 0};
    json_t *facts = json_object();
    struct pair_view v = view(NULL, facts);
    r.status = GODWIT__RESULT__STATUS__DONE;
    r.body = (ProtobufCBinaryData){.data = noise, .len = sizeof noise};
    assert_int_equal(stage("Counting files")->judge(&v, given, &why), VERDICT_FAIL);
    assert_int_equal(stage("Checking the destination")->judge(&v, given, &why), VERDICT_FAIL);
    json_decref(facts);
}

/* One class at a destination that is or is not root and has what place says. */
static void losses_have_to_be_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *trait, *place, *accepted, *verdict;
        bool refused;
    } cases[] = {
        {"posix-acl",     "{\"has_acl\":true}",                             "[]",                 "kept",       false},
        {"posix-acl",     "{\"has_acl\":false}",                            "[]",                 "lost",       true },
        {"posix-acl",     "{\"has_acl\":false}",                            "[\"posix-acl\"]",    "lost",       false},
        {"posix-acl",     "{\"has_acl\":false}",                            "[\"all\"]",          "lost",       false},
        {"posix-acl",     "{\"has_acl\":false}",                            "[\"owners\"]",       "lost",       true },
        {"posix-acl",     "null",                                           "[]",                 "unknown",    true },
        {"nt-acl",        "{\"has_xattr\":true,\"privileged\":false}",      "[]",                 "lost",       true },
        {"nt-acl",        "{\"has_xattr\":true,\"privileged\":true}",       "[]",                 "kept",       false},
        {"owners",        "{\"privileged\":false}",                         "[]",                 "lost",       true },
        {"quotas-user",   "{\"has_user_quotas\":true,\"privileged\":true}", "[]",                 "kept",       false},
        {"quotas-group",  "{\"has_user_quotas\":true,\"privileged\":true}", "[]",                 "lost",       true },
        {"quotas-group",  "{\"privileged\":true}",                          "[\"quotas-group\"]", "lost",       false},
        {"birth-time",    "{}",                                             "[]",                 "lost",       false},
        {"verity",        "{}",                                             "[]",                 "lost",       true },
        {"shared-blocks", "{}",                                             "[]",                 "translated", false},
        {"shared-blocks", "null",                                           "[]",                 "translated", false},
        {"shared-blocks", "{\"has_reflinks\":true}",                        "[]",                 "kept",       false},
        {"sparse",        "null",                                           "[]",                 "kept",       false},
        {"smb-names",     "null",                                           "[]",                 "note",       false},
        {"of-tomorrow",   "null",                                           "[]",                 "note",       false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *text = xasprintf("{\"traits\":[{\"name\":\"%s\",\"count\":2,\"examples\":[\"a\"]}],"
                               "\"accept_loss\":%s}",
                               cases[i].trait, cases[i].accepted);
        json_t *facts = json_loads(text, 0, NULL), *options = options_of("{}");
        json_t *place = json_loads(cases[i].place, JSON_DECODE_ANY, NULL);
        if (!json_is_null(place))
            (void)json_object_set(facts, "place", place);
        struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
        struct pair_view v = view(options, facts);
        struct fault why = {.err = 0};
        json_t *contract = workload_files.contract(facts, options);
        const char *verdict =
            json_string_value(json_object_get(json_array_get(contract, 0), "verdict"));
        assert_string_equal(verdict, cases[i].verdict);
        int rc = stage("Checking the destination")->plan(&v, s, &why);
        if ((rc == -EREMOTEIO) != cases[i].refused)
            fail_msg("%s at %s: %d %s", cases[i].trait, cases[i].place, rc, why.text);
        if (rc < 0)
            assert_non_null(strstr(why.text, cases[i].trait));
        planned_step_done(&s[0]);
        v.dry_run = true;
        assert_int_equal(stage("Checking the destination")->plan(&v, s, &why), 1);
        planned_step_done(&s[0]);
        json_decref(contract);
        json_decref(place);
        json_decref(options);
        json_decref(facts);
        free(text);
    }
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

/* Who the data's owners are on both hosts: rows of the source's list and of the destination's. */
static void identities_are_compared_in_both_directions(void **state)
{
    (void)state;
#define DOM "S-1-5-21-1-2-3-"
#define OWN "S-1-5-21-7-7-7-"
    static const struct {
        const char *here, *there, *options;
        int want; /* -1: the start is refused too */
        const char *says;
    } cases[] = {
#define ALICE(id) "\"kind\":0,\"id\":" #id ",\"sid\":\"" DOM "1105\""
  /* the same id, and that id is the same SID */
        {"{" ALICE(11) ",\"as\":3,\"as_id\":11,\"name\":\"alice\"}",
         "{" ALICE(11) ",\"as\":3,\"as_id\":11,\"has_sid\":\"" DOM "1105\"}",                                           "{}", CHECK_PASS,
         "1 ids"                                                                                                                                                              },
 /* another id there; with a map it is the right one */
        {"{" ALICE(11) ",\"as\":3,\"as_id\":11,\"name\":\"alice\"}",
         "{" ALICE(11) ",\"as\":3,\"as_id\":21}",                                                                       "{}", -1,
         "alice is uid and gid 11 here and 21 there"                                                                                                                          },
        {"{" ALICE(11) ",\"as\":3,\"as_id\":11}",
         "{" ALICE(21) ",\"as\":3,\"as_id\":21,\"has_sid\":\"" DOM "1105\"}",
         "{\"map\":\"uid,11,21\"}",                                                                                           CHECK_PASS, ""                                  },
 /* one direction alone is not enough */
        {"{" ALICE(11) ",\"as\":1,\"as_id\":11,\"name\":\"alice\"}",
         "{" ALICE(11) ",\"as\":1,\"as_id\":11,\"has_sid\":\"" DOM "9\",\"name\":\"bob\"}",                             "{}",
         -1,                                                                                                                              "uid 11 is alice here and bob there"},
        {"{" ALICE(11) ",\"as\":1,\"as_id\":11,\"name\":\"alice\"}",   "{" ALICE(11) ",\"as\":0}",
         "{}",                                                                                                                -1,         "nobody there"                      },
 /* a SID in an NT ACL */
        {"{\"kind\":2,\"sid\":\"" DOM "1200\",\"as\":2,\"as_id\":12}",
         "{\"kind\":2,\"sid\":\"" DOM "1200\",\"as\":2,\"as_id\":13}",                                                  "{}", -1,
         "gid 12 here and 13 there"                                                                                                                                           },
 /* that nobody of the network has */
        {"{\"kind\":2,\"sid\":\"" DOM "66\",\"as\":0}",
         "{\"kind\":2,\"sid\":\"" DOM "66\",\"as\":0}",                                                                 "{}", CHECK_PASS, ""                                  },
 /* local accounts: names decide, and a person */
        {"{\"kind\":0,\"id\":1001,\"name\":\"ann\"}",                  "{\"kind\":0,\"id\":1001,\"name\":\"ann\"}",
         "{}",                                                                                                                CHECK_PASS, ""                                  },
        {"{\"kind\":1,\"id\":1001,\"name\":\"ann\"}",                  "{\"kind\":1,\"id\":1001,\"name\":\"bea\"}",
         "{}",                                                                                                                CHECK_WARN, "1 of local"                        },
        {"{\"kind\":1,\"id\":1001,\"name\":\"ann\"}",                  "{\"kind\":1,\"id\":1001}",
         "{\"accounts\":\"merge\"}",                                                                                          CHECK_PASS, ""                                  },
        {"{\"kind\":2,\"sid\":\"" OWN "1001\"}",                       "{\"kind\":2,\"sid\":\"" OWN "1001\",\"as\":0}",
         "{}",                                                                                                                CHECK_WARN, ""                                  },
 /* which move with accounts, unless passwords stay; of nobody no host says more */
        {"{\"kind\":2,\"sid\":\"" OWN "1001\"}",                       "{\"kind\":2,\"sid\":\"" OWN "1001\",\"as\":0}",
         "{\"accounts\":\"rename\"}",                                                                                         CHECK_PASS, "1 ids"                             },
        {"{\"kind\":2,\"sid\":\"" OWN "1001\"}",                       "{\"kind\":2,\"sid\":\"" OWN "1001\",\"as\":0}",
         "{\"accounts\":\"rename\",\"passwords\":\"lock\"}",                                                                  CHECK_WARN, "1 of local"                        },
        {"{\"kind\":2,\"sid\":\"" OWN "1001\",\"nobody\":true}",
         "{\"kind\":2,\"sid\":\"" OWN "1001\",\"as\":0}",                                                               "{}", CHECK_PASS, ""                                  },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[240];
        CLEANUP(mem_free)
        char *all = xasprintf("{\"identities\":{\"machine_sid\":\"S-1-5-21-7-7-7\",\"list\":[%s]},"
                              "\"identities_there\":{\"list\":[%s]}}",
                              cases[i].here, cases[i].there);
        json_t *options = options_of(cases[i].options), *facts = json_loads(all, 0, NULL);
        struct check_pair about = {.facts = facts, .options = options};
        struct pair_view v = view(options, facts);
        struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
        struct fault why = {.err = 0};
        enum check_result want = cases[i].want < 0 ? CHECK_FAIL : (enum check_result)cases[i].want;
        assert_non_null(facts);
        if (workload_files.check(check_of("identity-maps"), &about, text, sizeof text) != want ||
            !strstr(text, cases[i].says))
            fail_msg("case %zu: %s", i, text);
        int rc = stage("Checking the destination")->plan(&v, s, &why);
        assert_int_equal(rc == -EREMOTEIO, cases[i].want < 0);
        planned_step_done(&s[0]);
        (void)json_object_set_new(facts, "override", json_pack("[s]", "identity-maps"));
        assert_int_equal(stage("Checking the destination")->plan(&v, s, &why), 1);
        planned_step_done(&s[0]);
        json_decref(options);
        json_decref(facts);
    }
}

static void ids_of_a_proxy_are_compared_with_nobody_s(void **state)
{
    (void)state;
    json_t *options = options_of("{}"),
           *facts = json_loads(
               "{\"identities\":{\"list\":[{\"kind\":2,\"sid\":\"S-1-5-21-1-2-3-4\"}]}}", 0, NULL);
    struct pair_view v = view(options, facts);
    assert_true(stage("Comparing identities")->wanted(&v));
    v.endpoint = "nas";
    assert_false(stage("Comparing identities")->wanted(&v));
    json_decref(options);
    json_decref(facts);
}

/* The same folder until the destination has done it, and none in later passes. */
static void what_was_there_goes_aside_once(void **state)
{
    (void)state;
    json_t *options = options_of("{\"pre_existing\":\"aside\"}"), *facts = json_object();
    struct pair_view v = view(options, facts);
    char first[128] = "";
    for (int i = 0; i < 3; i++) {
        struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
        struct fault why = {.err = 0};
        assert_int_equal(stage("Checking the destination")->plan(&v, s, &why), 1);
        Godwit__PrepareOrder *o = godwit__prepare_order__unpack(NULL, s[0].args_len, s[0].args);
        if (i == 0)
            (void)snprintf(first, sizeof first, "%s", o->aside);
        assert_string_equal(o->aside, i < 2 ? first : "");
        assert_true(i == 2 || strncmp(o->aside, ".pre-existing-2", 15) == 0);
        godwit__prepare_order__free_unpacked(o, NULL);
        planned_step_done(&s[0]);
        if (i == 1)
            (void)json_object_set_new(facts, "aside_done", json_true());
    }
    json_decref(options);
    json_decref(facts);
}

static void shares_that_are_only_listed_stop_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *options, *phase;
        bool wanted;
        enum verdict want;
    } cases[] = {
        {"{}",                                   "",          false, VERDICT_NEXT},
        {"{}",                                   "inventory", true,  VERDICT_NEXT},
        {"{\"shares\":\"off\",\"nfs\":\"off\"}", "inventory", false, VERDICT_NEXT},
        {"{\"shares\":\"pair\"}",                "",          true,  VERDICT_FAIL},
        {"{\"nfs\":\"all\"}",                    "transfer",  true,  VERDICT_FAIL},
    };
    char text[] = "Samba's configuration has an error";
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *options = options_of(cases[i].options), *facts = json_object();
        struct pair_view v = view(options, facts);
        struct fault why = {.err = 0};
        Godwit__FaultInfo info = GODWIT__FAULT_INFO__INIT;
        Godwit__Result failed = GODWIT__RESULT__INIT;
        const Godwit__Result *given[2] = {&failed, NULL};
        v.phase = cases[i].phase;
        info.what_next = FAULT_STOP_JOB;
        info.err = EINVAL;
        info.text = text;
        failed.status = GODWIT__RESULT__STATUS__FAILED;
        failed.fault = &info;
        assert_int_equal(stage("Reading shares")->wanted(&v), cases[i].wanted);
        assert_int_equal(stage("Reading shares")->judge(&v, given, &why), cases[i].want);
        assert_int_equal(stage("Moving shares")->wanted(&v), cases[i].want == VERDICT_FAIL);
        json_decref(options);
        json_decref(facts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_that_are_only_listed_stop_nothing),
        cmocka_unit_test(both_sides_of_a_transfer_get_the_same_ticket),
        cmocka_unit_test(a_peer_that_cannot_be_reached_is_a_reason_to_wait),
        cmocka_unit_test(a_dry_run_makes_no_folder),
        cmocka_unit_test(losses_have_to_be_accepted),
        cmocka_unit_test(what_was_there_goes_aside_once),
        cmocka_unit_test(cleaning_walks_only_where_something_may_be_left),
        cmocka_unit_test(a_transfer_is_judged_by_its_worse_side),
        cmocka_unit_test(identities_are_compared_in_both_directions),
        cmocka_unit_test(ids_of_a_proxy_are_compared_with_nobody_s),
        cmocka_unit_test(a_source_that_cannot_fit_is_refused_before_it_is_sent),
        cmocka_unit_test(a_damaged_body_fails_the_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
