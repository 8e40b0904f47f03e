/* test_users: the server as a third host sees it, by an `smbclient` of the test's own: who does not
 * hear it at once tries again, who is refused does not. */
#include <stdlib.h>
#include <string.h>

#include "agent/identity/stage.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/identity/own_host.h"
#include "tests/unit/test.h"

/* Says what is in @/says so often as @/times has lines, and then that all is well. */
static const char smbclient[] =
    "#!/bin/sh\necho asked >>@/calls\n"
    "[ -s @/times ] || exit 0\nsed -i 1d @/times\ncat @/says >&2\nexit 1\n";

static int begin(void **state)
{
    (void)state;
    host_begin();
    host_program("smbclient", smbclient);
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_end();
    return 0;
}

static size_t asked(void)
{
    CLEANUP(mem_free) char *calls = host_get("calls");
    return strcmp(calls, "(none)") == 0 ? 0 : strlen(calls) / strlen("asked\n");
}

/* Is the server heard by its name? *retrc: what the stage came to. */
static bool hears(Godwit__IdentityRole role, const char *says, const char *times, int *retrc)
{
    Godwit__IdentityOrder o = GODWIT__IDENTITY_ORDER__INIT;
    Godwit__IdentityPlan p = GODWIT__IDENTITY_PLAN__INIT;
    Godwit__IdentityNames old = GODWIT__IDENTITY_NAMES__INIT;
    Godwit__IdentityResult *r = xmalloc(sizeof *r);
    struct site site = {.root = host_root, .search = host_bin};
    struct fault why = {.err = 0};
    godwit__identity_result__init(r);
    host_put("says", says, 0600);
    host_put("times", times, 0600);
    old.netbios = host_text("FS1");
    p.old = &old;
    o.plan = &p;
    o.cutover = host_text("0123456789abcdef.1");
    o.stage = host_text("users");
    o.role = role;
    o.action = GODWIT__IDENTITY_ACTION__IDENTITY_DO;
    *retrc = stage_do(host_home, &site, &o, r, &why);
    assert_int_equal(r->n_findings, 1);
    bool heard = r->findings[0]->passed;
    godwit__identity_result__free_unpacked(r, NULL);
    return heard;
}

#define WITNESS GODWIT__IDENTITY_ROLE__IDENTITY_WITNESS
#define SOURCE GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE
#define REFUSED "do_connect: Connection to FS1 failed (Error NT_STATUS_CONNECTION_REFUSED)\n"

static void a_third_host_tries_again_who_is_busy(void **state)
{
    int rc = 0;
    (void)state;
    assert_true(hears(WITNESS, REFUSED, "1\n2\n", &rc));
    assert_int_equal(rc, 0);
    assert_int_equal(asked(), 3);
}

static void who_is_turned_away_is_not_asked_again(void **state)
{
    int rc = 0;
    (void)state;
    assert_false(hears(WITNESS, "session setup failed: NT_STATUS_LOGON_FAILURE\n", "1\n", &rc));
    assert_int_equal(rc, 0); /* judged by who knows what was so before */
    assert_int_equal(asked(), 1);
}

/* The orchestrator asks it again, until the stage's limit. */
static void a_source_says_at_once_what_it_sees(void **state)
{
    int rc = 0;
    (void)state;
    assert_false(hears(SOURCE, REFUSED, "1\n2\n", &rc));
    assert_true(rc < 0);
    assert_int_equal(asked(), 1);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_third_host_tries_again_who_is_busy),
        CASE(who_is_turned_away_is_not_asked_again),
        CASE(a_source_says_at_once_what_it_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
