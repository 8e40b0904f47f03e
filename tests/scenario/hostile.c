/* hostile: everything a stranger, an enrolee, an agent or a console may try on the control plane.
 * None is served; the daemon lives. Parts: hostile_*.c. */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/scenario/hostile_priv.h"

void siege_name(struct siege *s, char ret[64])
{
    (void)snprintf(ret, 64, "host%u", ++s->hosts);
}

void siege_join(struct siege *s, struct good *ret)
{
    char name[64];
    siege_name(s, name);
    good_join(&s->daemon, ret, name);
}

void siege_holds(struct siege *s)
{
    struct good fresh;
    uint32_t code = 1;
    if (!daemon_alive(&s->daemon)) {
        daemon_show_log(&s->daemon);
        fail_msg("the daemon has died");
    }
    assert_int_equal(s->daemon.pid, s->pid);
    if (!good_beat(&s->good, ANSWER_MS)) {
        daemon_show_log(&s->daemon);
        fail_msg("the good agent is not served any more");
    }
    siege_join(s, &fresh);
    assert_true(good_beat(&fresh, ANSWER_MS));
    good_leave(&fresh);
    json_t *doc = daemon_ask(&s->daemon, &code, "agent show", "host", "good", NULL);
    assert_int_equal(code, 0);
    assert_string_equal(json_string_value(json_object_get(doc, "presence")), "online");
    json_decref(doc);
}

static int begin(void **state)
{
    static const char *const options[] = {"--heartbeat=60s", "--enrol-rate=200",
                                          "--enrol-rate-address=200", NULL};
    struct siege *s = xcalloc(1, sizeof *s);
    *state = s;
    daemon_start(&s->daemon, options);
    s->pid = s->daemon.pid;
    good_join(&s->daemon, &s->good, "good");
    return 0;
}

static int end(void **state)
{
    struct siege *s = *state;
    good_leave(&s->good);
    int code = daemon_stop(&s->daemon);
    if (code != 0) {
        daemon_show_log(&s->daemon);
        (void)fprintf(stderr, "godwitd ended with %d\n", code);
    } else {
        daemon_remove(&s->daemon);
    }
    free(s);
    return code == 0 ? 0 : -1;
}

int main(void)
{
    const char *only = getenv("HOSTILE_ONLY"); /* a pattern, for work on one case */
    if (only)
        cmocka_set_test_filter(only);
    int failed =
        _cmocka_run_group_tests("settings", hostile_zap_cases, hostile_zap_count, NULL, NULL);
    if (!daemon_exists()) {
        (void)fprintf(stderr, "skipped: GODWITD is not set to a godwitd program\n");
        return failed ? failed : 77;
    }
    failed +=
        _cmocka_run_group_tests("strangers", hostile_enrol_cases, hostile_enrol_count, begin, end);
    failed +=
        _cmocka_run_group_tests("messages", hostile_wire_cases, hostile_wire_count, begin, end);
    failed += _cmocka_run_group_tests("sessions", hostile_session_cases, hostile_session_count,
                                      begin, end);
    return failed;
}
