/* test_snapshot: a source held still by btrfs or by a hook, and let go of in every case. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/files/hook.h"
#include "agent/files/snapshot.h"
#include "agent/store/subvolume.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/trees.h"

#define PAIR "0123456789abcdef.1"

static char *hooks, *trace;
static bool mounts;

static struct agent_env env(void)
{
    return (struct agent_env){.state_dir = state, .hooks = hooks, .privileged = true};
}

static int take(const char *policy, const char *path, struct snapshot **ret, char **why,
                struct fault *f)
{
    struct agent_env e = env();
    const struct snapshot_want w = {
        .policy = policy, .pair = PAIR, .path = path, .path_len = strlen(path), .cancel_fd = -1};
    *why = NULL;
    *f = (struct fault){.what_next = FAULT_NONE};
    return snapshot_take(&e, &w, ret, why, f);
}

static void sh(const char *fmt, const char *a)
{
    char *script = xasprintf("%s '%s'", fmt, a);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
}

static bool is_there(const char *path, const char *name)
{
    char *full = xasprintf("%s/%s", path, name);
    bool there = access(full, F_OK) == 0;
    free(full);
    return there;
}

static unsigned records(void)
{
    char *script = xasprintf("exit $(ls -A '%s/snapshot' 2>/dev/null | wc -l)", state);
    const char *const argv[] = {"sh", "-c", script, NULL};
    int n = trees_run(argv);
    free(script);
    return (unsigned)n;
}

static unsigned subvolumes(const char *path)
{
    char *script = xasprintf("exit $(ls -A '%s' | grep -c '^.godwit-snapshot-' || true)", path);
    const char *const argv[] = {"sh", "-c", script, NULL};
    int n = trees_run(argv);
    free(script);
    return (unsigned)n;
}

/* ── hooks ── */

static void put_hook(const char *name, const char *body, mode_t mode)
{
    char *path = xasprintf("%s/%s", hooks, name);
    char *text = xasprintf("#!/bin/sh\necho \"$1 $GODWIT_PATH $GODWIT_PAIR $GODWIT_SNAPSHOT\" "
                           ">> '%s'\n%s\n",
                           trace, body);
    assert_int_equal(file_write(path, mode, text, strlen(text)), 0);
    free(path);
    free(text);
}

static char *traced(void)
{
    char *text = NULL;
    size_t len = 0;
    if (file_read(trace, 65536, &text, &len) < 0)
        text = xstrdup("");
    (void)unlink(trace);
    return text;
}

static void assert_traced(const char *want)
{
    char *text = traced();
    assert_string_equal(text, want);
    free(text);
}

static void a_hook_says_where_to_read(void **state_)
{
    (void)state_;
    struct snapshot *s = NULL;
    struct fault f;
    char *why;
    put_hook("web", "[ \"$1\" = post ] || { echo /mnt/frozen; echo more; }", 0755);
    assert_int_equal(take("hook:web", "/srv/data", &s, &why, &f), 0);
    assert_non_null(s);
    assert_string_equal(snapshot_path(s), "/mnt/frozen");
    assert_int_equal(records(), 1);
    assert_traced("pre /srv/data " PAIR " \n");
    assert_null(snapshot_release(s));
    assert_traced("post /srv/data " PAIR " /mnt/frozen\n");
    assert_int_equal(records(), 0);
}

static const struct bad_hook {
    const char *what, *policy, *body;
    mode_t mode;
    bool post; /* is called */
    const char *text;
} bad_hooks[] = {
    {"fails",        "hook:bad",  "echo no space left; exit 3",  0755, true,  "ended with 3: no space left"},
    {"is killed",    "hook:bad",  "[ $1 = post ] || kill -9 $$", 0755, true,  "ended with 137"             },
    {"no path",      "hook:bad",  "echo relative",               0755, true,  "no absolute path"           },
    {"not runnable", "hook:bad",  "",                            0644, false, "cannot use"                 },
    {"others write", "hook:bad",  "",                            0777, false, "cannot use"                 },
    {"missing",      "hook:none", "",                            0755, false, "cannot use"                 },
};

