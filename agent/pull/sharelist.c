/* sharelist: starts the process that lists shares, hands it the log-on through a socket, and reads
 * its answer like a stranger's. */
#include "agent/pull/sharelist.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/confine.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define ANSWER_MS 60000
#define NAME_MAX_BYTES 1024U
#define COMMENT_MAX_BYTES 4096U
#define PROGRAM "godwit-smb-shares"
#define FOLDER_MAX 96

/* ── what is said ── */

void sharelist_ask(const struct smb_place *p, struct buf *ret)
{
    const struct smb_login *l = &p->login;
    buf_put_u8(ret, (uint8_t)l->proof);
    buf_put_blob(ret, p->address, strlen(p->address));
    buf_put_blob(ret, l->user ? l->user : "", l->user ? strlen(l->user) : 0);
    buf_put_blob(ret, l->secret ? l->secret : "", l->secret_len);
}

static char *take_text(struct cursor *c, size_t max)
{
    size_t n = 0;
    const char *text = cursor_blob(c, max, &n);
    return text ? text_printable(text, n) : NULL;
}

int sharelist_read(const void *answer, size_t len,
                   void (*each)(void *arg, const struct share_found *f), void *arg)
{
    struct cursor c = cursor_of(answer, len);
    uint8_t code = cursor_u8(&c);
    if (c.bad)
        return -EBADMSG;
    if (code > 0)
        return -(int)code;
    for (unsigned n = 0; cursor_left(&c) > 0; n++) {
        uint8_t kind = cursor_u8(&c);
        CLEANUP(mem_free) char *name = take_text(&c, NAME_MAX_BYTES);
        CLEANUP(mem_free) char *comment = take_text(&c, COMMENT_MAX_BYTES);
        if (c.bad || kind > SHARE_PIPE || !*name || n == SHARES_MAX)
            return -EBADMSG;
        const struct share_found f = {(enum share_kind)kind, name, comment};
        each(arg, &f);
    }
    return 0;
}

/* ── the process ── */

/* Beside this program in the build tree, below libexec where it is installed. */
static int find_program(char *ret, size_t size)
{
    static const char *const places[] = {"", "../libexec/godwit/"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        int len = snprintf(ret, size, "%.*s%s" PROGRAM, (int)(slash + 1 - self), self, places[i]);
        if (len > 0 && (size_t)len < size && access(ret, X_OK) == 0)
            return 0;
    }
    return -ENOENT;
}

/* For an agent that may not become another user: a unit of its own, by a user that nobody else is.
 */
static const char *const properties[] = {
    "--property=DynamicUser=yes",
    "--property=CapabilityBoundingSet=",
    "--property=PrivateDevices=yes",
    "--property=ProtectHome=yes",
    "--property=LimitCORE=0",
    "--property=RuntimeMaxSec=70",
    "--property=RuntimeDirectoryMode=0700",
};

/* In memory, and gone with the unit however that ends: tickets lie there. */
static void unit_folder(char ret[FOLDER_MAX])
{
    static atomic_uint count;
    (void)snprintf(ret, FOLDER_MAX, "--property=RuntimeDirectory=godwit-shares-%d-%u",
                   (int)getpid(), atomic_fetch_add(&count, 1));
}

static void command(const char *program, char folder[FOLDER_MAX], const char **argv)
{
    size_t n = geteuid() != 0 || confine_may_set_user() ? 0 : confine_unit(argv);
    for (size_t i = 0; n > 0 && i < ARRAY_SIZE(properties); i++)
        argv[n++] = properties[i];
    unit_folder(folder);
    if (n > 0)
        argv[n++] = folder;
    argv[n++] = program;
    argv[n] = NULL;
}

static int start(const char *program, int theirs, pid_t *ret)
{
    const char *args[CONFINE_ARGS + ARRAY_SIZE(properties) + 3];
    char folder[FOLDER_MAX];
    char *const env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin",
                         (char *)(uintptr_t) "LC_ALL=C.UTF-8", NULL};
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    sigset_t none;
    (void)sigemptyset(&none);
    command(program, folder, args);
    (void)posix_spawn_file_actions_init(&acts);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawn_file_actions_adddup2(&acts, theirs, 0);
    (void)posix_spawn_file_actions_addopen(&acts, 1, "/dev/null", 1, 0);
    (void)posix_spawn_file_actions_addopen(&acts, 2, "/dev/null", 1, 0);
    int rc = -posix_spawnp(ret, args[0], &acts, &attr, (char *const *)(uintptr_t)args, env);
    (void)posix_spawn_file_actions_destroy(&acts);
    (void)posix_spawnattr_destroy(&attr);
    return rc;
}

