/* test_guard: when the dead-man timer is due: clocks that jump, restarts, files that are damaged.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/identity/former.h"
#include "agent/identity/guard.h"
#include "agent/identity/rival.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static const struct guard g = {
    .until_wall_ms = 100000, .until_boot_ms = 50000, .silence_ms = 30000, .boot = "one"};

static const struct {
    const char *what, *boot;
    int64_t wall, since;
    bool due;
} cases[] = {
    {"still time",                                   "one", 80000,  49999, false},
    {"over",                                         "one", 100000, 50000, true },
    {"the wall clock was set forward",               "one", 900000, 49999, false},
    {"the wall clock was set back",                  "one", 1000,   50000, true },
    {"restarted, still time",                        "two", 90000,  1000,  false},
    {"restarted, over by the wall clock",            "two", 100000, 1000,  true },
    {"restarted with a wrong clock, silent so long", "two", 5000,   30000, true },
    {"restarted, and the clock is as it was before", "two", 69999,  1000,  true },
    {"restarted at once",                            "two", 70000,  1000,  false},
};

static void due(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (guard_due(&g, cases[i].boot, cases[i].wall, cases[i].since) != cases[i].due)
            fail_msg("%s", cases[i].what);
}

static void text(void **state)
{
    (void)state;
    struct guard r;
    assert_int_equal(guard_parse("1 2 3 boot\n", &r), 0);
    assert_int_equal(r.until_boot_ms, 2);
    static const char *const bad[] = {"", "1 2", "1 2 0 boot", "a b c d", "1 2 3"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(guard_parse(bad[i], &r), -EBADMSG);
}

static void began(void **state)
{
    (void)state;
    static const struct {
        const char *stat;
        int64_t ms;
    } all[] = {
        {"1 (systemd) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 250 9 9", 2500},
        {"1 (a ) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 17 9",      170 },
        {"1 (systemd) S 0 1 1",                                               0   },
        {"1 (systemd) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 x",       0   },
        {"1 (systemd) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 -5",      0   },
        {"",                                                                  0   },
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        assert_int_equal(guard_began_ms(all[i].stat, 100), all[i].ms);
    assert_int_equal(guard_began_ms(all[0].stat, 0), 0);
}

/* Another half of the time, and it begins anew; fresh, it stays; over, it is over. */
static void hold(void **state)
{
    (void)state;
    char dir[] = "/tmp/identity-guard-XXXXXX";
    assert_non_null(mkdtemp(dir));
    CLEANUP(mem_free) char *path = xasprintf("%s/guard", dir);
    CLEANUP(mem_free) char *now = NULL;
    CLEANUP(mem_free) char *half = NULL;
    long long wall = 0, boot = 0, silence = 0;
    char id[40] = "";
    size_t len = 0;
    assert_int_equal(guard_hold(dir), 0);
    assert_false(guard_is_set(dir));
    assert_int_equal(guard_set(dir, 60), 0);
    assert_int_equal(file_read(path, 256, &now, &len), 0);
    assert_int_equal(sscanf(now, "%lld %lld %lld %39s", &wall, &boot, &silence, id), 4);
    half = xasprintf("%lld %lld %lld %s\n", wall, boot - 30000, silence, id);
    assert_int_equal(file_write(path, 0600, half, strlen(half)), 0);
    assert_in_range(guard_left_s(dir), 1, 30);
    assert_int_equal(guard_hold(dir), 0);
    assert_in_range(guard_left_s(dir), 31, 60);
    free(half);
    half = xasprintf("%lld %lld %lld %s\n", wall, boot - 60001, silence, id);
    assert_int_equal(file_write(path, 0600, half, strlen(half)), 0);
    assert_int_equal(guard_hold(dir), 0);
    assert_true(guard_is_due(dir));
    assert_int_equal(guard_clear(dir), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void file(void **state)
{
    (void)state;
    char dir[] = "/tmp/identity-guard-XXXXXX";
    assert_non_null(mkdtemp(dir));
    CLEANUP(mem_free) char *path = xasprintf("%s/guard", dir);
    assert_false(guard_is_set(dir));
    assert_int_equal(guard_renew(dir, 60), 0); /* renews only what is set */
    assert_false(guard_is_set(dir));
    assert_int_equal(guard_set(dir, 60), 0);
    assert_true(guard_is_set(dir));
    assert_false(guard_is_due(dir));
    assert_in_range(guard_left_s(dir), 1, 60);
    assert_int_equal(file_write(path, 0600, "rubbish", 7), 0);
    assert_true(guard_is_due(dir));   /* better back than lost */
    assert_false(guard_is_due(path)); /* a file beside the folders of cutovers is none of them */
    static const char other[] = "9999999999999 9999999999999 60000 another-start\n";
    assert_false(guard_restarted(dir));
    assert_int_equal(file_write(path, 0600, other, strlen(other)), 0);
    assert_true(guard_restarted(dir));
    assert_true(guard_is_due(dir));
    assert_int_equal(guard_hold(dir), 0);
    assert_true(guard_restarted(dir)); /* what was over at this start is not held */
    CLEANUP(mem_free)
    char *fresh = xasprintf("%" PRId64 " 9999999999999 3999999999000 another-start\n",
                            clock_wall_ms() + 3999999990000);
    assert_int_equal(file_write(path, 0600, fresh, strlen(fresh)), 0);
    assert_false(guard_is_due(dir));
    assert_int_equal(guard_hold(dir), 0);
    assert_false(guard_restarted(dir)); /* from now on it counts by this start's clock */
    assert_int_equal(guard_set(dir, 60), 0);
    assert_false(guard_restarted(dir));
    assert_int_equal(guard_clear(dir), 0);
    assert_false(guard_is_due(dir));
    assert_false(guard_restarted(dir));
    assert_int_equal(rmdir(dir), 0);
}

/* Listens as a file server would; -1: this test may not. */
static int serve_at(const char *address)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(445), .sin_addr.s_addr = inet_addr(address)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 5) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* Where no address moves, who serves is asked of the destination itself. */
static void a_rival_is_asked(void **state)
{
    char dir[] = "/tmp/guard-XXXXXX";
    char one[] = "127.81.7.1/8", two[] = "127.81.7.2/8", bad[] = "127.81.7.3\n1.2.3.4/8";
    char *all[] = {one, bad, two};
    Godwit__IdentityPlan p = GODWIT__IDENTITY_PLAN__INIT;
    Godwit__IdentityMove m = GODWIT__IDENTITY_MOVE__INIT, *moves[] = {&m};
    (void)state;
    assert_non_null(mkdtemp(dir));
    CLEANUP(mem_free) char *path = xasprintf("%s/" RIVAL_FILE, dir);
    p.destination_addresses = all;
    p.n_destination_addresses = 3;
    p.moves = moves;
    p.n_moves = 1;
    assert_int_equal(rival_note(dir, &p), 0); /* addresses move: they tell it */
    assert_int_equal(access(path, F_OK), -1);
    p.n_moves = 0;
    assert_int_equal(rival_note(dir, &p), 0);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 4096, &text, &len), 0);
    assert_string_equal(text, "127.81.7.1\n127.81.7.2\n");
    assert_null(rival_serves(dir));
    int fd = serve_at("127.81.7.2");
    if (fd >= 0) {
        CLEANUP(mem_free) char *who = rival_serves(dir);
        assert_string_equal(who, "127.81.7.2");
        assert_int_equal(close(fd), 0);
        assert_null(rival_serves(dir));
    }
    assert_int_equal(unlink(path), 0);
    assert_null(rival_serves(dir));
    assert_int_equal(rmdir(dir), 0);
}

