/* embed: an orchestrator and two agents as child processes of `godwit migrate`. Main thread. */
#include "orchestrator/console/embed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/options.h"
#include "orchestrator/orchestrator.h"

#define STOP_MS 10000
#define ENROL_MS 60000
#define TOKEN_MAX 4096
#define NPORTS 4
#define PORT_FIRST 20000 /* below what the kernel hands out by itself */
#define PORT_SPAN 10000

enum { ORCHESTRATOR, SOURCE, DESTINATION, NPROCS };

static const char *const names[NPROCS] = {"orchestrator", EMBED_SOURCE, EMBED_DESTINATION};

struct proc {
    pid_t pid; /* 0: ended */
    int token; /* pipe to it; -1 */
};

struct embed {
    char *dir;
    char *run_dir; /* of the socket; below /tmp when dir is too long for one */
    bool made_run_dir;
    uint32_t ports[NPORTS];
    bool fresh;
    struct proc procs[NPROCS];
};

static bool port_free(uint32_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return fd >= 0 && bind(fd, (const struct sockaddr *)&to, sizeof to) == 0;
}

/* The ports of the last run, so that the agents find their orchestrator; 1 when they are free. */
static bool ports_load(struct embed *e, const char *path)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    if (file_read(path, 256, &text, &len) < 0)
        return false;
    char *at = text;
    for (size_t i = 0; i < NPORTS; i++) {
        e->ports[i] = (uint32_t)strtoul(at, &at, 10);
        if (e->ports[i] < 1024 || e->ports[i] > 65535 || !port_free(e->ports[i]))
            return false;
    }
    return true;
}

static int ports_choose(struct embed *e, const char *path)
{
    size_t found = 0;
    for (int tries = 0; tries < 1000 && found < NPORTS; tries++) {
        uint16_t r = 0;
        (void)text_random(&r, sizeof r);
        uint32_t port = PORT_FIRST + r % PORT_SPAN;
        bool taken = !port_free(port);
        for (size_t i = 0; i < found; i++)
            taken = taken || e->ports[i] == port;
        if (!taken)
            e->ports[found++] = port;
    }
    if (found < NPORTS)
        return -EADDRINUSE;
    CLEANUP(mem_free)
    char *text = xasprintf("%u %u %u %u\n", e->ports[0], e->ports[1], e->ports[2], e->ports[3]);
    return file_write(path, 0600, text, strlen(text));
}

/* In the child: nothing of the parent's terminal, and an end with the parent's. */
static void child_begin(const struct embed *e, const char *name, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)setpgid(0, 0); /* Ctrl-C is for the console, which stops us in order */
    (void)umask(077);
    CLEANUP(mem_free) char *path = xasprintf("%s/%s.log", e->dir, name);
    CLEANUP(fd_close) int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CLEANUP(fd_close)
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    (void)dup2(in, STDIN_FILENO);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(out, STDERR_FILENO);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)unsetenv("JOURNAL_STREAM"); /* the log file is where people are sent */
    (void)unsetenv("NOTIFY_SOCKET");
    log_init(xasprintf("godwit-%s", name), LOG_INFO);
}

static void set_text(char **slot, const char *text)
{
    free(*slot);
    *slot = xstrdup(text);
}

static int orchestrator_child(const struct embed *e)
{
    struct orchestrator_conf c = {0};
    options_defaults(orchestrator_options, &c);
    set_text(&c.state_dir, e->dir);
    set_text(&c.run_dir, e->run_dir);
    set_text(&c.listen, "127.0.0.1");
    set_text(&c.public_name, "127.0.0.1");
    c.agents_port = e->ports[0];
    c.enrol_port = e->ports[1];
    c.agents_port_b = e->ports[2];
    c.enrol_port_b = e->ports[3];
    int rc = orchestrator_run(&c);
    options_free(orchestrator_options, &c);
    return rc;
}

/* In a process of its own: enrolment leaves ZeroMQ's threads behind, the daemon wants none. */
static int enrol_apart(const struct agent_conf *c, const char *token, bool again)
{
    pid_t self = getpid(), pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self)
            _exit(1);
        _exit(again ? agent_enrol_again(c, token, ENROL_MS) : agent_enrol(c, token, ENROL_MS));
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int agent_child(const struct embed *e, const char *name, int pipe_fd)
{
    char token[TOKEN_MAX] = "";
    size_t n = 0;
    ssize_t got = 0;
    while (n < sizeof token - 1 && (got = read(pipe_fd, token + n, sizeof token - 1 - n)) > 0)
        n += (size_t)got;
    (void)fd_close(pipe_fd);
    struct agent_conf c = {.lane_port = 0, .workers = 8, .no_feed = true};
    c.state_dir = xasprintf("%s/%s", e->dir, name);
    c.lane_listen = xstrdup("127.0.0.1");
    c.lane_address = xstrdup("127.0.0.1");
    c.log_level = xstrdup("info");
    CLEANUP(mem_free) char *home = xasprintf("%s/orchestrator.json", c.state_dir);
    int rc = file_mkdirs(c.state_dir, 0700) < 0 ? 1 : 0;
    if (rc == 0 && *token)
        rc = enrol_apart(&c, token, access(home, F_OK) == 0);
    if (rc == 0)
        rc = agent_run(&c);
    free(c.state_dir);
    free(c.lane_listen);
    free(c.lane_address);
    free(c.log_level);
    return rc;
}

