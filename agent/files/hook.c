/* hook: one child in its own process group, its output bounded, its time limited. Worker threads.
 */
#include "agent/files/hook.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define OUTPUT_MAX (16U << 10)
#define TIME_MS 300000

bool hook_name_valid(const char *name)
{
    return text_is_name(name, HOOK_NAME_MAX);
}

/* What another user could write would be that user's way to root. */
static int check_program(const char *dir, const char *file)
{
    const char *const paths[] = {dir, file};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct stat st;
        if (stat(paths[i], &st) < 0)
            return -errno;
        if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
            return -EPERM;
    }
    return access(file, X_OK) == 0 ? 0 : -errno;
}

struct child {
    pid_t pid;
    int out, pidfd;
};

static int spawn(const struct hook_call *c, const char *file, int out, pid_t *ret)
{
    CLEANUP(mem_free) char *path = xasprintf("GODWIT_PATH=%s", c->path);
    CLEANUP(mem_free) char *pair = xasprintf("GODWIT_PAIR=%s", c->pair);
    CLEANUP(mem_free) char *snapshot = xasprintf("GODWIT_SNAPSHOT=%s", c->snapshot);
    char search[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *const env[] = {search, path, pair, snapshot, NULL};
    CLEANUP(mem_free) char *program = xstrdup(file);
    CLEANUP(mem_free) char *verb = xstrdup(c->verb);
    char *const argv[] = {program, verb, NULL};
    posix_spawn_file_actions_t fds;
    posix_spawnattr_t how;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawn_file_actions_init(&fds);
    (void)posix_spawn_file_actions_addopen(&fds, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&fds, out, 1);
    (void)posix_spawn_file_actions_adddup2(&fds, out, 2);
    (void)posix_spawnattr_init(&how);
    (void)posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setsigmask(&how, &none);
    (void)posix_spawnattr_setsigdefault(&how, &all);
    int rc = -posix_spawn(ret, file, &fds, &how, argv, env);
    (void)posix_spawn_file_actions_destroy(&fds);
    (void)posix_spawnattr_destroy(&how);
    return rc;
}

static int child_start(const struct hook_call *c, const char *file, struct child *ret)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    int rc = spawn(c, file, pipe_fds[1], &ret->pid);
    (void)fd_close(pipe_fds[1]);
    ret->out = pipe_fds[0];
    ret->pidfd = rc == 0 ? pidfd_open(ret->pid, 0) : -1;
    if (rc == 0 && ret->pidfd < 0) {
        rc = -errno;
        (void)kill(-ret->pid, SIGKILL);
        (void)waitpid(ret->pid, NULL, 0);
    }
    if (rc < 0)
        (void)fd_close(ret->out);
    return rc;
}

/* More than fits is read and dropped, so that the program does not wait for a reader. */
static bool take_output(int fd, struct buf *b)
{
    uint8_t room[4096];
    ssize_t n = read(fd, room, sizeof room);
    size_t left = OUTPUT_MAX - b->len;
    if (n > 0)
        buf_put(b, room, (size_t)n < left ? (size_t)n : left);
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Until it ends; what it leaves running may keep the pipe. -ETIMEDOUT, -ECANCELED. */
static int attend(const struct child *k, int cancel_fd, struct buf *out)
{
    struct pollfd p[3] = {
        {.fd = k->out,    .events = POLLIN},
        {.fd = k->pidfd,  .events = POLLIN},
        {.fd = cancel_fd, .events = POLLIN},
    };
    int64_t until = clock_mono_ms() + TIME_MS;
    for (;;) {
        int64_t left = until - clock_mono_ms();
        int n = left > 0 ? poll(p, ARRAY_SIZE(p), (int)left) : 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && p[0].revents && !take_output(k->out, out))
            p[0].fd = -1;
        else if (n > 0 && !p[0].revents && p[1].revents)
            return 0;
        else if (n > 0 && p[2].revents)
            return -ECANCELED;
    }
}

/* From its last line that has something in it. */
static char *last_words(const struct buf *b)
{
    size_t end = b->len;
    while (end > 0 && isspace(b->data[end - 1]))
        end--;
    size_t from = end;
    while (from > 0 && b->data[from - 1] != '\n')
        from--;
    size_t n = end - from < 80 ? end - from : 80;
    return text_printable((const char *)b->data + from, n);
}

static int judge(const struct hook_call *c, int rc, int status, const struct buf *out,
                 struct fault *reterr)
{
    if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "hook %s %s: %s", c->name, c->verb,
                         strerror(-rc));
    CLEANUP(mem_free) char *words = out->len ? last_words(out) : xstrdup("it said nothing");
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return fault_set(reterr, FAULT_STOP_JOB, EIO, "hook %s %s ended with %d: %s", c->name, c->verb,
                     code, words);
}

int hook_check(const char *dir, const char *name, struct fault *reterr)
{
    CLEANUP(mem_free) char *file = xasprintf("%s/%s", dir, name);
    int rc = dir[0] == '/' ? check_program(dir, file) : -ENOENT;
    return rc == 0 ? 0
                   : fault_set(reterr, FAULT_STOP_JOB, -rc,
                               "hook %s: cannot use %s: %s (it and its folder have to be root's, "
                               "writable by root alone)",
                               name, file, strerror(-rc));
}

int hook_run(const struct hook_call *c, char **retline, struct fault *reterr)
{
    CLEANUP(mem_free) char *file = xasprintf("%s/%s", c->dir, c->name);
    struct child k = {.pid = 0};
    int status = 0, rc = hook_check(c->dir, c->name, reterr);
    if (rc < 0)
        return rc;
    struct buf out;
    buf_init(&out, OUTPUT_MAX);
    rc = child_start(c, file, &k);
    if (rc == 0) {
        rc = attend(&k, c->cancel_fd, &out);
        if (rc < 0)
            (void)kill(-k.pid, SIGKILL);
        (void)waitpid(k.pid, &status, 0);
        (void)fd_close(k.out);
        (void)fd_close(k.pidfd);
    }
    rc = judge(c, rc, status, &out, reterr);
    if (rc == 0) {
        const char *text = out.data ? (const char *)out.data : "";
        const char *nl = out.len ? memchr(text, '\n', out.len) : NULL;
        *retline = xmemdup(text, nl ? (size_t)(nl - text) : out.len);
    }
    buf_done(&out);
    return rc;
}