static void a_hook_that_fails_stops_the_step(void **state_)
{
    (void)state_;
    for (size_t i = 0; i < ARRAY_SIZE(bad_hooks); i++) {
        const struct bad_hook *b = &bad_hooks[i];
        struct snapshot *s = NULL;
        struct fault f;
        char *why;
        put_hook("bad", b->body, b->mode);
        if (take(b->policy, "/srv", &s, &why, &f) >= 0)
            fail_msg("%s: went through", b->what);
        assert_null(s);
        assert_int_equal(f.what_next, FAULT_STOP_JOB);
        if (!strstr(f.text, b->text))
            fail_msg("%s: %s", b->what, f.text);
        char *text = traced();
        assert_int_equal(strstr(text, "post /srv") != NULL, b->post);
        assert_int_equal(records(), i == 0); /* whose post fails as well */
        free(text);
        const char *const argv[] = {"sh", "-c", "rm -f \"$1\"/snapshot/*", "sh", state, NULL};
        (void)trees_run(argv);
    }
}

static void a_hook_has_no_shell_and_a_name(void **state_)
{
    (void)state_;
    static const struct {
        const char *policy;
        bool valid;
    } cases[] = {
        {"",                                       true },
        {"none",                                   true },
        {"auto",                                   true },
        {"hook:web-1",                             true },
        {"hook:",                                  false},
        {"hook:../x",                              false},
        {"hook:a b",                               false},
        {"hook:$(id)",                             false},
        {"hook:.hidden",                           false},
        {"hook:/bin/sh",                           false},
        {"lvm",                                    false},
        {"hook:aaaaaaaaaabbbbbbbbbbccccccccccddd", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (snapshot_policy_valid(cases[i].policy) != cases[i].valid)
            fail_msg("%s", cases[i].policy);
}

static void wait_until_released(void)
{
    for (int i = 0; i < 500 && records() > 0; i++)
        (void)usleep(20000);
    assert_int_equal(records(), 0);
}

/* Takes it in a process that dies with it in hand. */
static void take_and_die(const char *policy, const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct snapshot *s = NULL;
        struct fault f;
        char *why;
        int rc = take(policy, path, &s, &why, &f);
        (void)kill(getpid(), rc == 0 && s ? SIGKILL : SIGTERM);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(records(), 1);
}

static void a_dead_agents_hook_is_released_at_the_next_start(void **state_)
{
    (void)state_;
    struct agent_env e = env();
    put_hook("web", "[ \"$1\" = post ] || echo /mnt/frozen", 0755);
    take_and_die("hook:web", "/srv/data");
    free(traced());
    snapshot_recover(&e);
    wait_until_released();
    assert_traced("post /srv/data " PAIR " /mnt/frozen\n");
}

/* The agent lives, but the step before could not release: the next one does first. */
static void what_is_left_of_a_pair_goes_before_a_new_one(void **state_)
{
    (void)state_;
    struct snapshot *s = NULL;
    struct fault f;
    char *why;
    put_hook("web", "", 0755);
    take_and_die("hook:web", "/srv/data");
    free(traced());
    assert_int_equal(take("hook:web", "/srv/data", &s, &why, &f), 0);
    assert_string_equal(snapshot_path(s), "/srv/data");
    assert_traced("post /srv/data " PAIR " \npre /srv/data " PAIR " \n");
    (void)snapshot_release(s);
}

/* ── btrfs ── */

static char *read_all(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name), *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 4096, &text, &len), 0);
    free(path);
    return text;
}

static bool on_btrfs(void)
{
    return mounts && grounds_mount("btrfs", source, 200);
}

static void off_btrfs(void)
{
    grounds_unmount(source);
    assert_int_equal(mkdir(source, 0755), 0);
}

static void btrfs_shows_the_moment_and_forgets_it(void **state_)
{
    (void)state_;
    struct snapshot *s = NULL;
    struct fault f;
    char *why;
    if (!on_btrfs())
        skip();
    make_dir(source, "data");
    put(source, "data/file", "before", 6);
    char *data = in_source("data");
    assert_int_equal(take("auto", data, &s, &why, &f), 0);
    assert_null(why);
    assert_non_null(s);
    put(source, "data/file", "after", 5);
    put(source, "data/new", "x", 1);
    char *text = read_all(snapshot_path(s), "file");
    assert_string_equal(text, "before");
    assert_false(is_there(snapshot_path(s), "new"));
    assert_int_equal(subvolumes(source), 1);
    assert_null(snapshot_release(s));
    assert_int_equal(subvolumes(source), 0);
    assert_int_equal(records(), 0);
    free(text);
    free(data);
    off_btrfs();
}

