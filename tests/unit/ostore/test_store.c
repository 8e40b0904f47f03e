/* test_store: what holds of the orchestrator's database file across opens. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "orchestrator/store/agents.h"
#include "orchestrator/store/sqlite.h"
#include "orchestrator/store/store.h"
#include "tests/unit/test.h"

static char folder[] = "/tmp/godwit-ostore-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/godwit.db", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[96];
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    return rmdir(folder);
}

static void each_open_raises_the_epoch_and_keeps_the_realm(void **state)
{
    (void)state;
    char realm[64];
    for (uint64_t i = 1; i <= 3; i++) {
        CLEANUP(store_close) struct store *s = NULL;
        assert_int_equal(store_open(&s, path, NULL), 0);
        assert_int_equal(store_epoch(s), i);
        if (i == 1)
            (void)snprintf(realm, sizeof realm, "%s", store_realm(s));
        assert_string_equal(store_realm(s), realm);
        assert_int_equal(strlen(realm), 32);
    }
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void an_epoch_is_lifted_over_what_others_saw(void **state)
{
    (void)state;
    CLEANUP(store_close) struct store *s = NULL;
    assert_int_equal(store_open(&s, path, NULL), 0);
    uint64_t before = store_epoch(s);
    assert_int_equal(store_lift_epoch(s, 1000000), 0);
    assert_int_equal(store_epoch(s), 1000000);
    assert_int_equal(store_lift_epoch(s, before), 0); /* never down */
    assert_int_equal(store_epoch(s), 1000001);
    s = store_close(s);
    assert_int_equal(store_open(&s, path, NULL), 0);
    assert_int_equal(store_epoch(s), 1000002);
}

static void a_second_opener_is_refused(void **state)
{
    (void)state;
    CLEANUP(store_close) struct store *s = NULL, *second = NULL;
    struct fault f = {.err = 0};
    assert_int_equal(store_open(&s, path, NULL), 0);
    assert_int_equal(store_open(&second, path, &f), -EBUSY);
    assert_non_null(strstr(f.text, "another process"));
}

static void a_newer_schema_is_refused(void **state)
{
    (void)state;
    CLEANUP(store_close) struct store *s = NULL;
    struct db *d = NULL;
    assert_int_equal(db_open(&d, path, NULL), 0);
    assert_int_equal(
        db_script(d, "UPDATE schema_version SET version = version + 90 WHERE room = 'agents'"), 0);
    (void)db_close(d);
    struct fault f = {.err = 0};
    assert_int_equal(store_open(&s, path, &f), -ENOTSUP);
    assert_non_null(strstr(f.text, "newer"));
    assert_int_equal(db_open(&d, path, NULL), 0);
    assert_int_equal(
        db_script(d, "UPDATE schema_version SET version = version - 90 WHERE room = 'agents'"), 0);
    (void)db_close(d);
}

static void transactions_do_not_nest(void **state)
{
    (void)state;
    CLEANUP(store_close) struct store *s = NULL;
    assert_int_equal(store_open(&s, path, NULL), 0);
    assert_int_equal(store_commit(s), -EINVAL);
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(store_begin(s), -EALREADY);
    assert_int_equal(store_commit(s), 0);
}

static int count_agent(void *arg, const struct agent_row *row)
{
    struct agent_row *last = arg;
    *last = *row;
    return 0;
}

static void agents_come_back_whole(void **state)
{
    (void)state;
    struct agent_row a = {.agent_id = "a1",
                          .host = "fs1",
                          .state = AGENT_APPROVED,
                          .cpus = 4,
                          .memory_bytes = 1ULL << 40,
                          .lane_port = 7410,
                          .has_lane_pin = true},
                     back = {.cpus = 0};
    memset(a.lane_pin, 7, sizeof a.lane_pin);
    CLEANUP(store_close) struct store *s = NULL;
    assert_int_equal(store_open(&s, path, NULL), 0);
    assert_int_equal(agents_put(s, &a), 0);
    assert_int_equal(agents_each(s, count_agent, &back), 0);
    assert_memory_equal(&a.lane_pin, &back.lane_pin, 32);
    assert_string_equal(back.host, "fs1");
    assert_int_equal(back.memory_bytes, 1ULL << 40);
    (void)snprintf(a.agent_id, sizeof a.agent_id, "a2");
    assert_int_equal(agents_put(s, &a), -EEXIST); /* a second live agent of that name */
    a.state = AGENT_DENIED;
    assert_int_equal(agents_put(s, &a), 0);
}

static void a_rolled_back_row_is_gone(void **state)
{
    (void)state;
    struct token_row t = {.id = "t1", .host = "fs1", .uses_left = 1}, back;
    CLEANUP(store_close) struct store *s = NULL;
    assert_int_equal(store_open(&s, path, NULL), 0);
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(tokens_put(s, &t), 0);
    store_rollback(s);
    assert_int_equal(tokens_get(s, "t1", &back), -ENOENT);
    t.expires_ms = clock_wall_ms();
    assert_int_equal(tokens_put(s, &t), 0);
    assert_int_equal(tokens_get(s, "t1", &back), 0);
    assert_int_equal(back.uses_left, 1);
    assert_int_equal(tokens_expire(s, t.expires_ms + 1000), 0);
    assert_int_equal(tokens_get(s, "t1", &back), 0);
    assert_int_equal(tokens_expire(s, t.expires_ms + 86400001), 0);
    assert_int_equal(tokens_get(s, "t1", &back), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_open_raises_the_epoch_and_keeps_the_realm),
        cmocka_unit_test(an_epoch_is_lifted_over_what_others_saw),
        cmocka_unit_test(a_second_opener_is_refused),
        cmocka_unit_test(a_newer_schema_is_refused),
        cmocka_unit_test(transactions_do_not_nest),
        cmocka_unit_test(agents_come_back_whole),
        cmocka_unit_test(a_rolled_back_row_is_gone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
