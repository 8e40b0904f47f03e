/* child: a program that runs beside us. Main thread. */
#include "orchestrator/console/child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define TAIL_BYTES 400

extern char **environ;

struct child {
    pid_t pid; /* 0: ended and waited for */
    int output;
};

static int memory_file(const char *name, const char *text)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    size_t n = strlen(text);
    if (fd >= 0 && (write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) < 0))
        return fd_close(fd);
    return fd;
}

int child_start(const char **argv, const char *input, struct child **ret)
{
    CLEANUP(fd_close) int in = memory_file("input", input ? input : "");
    int out = memory_file("output", "");
    if (in < 0 || out < 0) {
        (void)fd_close(out);
        return -EMFILE;
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t pipes;
    (void)sigemptyset(&pipes);
    (void)sigaddset(&pipes, SIGPIPE);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setsigdefault(&attr, &pipes);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
    pid_t pid = 0;
    int err = posix_spawnp(&pid, argv[0], &actions, &attr, (char **)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    if (err) {
        (void)fd_close(out);
        return -err;
    }
    *ret = xcalloc(1, sizeof **ret);
    **ret = (struct child){.pid = pid, .output = out};
    return 0;
}

bool child_ended(struct child *c, int *retstatus)
{
    int status = 0;
    if (c->pid == 0 || waitpid(c->pid, &status, WNOHANG) == 0)
        return false;
    c->pid = 0;
    *retstatus = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

char *child_tail(const struct child *c)
{
    char *text = xcalloc(1, TAIL_BYTES + 1);
    off_t size = lseek(c->output, 0, SEEK_END);
    off_t from = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
    ssize_t n = pread(c->output, text, TAIL_BYTES, from);
    text[n > 0 ? n : 0] = '\0';
    for (size_t end = strlen(text); end && strchr(" \r\n", text[end - 1]); end--)
        text[end - 1] = '\0';
    for (char *p = text; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    return text;
}

struct child *child_free(struct child *c)
{
    if (!c)
        return NULL;
    if (c->pid) {
        (void)kill(c->pid, SIGTERM);
        (void)waitpid(c->pid, NULL, 0);
    }
    (void)fd_close(c->output);
    free(c);
    return NULL;
}