static void a_dead_agents_snapshot_goes(void **state_)
{
    (void)state_;
    struct snapshot *s = NULL;
    struct agent_env e = env();
    struct fault f;
    char *why;
    if (!on_btrfs())
        skip();
    take_and_die("auto", source);
    assert_int_equal(subvolumes(source), 1);
    snapshot_recover(&e);
    wait_until_released();
    assert_int_equal(subvolumes(source), 0);
    take_and_die("auto", source);
    assert_int_equal(take("auto", source, &s, &why, &f), 0);
    assert_non_null(s);
    assert_int_equal(subvolumes(source), 1);
    (void)snapshot_release(s);
    assert_int_equal(subvolumes(source), 0);
    off_btrfs();
}

/* Whoever owns the folder may put another subvolume under the name that we are about to remove. */
static void only_what_was_taken_is_dropped(void **state_)
{
    (void)state_;
    struct snapshot *s = NULL;
    struct fault f;
    char *why;
    if (!on_btrfs())
        skip();
    assert_int_equal(take("auto", source, &s, &why, &f), 0);
    assert_non_null(s);
    char *script =
        xasprintf("cd '%s' && mv .godwit-snapshot-* moved && "
                  "n=$(cat '%s/snapshot/" PAIR "' | grep -ao '.godwit-snapshot-[0-9a-f]*') "
                  "&& btrfs subvolume create \"$n\" >/dev/null && touch \"$n/precious\"",
                  source, state);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
    (void)snapshot_release(s);
    assert_int_equal(subvolumes(source), 1); /* the precious one */
    assert_false(is_there(source, "moved"));
    assert_int_equal(take("auto", source, &s, &why, &f), 0);
    assert_null(s); /* the name is taken, and not by one of ours */
    assert_non_null(why);
    free(why);
    assert_int_equal(subvolumes(source), 1);
    off_btrfs();
}

static void what_a_snapshot_would_miss_is_read_as_it_is(void **state_)
{
    (void)state_;
    struct snapshot *s = NULL;
    struct fault f;
    char *why;
    if (!on_btrfs())
        skip();
    make_dir(source, "plain");
    make_dir(source, "has");
    char *nested = in_source("has/inner"), *plain = in_source("plain"), *has = in_source("has");
    sh("btrfs subvolume create >/dev/null", nested);
    assert_int_equal(take("auto", has, &s, &why, &f), 0);
    assert_null(s);
    assert_non_null(strstr(why, "inner"));
    free(why);
    assert_int_equal(take("auto", plain, &s, &why, &f), 0);
    assert_non_null(s);
    (void)snapshot_release(s);
    sh("mount -t tmpfs none", plain);
    assert_int_equal(take("auto", source, &s, &why, &f), 0);
    assert_null(s);
    assert_non_null(strstr(why, "mounted"));
    free(why);
    sh("umount", plain);
    free(nested);
    free(plain);
    free(has);
    off_btrfs();
}

static void elsewhere_auto_says_why_not(void **state_)
{
    (void)state_;
    struct snapshot *s = NULL;
    struct fault f;
    char *why;
    assert_int_equal(take("auto", source, &s, &why, &f), 0);
    assert_null(s);
    assert_non_null(why);
    free(why);
    assert_int_equal(take("none", source, &s, &why, &f), 0);
    assert_null(s);
    assert_null(why);
    assert_int_equal(records(), 0);
}

static int setup(void **state_)
{
    int rc = trees_setup(state_);
    hooks = xasprintf("%s/hooks", base);
    trace = xasprintf("%s/trace", base);
    return rc || mkdir(hooks, 0755);
}

static int teardown(void **state_)
{
    free(hooks);
    free(trace);
    return trees_teardown(state_);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_hook_says_where_to_read),
        CASE(a_hook_that_fails_stops_the_step),
        CASE(a_hook_has_no_shell_and_a_name),
        CASE(a_dead_agents_hook_is_released_at_the_next_start),
        CASE(what_is_left_of_a_pair_goes_before_a_new_one),
        CASE(btrfs_shows_the_moment_and_forgets_it),
        CASE(a_dead_agents_snapshot_goes),
        CASE(only_what_was_taken_is_dropped),
        CASE(what_a_snapshot_would_miss_is_read_as_it_is),
        CASE(elsewhere_auto_says_why_not),
    };
    mounts = grounds_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