/* Until it closes its end. */
static int take_all(int fd, int cancel_fd, struct buf *ret)
{
    int64_t until = clock_mono_ms() + ANSWER_MS;
    for (;;) {
        struct pollfd w[2] = {
            {.fd = fd,        .events = POLLIN},
            {.fd = cancel_fd, .events = POLLIN}
        };
        int64_t left = until - clock_mono_ms();
        int ready = left > 0 ? poll(w, 2, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return ready < 0 ? -errno : -ETIMEDOUT;
        if (w[1].revents)
            return -ECANCELED;
        uint8_t *to = buf_reserve(ret, 4096);
        ssize_t n = to ? recv(fd, to, 4096, 0) : -1;
        if (n < 0 && to && errno == EINTR)
            continue;
        if (n <= 0)
            return !to ? -E2BIG : n < 0 ? -errno : 0;
        ret->len += (size_t)n;
    }
}

static int converse(int fd, const struct smb_place *p, struct buf *ret)
{
    struct buf ask;
    buf_init(&ask, 256U << 10);
    sharelist_ask(p, &ask);
    ssize_t sent = ask.overflow ? -1 : send(fd, ask.data, ask.len, MSG_NOSIGNAL);
    bool whole = sent == (ssize_t)ask.len && !ask.overflow;
    explicit_bzero(ask.data, ask.len);
    buf_done(&ask);
    if (!whole || shutdown(fd, SHUT_WR) < 0)
        return -EPIPE;
    return take_all(fd, p->cancel_fd, ret);
}

static int ask_process(const struct smb_place *p, struct buf *ret)
{
    char program[PATH_MAX];
    int pair[2];
    pid_t pid = 0;
    int rc = find_program(program, sizeof program);
    if (rc < 0)
        return -ENOSYS;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    rc = start(program, pair[1], &pid);
    (void)fd_close(pair[1]);
    if (rc == 0) {
        rc = converse(pair[0], p, ret);
        (void)kill(pid, SIGKILL); /* it said all that it had to say */
        (void)waitpid(pid, NULL, 0);
    }
    (void)fd_close(pair[0]);
    return rc;
}

static int explain(const struct smb_place *p, int rc, struct fault *reterr)
{
    if (rc == -ENOSYS)
        return fault_set(reterr, FAULT_STOP_JOB, ENOSYS,
                         "this agent cannot list shares: the program " PROGRAM " is not there");
    if (rc == -ENOEXEC)
        return fault_set(reterr, FAULT_STOP_JOB, EIO,
                         "this agent cannot list shares: " PROGRAM
                         " did not start, or died (it runs by systemd-run, which needs dbus)");
    if (rc == -EACCES || rc == -EPERM)
        return fault_set(reterr, FAULT_STOP_JOB, EACCES,
                         "%.80s does not let %.60s list its shares: are %s and account right? "
                         "Change them: godwit credential add",
                         p->address,
                         p->login.user && *p->login.user ? p->login.user
                                                         : "the owner of these tickets",
                         p->login.proof == SMB_PASSWORD ? "password" : "tickets");
    return fault_set(reterr, FAULT_STOP_JOB, -rc,
                     "%.80s does not tell its shares: %s; name the share in the pair", p->address,
                     strerror(-rc));
}

int sharelist(const struct smb_place *p, void (*each)(void *arg, const struct share_found *f),
              void *arg, struct fault *reterr)
{
    struct buf answer;
    buf_init(&answer, SHARELIST_MAX);
    int rc = ask_process(p, &answer);
    bool silent = rc == 0 && answer.len == 0;
    if (rc == 0 && !silent)
        rc = sharelist_read(answer.data, answer.len, each, arg);
    buf_done(&answer);
    return silent || rc < 0 ? explain(p, silent ? -ENOEXEC : rc, reterr) : 0;
}
