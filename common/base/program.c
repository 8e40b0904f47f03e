/* program: one child in its own process group, attended until it ends. Worker threads. */
#include "common/base/program.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define SEARCH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define OUT_MAX (1U << 20)
#define ERR_MAX (64U << 10)
#define TIME_MS 60000
#define WORDS_MAX 160
#define ENV_MAX 8

int program_find(const char *name, const char *search, char **ret)
{
    if (strchr(name, '/')) {
        if (access(name, X_OK) < 0)
            return -errno;
        *ret = xstrdup(name);
        return 0;
    }
    CLEANUP(mem_free) char *folders = xstrdup(search ? search : SEARCH);
    char *save = NULL;
    for (char *f = strtok_r(folders, ":", &save); f; f = strtok_r(NULL, ":", &save)) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%s", f, name);
        if (access(path, X_OK) == 0) {
            *ret = path;
            path = NULL;
            return 0;
        }
    }
    return -ENOENT;
}

struct child {
    pid_t pid;
    int pidfd, out[2], err[2]; /* [0] is ours */
    int in;                    /* what it reads; -1: nothing */
};

/* A file without a name, in memory: whatever it holds never comes to a disk, and no pipe fills up.
 */
static int input_of(const struct program_call *c, int *ret)
{
    const uint8_t *p = c->input;
    if (!p)
        return 0;
    CLEANUP(fd_close) int fd = memfd_create("input", MFD_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < c->input_len;) {
        ssize_t n = pwrite(fd, p + at, c->input_len - at, (off_t)at);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += (size_t)n;
    }
    if (fd < 0)
        return -errno;
    *ret = fd;
    fd = -1;
    return 0;
}

static int start(const char *file, const struct program_call *c, struct child *k)
{
    char locale[] = "LC_ALL=C", folders[] = "PATH=" SEARCH;
    char *env[ENV_MAX + 3] = {locale, folders};
    for (size_t i = 0; c->env && c->env[i] && i < ENV_MAX; i++)
        memcpy(&env[i + 2], &c->env[i], sizeof env[0]); /* posix_spawn() changes none of them */
    posix_spawn_file_actions_t fds;
    posix_spawnattr_t how;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawn_file_actions_init(&fds);
    if (k->in >= 0)
        (void)posix_spawn_file_actions_adddup2(&fds, k->in, 0);
    else
        (void)posix_spawn_file_actions_addopen(&fds, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&fds, k->out[1], 1);
    (void)posix_spawn_file_actions_adddup2(&fds, k->err[1], 2);
    (void)posix_spawnattr_init(&how);
    (void)posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setsigmask(&how, &none);
    (void)posix_spawnattr_setsigdefault(&how, &all);
    char *const *argv;
    memcpy(&argv, &c->argv, sizeof argv); /* nor of these */
    int rc = -posix_spawn(&k->pid, file, &fds, &how, argv, env);
    (void)posix_spawn_file_actions_destroy(&fds);
    (void)posix_spawnattr_destroy(&how);
    k->pidfd = rc == 0 ? pidfd_open(k->pid, 0) : -1;
    if (rc == 0 && k->pidfd < 0) {
        rc = -errno;
        (void)kill(-k->pid, SIGKILL);
        (void)waitpid(k->pid, NULL, 0);
    }
    return rc;
}

/* 1: more may come, 0: end, -E2BIG. Of what is only to be looked at (keep), the rest is dropped. */
static int take(int fd, struct buf *b, bool keep)
{
    uint8_t room[16384];
    ssize_t n = read(fd, room, sizeof room);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    size_t left = b->max - b->len;
    if ((size_t)n > left && keep)
        return -E2BIG;
    buf_put(b, room, (size_t)n < left ? (size_t)n : left);
    return n > 0;
}

/* What it leaves running may keep the pipes open: its own end is the end, and what is in them then.
 */
static void drain(int fd, struct buf *b)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (fd >= 0 && poll(&p, 1, 0) > 0 && take(fd, b, true) > 0)
        ;
}