static int proc_start(struct embed *e, int which)
{
    int ends[2] = {-1, -1};
    if (which != ORCHESTRATOR && pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) {
        (void)fd_close(ends[0]);
        (void)fd_close(ends[1]);
        return -errno;
    }
    if (pid == 0) {
        child_begin(e, names[which], parent);
        (void)fd_close(ends[1]);
        for (int i = 0; i < which; i++) /* or the other agent never sees the end of its token */
            (void)fd_close(e->procs[i].token);
        int rc =
            which == ORCHESTRATOR ? orchestrator_child(e) : agent_child(e, names[which], ends[0]);
        (void)fflush(NULL);
        _exit(rc);
    }
    (void)fd_close(ends[0]);
    e->procs[which] = (struct proc){.pid = pid, .token = ends[1]};
    return 0;
}

/* A Unix socket's path holds 107 bytes. */
static int make_run_dir(struct embed *e)
{
    e->run_dir = xasprintf("%s/run", e->dir);
    if (strlen(e->run_dir) <= 80)
        return file_mkdirs(e->run_dir, 0700);
    free(e->run_dir);
    e->run_dir = xstrdup("/tmp/godwit-XXXXXX");
    e->made_run_dir = mkdtemp(e->run_dir) != NULL;
    return e->made_run_dir ? 0 : -errno;
}

int embed_start(const char *dir, struct embed **ret, struct fault *reterr)
{
    struct embed *e = xcalloc(1, sizeof *e);
    CLEANUP(mem_free) char *ports = xasprintf("%s/ports", dir);
    CLEANUP(mem_free) char *json = xasprintf("%s/console.json", dir);
    CLEANUP(mem_free) char *home = xasprintf("%s/" EMBED_DESTINATION "/orchestrator.json", dir);
    e->dir = xstrdup(dir);
    for (int i = 0; i < NPROCS; i++)
        e->procs[i].token = -1;
    (void)unlink(json); /* that of the last run */
    e->fresh = !ports_load(e, ports) || access(home, F_OK) < 0;
    (void)fflush(NULL); /* or the children write it too */
    int rc = make_run_dir(e);
    if (rc == 0 && e->fresh)
        rc = ports_choose(e, ports);
    for (int i = 0; rc == 0 && i < NPROCS; i++)
        rc = proc_start(e, i);
    if (rc < 0) {
        (void)embed_stop(e);
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot start in '%s': %s", dir,
                         strerror(-rc));
    }
    *ret = e;
    return 0;
}

const char *embed_state(const struct embed *e)
{
    return e->dir;
}

bool embed_wants_tokens(const struct embed *e)
{
    return e->fresh;
}

int embed_token(struct embed *e, const char *host, const char *text)
{
    struct proc *p = &e->procs[strcmp(host, EMBED_SOURCE) == 0 ? SOURCE : DESTINATION];
    size_t n = text ? strlen(text) : 0;
    int rc = n && write(p->token, text, n) != (ssize_t)n ? -EPIPE : 0;
    p->token = fd_close(p->token);
    return rc;
}

/* The last line of a child's log; malloc'd. */
static char *last_words(const struct embed *e, const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s.log", e->dir, name);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    if (file_read(path, 16 << 20, &text, &len) < 0)
        return xstrdup("");
    while (len && text[len - 1] == '\n')
        text[--len] = '\0';
    char *line = strrchr(text, '\n');
    return xstrdup(line ? line + 1 : text);
}

bool embed_alive(struct embed *e, struct fault *reterr)
{
    for (int i = 0; i < NPROCS; i++) {
        int status = 0;
        if (e->procs[i].pid == 0 || waitpid(e->procs[i].pid, &status, WNOHANG) == 0)
            continue;
        e->procs[i].pid = 0;
        CLEANUP(mem_free) char *words = last_words(e, names[i]);
        (void)fault_set(reterr, FAULT_STOP_JOB, ECHILD, "the %s%s has ended: %s", names[i],
                        i == ORCHESTRATOR ? "" : " agent", words);
        return false;
    }
    return true;
}

static bool proc_wait(struct proc *p, int64_t deadline)
{
    while (p->pid) {
        if (waitpid(p->pid, NULL, WNOHANG) != 0) {
            p->pid = 0;
            break;
        }
        if (clock_mono_ms() >= deadline)
            return false;
        struct timespec ts = {.tv_nsec = 10000000};
        (void)nanosleep(&ts, NULL);
    }
    return true;
}

struct embed *embed_stop(struct embed *e)
{
    if (!e)
        return NULL;
    int64_t deadline = clock_mono_ms() + STOP_MS;
    for (int i = NPROCS - 1; i >= 0; i--) {
        struct proc *p = &e->procs[i];
        (void)fd_close(p->token);
        if (p->pid)
            (void)kill(p->pid, SIGTERM);
    }
    for (int i = NPROCS - 1; i >= 0; i--) {
        struct proc *p = &e->procs[i];
        if (proc_wait(p, deadline))
            continue;
        (void)kill(p->pid, SIGKILL);
        (void)waitpid(p->pid, NULL, 0);
    }
    CLEANUP(mem_free) char *sock = xasprintf("%s/console-a.sock", e->run_dir ? e->run_dir : "");
    (void)unlink(sock);
    if (e->made_run_dir)
        (void)rmdir(e->run_dir);
    free(e->run_dir);
    free(e->dir);
    free(e);
    return NULL;
}