/* Whose card had what moved here: lines of a file, read at a start of this host. */
static void the_former_owner_is_noted(void **state)
{
    char dir[] = "/tmp/guard-XXXXXX";
    char one[] = "192.0.2.7/24", bad[] = "192.0.2.8\n1.2.3.4/8", six[] = "2001:db8::7/64";
    char from[] = "02:00:00:00:0A:01", to[] = "02:00:00:00:0a:02";
    Godwit__IdentityPlan p = GODWIT__IDENTITY_PLAN__INIT;
    Godwit__IdentityMove m = GODWIT__IDENTITY_MOVE__INIT, *moves[] = {&m};
    Godwit__IdentityAddress a[3] = {GODWIT__IDENTITY_ADDRESS__INIT, GODWIT__IDENTITY_ADDRESS__INIT,
                                    GODWIT__IDENTITY_ADDRESS__INIT};
    Godwit__IdentityAddress *addresses[] = {&a[0], &a[1], &a[2]};
    struct former f[FORMER_MAX];
    (void)state;
    assert_non_null(mkdtemp(dir));
    CLEANUP(mem_free) char *path = xasprintf("%s/" FORMER_FILE, dir);
    assert_int_equal(former_note(dir, &p), 0); /* by name only */
    assert_int_equal(access(path, F_OK), -1);
    assert_false(former_is_back(dir));
    a[0].address = one;
    a[1].address = bad;
    a[2].address = six;
    m.from_mac = from;
    m.to_mac = to;
    m.addresses = addresses;
    m.n_addresses = 3;
    p.moves = moves;
    p.n_moves = 1;
    assert_int_equal(former_note(dir, &p), 0);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 4096, &text, &len), 0);
    assert_int_equal(former_parse(text, f), 2);
    assert_string_equal(f[0].address, "192.0.2.7");
    assert_string_equal(f[0].theirs, "02:00:00:00:0a:01");
    assert_string_equal(f[0].mine, to);
    assert_string_equal(f[1].address, "2001:db8::7");
    assert_int_equal(
        former_parse("x 02:00:00:00:0a:01 02:00:00:00:0a:02\n192.0.2.7 a b\n\n192.0.2.7", f), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(due),
                                       cmocka_unit_test(text),
                                       cmocka_unit_test(began),
                                       cmocka_unit_test(file),
                                       cmocka_unit_test(hold),
                                       cmocka_unit_test(a_rival_is_asked),
                                       cmocka_unit_test(the_former_owner_is_noted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
