/* daemon: starts, asks and ends one godwitd. Test thread. */
#include "tests/scenario/daemon.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define READY_MS 30000
#define ASK_MS 20000

static const char *program(void)
{
    const char *path = getenv("GODWITD");
    return path ? path : "";
}

bool daemon_exists(void)
{
    return access(program(), X_OK) == 0;
}

/* Free at this moment; the daemon is started again if somebody is quicker. */
static unsigned free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
                getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    return ntohs(at.sin_port);
}

static _Noreturn void become(const struct daemon *d, char **argv)
{
    char log[96];
    (void)snprintf(log, sizeof log, "%s/log", d->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing outlives its test */
    if (fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0)
        (void)execv(argv[0], argv);
    _exit(127);
}

#define WORDS_MAX 40

static void spawn(struct daemon *d, unsigned agents, unsigned enrol, const char *const *options)
{
    char *state = xasprintf("%s/state", d->dir), *run = xasprintf("%s/run", d->dir);
    char *words[WORDS_MAX] = {xstrdup(program()),
                              xasprintf("--state-dir=%s", state),
                              xasprintf("--run-dir=%s", run),
                              xstrdup("--listen=127.0.0.1"),
                              xasprintf("--agents-port=%u", agents),
                              xasprintf("--enrol-port=%u", enrol),
                              xasprintf("--agents-port-b=%u", free_port()),
                              xasprintf("--enrol-port-b=%u", free_port())};
    size_t n = 8;
    for (; options && *options && n < WORDS_MAX - 1; options++)
        words[n++] = xstrdup(*options);
    d->pid = fork();
    assert_true(d->pid >= 0);
    if (d->pid == 0)
        become(d, words);
    for (size_t i = 0; i < n; i++)
        free(words[i]);
    free(state);
    free(run);
    (void)snprintf(d->agents_endpoint, sizeof d->agents_endpoint, "tcp://127.0.0.1:%u", agents);
    (void)snprintf(d->enrol_endpoint, sizeof d->enrol_endpoint, "tcp://127.0.0.1:%u", enrol);
}

bool daemon_alive(const struct daemon *d)
{
    int status = 0;
    return d->pid > 0 && waitpid(d->pid, &status, WNOHANG) == 0;
}

static bool read_console_json(struct daemon *d)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/state/console.json", d->dir);
    json_t *doc = json_load_file(path, 0, NULL);
    const char *endpoint = NULL, *server = NULL, *key = NULL;
    bool ok = doc && json_unpack(doc, "{s:s,s:s,s:s}", "endpoint", &endpoint, "server_key", &server,
                                 "key_file", &key) == 0;
    ok = ok && curve_from_z85(server, d->server_key) == 0 &&
         curve_key_load(key, &d->console_key) == 0;
    if (ok)
        (void)snprintf(d->console_endpoint, sizeof d->console_endpoint, "%s", endpoint);
    json_decref(doc);
    return ok;
}

static void wait_ready(struct daemon *d)
{
    int64_t end = clock_mono_ms() + READY_MS;
    while (!read_console_json(d)) {
        if (!daemon_alive(d) || clock_mono_ms() > end) {
            daemon_show_log(d);
            fail_msg("godwitd did not become ready in %s", d->dir);
        }
        zclock_sleep(20);
    }
    uint32_t code = 1;
    peer_open(&d->console, d->console_endpoint, d->server_key, &d->console_key);
    json_t *status = daemon_ask(d, &code, "status", NULL);
    assert_int_equal(code, 0);
    json_decref(status);
}

void daemon_start(struct daemon *d, const char *const *options)
{
    *d = (struct daemon){.pid = -1};
    (void)snprintf(d->dir, sizeof d->dir, "/tmp/godwit-hostile.XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    spawn(d, free_port(), free_port(), options);
    wait_ready(d);
}

static int reap(struct daemon *d, int ms)
{
    int64_t end = clock_mono_ms() + ms;
    int status = 0;
    while (waitpid(d->pid, &status, WNOHANG) == 0) {
        if (clock_mono_ms() > end)
            (void)kill(d->pid, SIGKILL);
        zclock_sleep(20);
    }
    d->pid = -1;
    peer_close(&d->console);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int daemon_stop(struct daemon *d)
{
    if (d->pid <= 0)
        return -1;
    (void)kill(d->pid, SIGTERM);
    return reap(d, 20000);
}

void daemon_kill(struct daemon *d)
{
    if (d->pid <= 0)
        return;
    (void)kill(d->pid, SIGKILL);
    (void)reap(d, 20000);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void daemon_remove(struct daemon *d)
{
    if (*d->dir)
        (void)nftw(d->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    d->dir[0] = '\0';
}

long daemon_memory(const struct daemon *d, const char *name)
{
    char path[64], line[256];
    long kib = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)d->pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtol(line + strlen(name) + 1, NULL, 10);
    }
    if (f)
        (void)fclose(f);
    return kib;
}

long daemon_files(const struct daemon *d)
{
    char path[64];
    long n = -2; /* . and .. */
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)d->pid);
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        (void)closedir(dir);
    return n;
}

long daemon_log_bytes(const struct daemon *d)
{
    char path[96];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/log", d->dir);
    return stat(path, &st) == 0 ? (long)st.st_size : 0;
}

void daemon_show_log(const struct daemon *d)
{
    char path[96], text[4096];
    (void)snprintf(path, sizeof path, "%s/log", d->dir);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (fseek(f, -(long)sizeof text, SEEK_END) != 0)
        rewind(f);
    size_t n = fread(text, 1, sizeof text, f);
    (void)fprintf(stderr, "--- end of %s ---\n%.*s\n", path, (int)n, text);
    (void)fclose(f);
}
