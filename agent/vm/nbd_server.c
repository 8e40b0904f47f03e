/* nbd_server: qemu-storage-daemon as a child of a thread that waits for it. */
#include "agent/vm/nbd_server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/vm/device.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define PROGRAM "qemu-storage-daemon"
#define NEW ".new"
#define READY ".pid"
#define START_MS 10000
#define STOP_MS 60000 /* until all is written; killed then */

struct nbd_server {
    char **argv;
    size_t n;
    pthread_t keeper;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    pid_t pid; /* 0: it does not run */
    int status, err;
    bool started, over;
};

/* ── its words ── */

static void word(struct nbd_server *s, char *text)
{
    s->argv = xrealloc(s->argv, (s->n + 2) * sizeof *s->argv);
    s->argv[s->n++] = text;
    s->argv[s->n] = NULL;
}

/* A comma in a value is said twice. */
static char *quoted(const char *value)
{
    char *out = xmalloc(2 * strlen(value) + 1), *to = out;
    for (; *value; value++) {
        if (*value == ',')
            *to++ = ',';
        *to++ = *value;
    }
    *to = '\0';
    return out;
}

static void say_disk(struct nbd_server *s, const struct nbd_disk *d, size_t i)
{
    CLEANUP(mem_free) char *path = quoted(d->path);
    const char *driver = device_is(d->path) ? "host_device" : "file"; /* it takes no other */
    word(s, xstrdup("--blockdev"));
    word(s, xasprintf("driver=%s,node-name=file%zu,filename=%s,discard=unmap", driver, i, path));
    word(s, xstrdup("--blockdev"));
    /* Of another size than the disk's it would be refused by the one who copies. */
    CLEANUP(mem_free)
    char *size = d->bytes ? xasprintf(",size=%" PRIu64, (d->bytes + 511) / 512 * 512) : xstrdup("");
    word(s, xasprintf("driver=%s,node-name=disk%zu,file=file%zu,discard=unmap%s", d->format, i, i,
                      size));
    word(s, xstrdup("--export"));
    word(s,
         xasprintf("type=nbd,id=export%zu,node-name=disk%zu,name=%s,writable=on", i, i, d->name));
}

/* ── its life ── */

/* Between fork and exec: nothing that takes a lock. */
__attribute__((noreturn)) static void become(char *const *argv, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* A signal that lets it write all that it has. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent) {
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; null >= 0 && fd < 3; fd++)
            (void)dup2(null, fd);
        (void)execv(argv[0], argv);
    }
    _exit(127);
}

static void *keep(void *arg)
{
    struct nbd_server *s = arg;
    int status = 0;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(s->argv, parent);
    (void)pthread_mutex_lock(&s->lock);
    s->started = true;
    s->err = pid < 0 ? errno : 0;
    s->pid = pid > 0 ? pid : 0;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    (void)pthread_mutex_lock(&s->lock);
    s->pid = 0;
    s->status = status;
    s->over = true;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

static bool is_over(struct nbd_server *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool over = s->over;
    (void)pthread_mutex_unlock(&s->lock);
    return over;
}

/* Its socket is there before its disks are: it gets its name once all are. */
static int show(struct nbd_server *s, const char *socket)
{
    CLEANUP(mem_free) char *ready = xasprintf("%s" READY, socket);
    CLEANUP(mem_free) char *its = xasprintf("%s" NEW, socket);
    int64_t until = clock_mono_ms() + START_MS;
    while (access(ready, F_OK) < 0) {
        if (is_over(s))
            return -EIO;
        if (clock_mono_ms() > until)
            return -ETIMEDOUT;
        (void)poll(NULL, 0, 5);
    }
    return rename(its, socket) < 0 ? -errno : 0;
}

int nbd_server_start(const char *socket, const struct nbd_disk *disks, size_t n,
                     struct nbd_server **ret, struct fault *reterr)
{
    char *program = NULL;
    if (program_find(PROGRAM, NULL, &program) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, PROGRAM " is not installed here");
    struct nbd_server *s = xcalloc(1, sizeof *s);
    CLEANUP(mem_free) char *path = quoted(socket);
    (void)pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->changed);
    word(s, program);
    word(s, xstrdup("--nbd-server"));
    word(s, xasprintf("addr.type=unix,addr.path=%s" NEW, path));
    for (size_t i = 0; i < n; i++)
        say_disk(s, &disks[i], i);
    word(s, xstrdup("--pidfile"));
    word(s, xasprintf("%s" READY, socket));
    int rc = -pthread_create(&s->keeper, NULL, keep, s);
    if (rc < 0)
        s->over = true;
    (void)pthread_mutex_lock(&s->lock);
    while (rc == 0 && !s->started)
        clock_cond_wait(&s->changed, &s->lock, 1000);
    if (rc == 0)
        rc = -s->err;
    (void)pthread_mutex_unlock(&s->lock);
    if (rc == 0)
        rc = show(s, socket);
    if (rc < 0) {
        (void)nbd_server_free(s);
        return fault_set(reterr, FAULT_RETRY, -rc, "cannot start " PROGRAM ": %s", strerror(-rc));
    }
    *ret = s;
    return 0;
}

int nbd_server_stop(struct nbd_server *s)
{
    int64_t until = clock_mono_ms() + STOP_MS;
    (void)pthread_mutex_lock(&s->lock);
    int rc = s->over ? -EIO : 0;
    if (s->pid > 0)
        (void)kill(s->pid, SIGTERM);
    while (!s->over) {
        if (s->pid > 0 && clock_mono_ms() > until)
            (void)kill(s->pid, SIGKILL);
        clock_cond_wait(&s->changed, &s->lock, 500);
    }
    if (!WIFEXITED(s->status) || WEXITSTATUS(s->status) != 0)
        rc = -EIO;
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

struct nbd_server *nbd_server_free(struct nbd_server *s)
{
    if (!s)
        return NULL;
    if (s->started) {
        (void)nbd_server_stop(s);
        (void)pthread_join(s->keeper, NULL);
    }
    for (size_t i = 0; i < s->n; i++)
        free(s->argv[i]);
    free(s->argv);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}