static int attend(struct child *k, const struct program_call *c, struct buf *out, struct buf *err)
{
    struct pollfd p[4] = {
        {.fd = k->out[0],                            .events = POLLIN},
        {.fd = k->err[0],                            .events = POLLIN},
        {.fd = k->pidfd,                             .events = POLLIN},
        {.fd = c->cancel_fd > 0 ? c->cancel_fd : -1, .events = POLLIN},
    };
    int64_t until = clock_mono_ms() + (c->timeout_ms > 0 ? c->timeout_ms : TIME_MS);
    for (;;) {
        int64_t left = until - clock_mono_ms();
        int n = left > 0 ? poll(p, ARRAY_SIZE(p), (int)left) : 0;
        if (n == 0)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n < 0)
            continue;
        bool some = p[0].revents || p[1].revents;
        int rc = p[0].revents ? take(p[0].fd, out, !c->drop) : 1;
        if (rc < 0)
            return rc;
        if (rc == 0)
            p[0].fd = -1;
        if (p[1].revents && take(p[1].fd, err, false) == 0)
            p[1].fd = -1;
        if (!some && p[2].revents)
            return 0;
        if (p[3].revents)
            return -ECANCELED;
    }
}

static char *text_of(struct buf *b)
{
    char *text = xmemdup(b->data ? b->data : (const uint8_t *)"", b->len);
    buf_done(b);
    return text;
}

static int run(const char *file, const struct program_call *c, struct program_output *ret)
{
    struct child k = {
        .out = {-1, -1},
          .err = {-1, -1},
          .pidfd = -1, .in = -1
    };
    struct buf out, err;
    int status = 0;
    if (pipe2(k.out, O_CLOEXEC) < 0 || pipe2(k.err, O_CLOEXEC) < 0) {
        int rc = -errno;
        (void)fd_close(k.out[0]);
        (void)fd_close(k.out[1]);
        return rc;
    }
    buf_init(&out, c->max_out ? c->max_out : OUT_MAX);
    buf_init(&err, ERR_MAX);
    int rc = input_of(c, &k.in);
    if (rc == 0)
        rc = start(file, c, &k);
    (void)fd_close(k.in);
    (void)fd_close(k.out[1]);
    (void)fd_close(k.err[1]);
    if (rc == 0) {
        rc = attend(&k, c, &out, &err);
        if (rc < 0)
            (void)kill(-k.pid, SIGKILL);
        (void)waitpid(k.pid, &status, 0);
        drain(k.err[0], &err);
        (void)fd_close(k.pidfd);
    }
    (void)fd_close(k.out[0]);
    (void)fd_close(k.err[0]);
    struct program_output o = {.len = out.len};
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    o.out = text_of(&out);
    o.err = text_of(&err);
    if (rc == 0)
        *ret = o;
    else
        program_done(&o);
    return rc;
}

int program_run(const struct program_call *c, struct program_output *ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *file = NULL;
    int rc = program_find(c->argv[0], c->search, &file);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the program %.60s is not there: %s",
                         c->argv[0], strerror(-rc));
    rc = run(file, c, ret);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "%.60s did not come to its end: %s",
                         c->argv[0], strerror(-rc));
    return 0;
}

void program_done(struct program_output *o)
{
    free(o->out);
    free(o->err);
    *o = (struct program_output){.out = NULL};
}

/* From its last line that has something in it. NULL: none has. */
static char *last_words(const char *text)
{
    size_t end = text ? strlen(text) : 0;
    while (end > 0 && isspace((unsigned char)text[end - 1]))
        end--;
    size_t from = end;
    while (from > 0 && text[from - 1] != '\n')
        from--;
    size_t n = end - from < WORDS_MAX ? end - from : WORDS_MAX;
    return n ? text_printable(text + from, n) : NULL;
}

char *program_words(const struct program_output *o)
{
    char *words = last_words(o->err);
    if (!words)
        words = last_words(o->out);
    return words ? words : xstrdup("it said nothing");
}
