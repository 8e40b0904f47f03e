/* test_program: godwit-agent as a process: what systemd hears, what status shows, how it ends. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/agent/temp_dir.h"
#include "tests/unit/test.h"

struct host {
    char *dir;
    char *state_dir;
    int notify; /* what systemd listens on */
    pid_t pid;
};

static int begin(void **state)
{
    struct host *h = xcalloc(1, sizeof *h);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    h->dir = temp_dir_new();
    h->state_dir = xasprintf("--state-dir=%s/state", h->dir);
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s/notify", h->dir);
    h->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(h->notify, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", a.sun_path, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "900000", 1), 0);
    *state = h;
    return 0;
}

static int end(void **state)
{
    struct host *h = *state;
    if (h->pid > 0) {
        (void)kill(h->pid, SIGKILL);
        (void)waitpid(h->pid, NULL, 0);
    }
    (void)close(h->notify);
    temp_dir_free(h->dir);
    free(h->state_dir);
    free(h);
    return 0;
}

/* The program with up to three arguments; standard output goes to the file out, when there is one.
 */
static pid_t spawn(const struct host *h, const char *out, const char *const words[3])
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    if (out && !freopen(out, "w", stdout))
        _exit(99);
    (void)execl(GODWIT_AGENT, GODWIT_AGENT, h->state_dir, "--lane-port=0", "--config=/dev/null",
                words[0], words[0] ? words[1] : NULL, words[0] && words[1] ? words[2] : NULL,
                (char *)NULL);
    _exit(99);
}

static int exit_code(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const struct host *h, const char *out, const char *word, const char *more)
{
    const char *const words[3] = {word, more, NULL};
    return exit_code(spawn(h, out, words));
}

/* systemd hears this line within 5 s. */
static bool hears(const struct host *h, const char *line)
{
    int64_t until = clock_mono_ms() + 5000;
    for (;;) {
        char text[1024];
        struct pollfd p = {.fd = h->notify, .events = POLLIN};
        int left = (int)(until - clock_mono_ms());
        if (left <= 0 || poll(&p, 1, left) <= 0)
            return false;
        ssize_t n = recv(h->notify, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        if (strstr(text, line))
            return true;
    }
}

static void start(struct host *h)
{
    static const char *const words[3] = {"run", NULL, NULL};
    h->pid = spawn(h, NULL, words);
    assert_true(hears(h, "READY=1"));
}

static void an_unenrolled_daemon_is_ready_and_watched_and_stops_when_asked(void **state)
{
    struct host *h = *state;
    start(h);
    assert_true(hears(h, "STATUS=unenrolled"));
    assert_true(hears(h, "WATCHDOG=1"));
    assert_int_equal(kill(h->pid, SIGTERM), 0);
    assert_true(hears(h, "STOPPING=1"));
    assert_int_equal(exit_code(h->pid), 0);
    h->pid = 0;
}

static void two_agents_do_not_share_a_state_directory(void **state)
{
    struct host *h = *state;
    start(h);
    assert_int_equal(run(h, NULL, "run", NULL), 5);
}

static void status_tells_what_is_there(void **state)
{
    struct host *h = *state;
    CLEANUP(mem_free) char *out = xasprintf("%s/out", h->dir);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    assert_int_equal(run(h, out, "status", NULL), 6); /* never ran here */
    start(h);
    assert_int_equal(run(h, out, "status", "--output=json"), 0);
    assert_int_equal(file_read(out, 1 << 20, &text, &len), 0);
    assert_non_null(strstr(text, "\"schema\": 1"));
    assert_non_null(strstr(text, "\"enrolled\": false"));
    assert_non_null(strstr(text, "\"daemon\": \"running\""));
}

static void wrong_usage_is_told_apart(void **state)
{
    static const struct {
        const char *word, *more;
        int code;
    } cases[] = {
        {"--help",            NULL,                        0},
        {"--version",         NULL,                        0},
        {"--man",             NULL,                        0},
        {"fly",               NULL,                        2},
        {"run",               "status",                    2},
        {"--workers=0",       NULL,                        2},
        {"--lane-port=99999", NULL,                        2},
        {"--no-such",         NULL,                        2},
        {"enrol",             "--token-file=/dev/null",    2},
        {"enrol",             "--token-file=/nonexistent", 2},
    };
    struct host *h = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        print_message("%s\n", cases[i].word);
        assert_int_equal(run(h, "/dev/null", cases[i].word, cases[i].more), cases[i].code);
    }
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(an_unenrolled_daemon_is_ready_and_watched_and_stops_when_asked),
        CASE(two_agents_do_not_share_a_state_directory),
        CASE(status_tells_what_is_there),
        CASE(wrong_usage_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
