/* service: units of systemd and what hides behind them. Worker thread. */
#include "agent/identity/service.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define UNITS "smbd.service", "nmbd.service", "winbind.service"
#define SMB_PORT 445
#define UNITS_MAX 16 /* of a note */
#define STOP_MS 40000
#define GONE_MS 10000

static void own(char **slot, const char *text, size_t n)
{
    if (*slot != protobuf_c_empty_string)
        free(*slot);
    *slot = xmemdup(text, n);
}

static bool line_is(const char *line, size_t n, const char *what)
{
    return n == strlen(what) && memcmp(line, what, n) == 0;
}

Godwit__UndoUnits *service_parse(const char *text)
{
    Godwit__UndoUnits *u = xmalloc(sizeof *u);
    Godwit__UndoUnit *at = NULL;
    godwit__undo_units__init(u);
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        if (n > 3 && memcmp(line, "Id=", 3) == 0 && u->n_units < UNITS_MAX) {
            at = xmalloc(sizeof *at);
            godwit__undo_unit__init(at);
            own(&at->name, line + 3, n - 3);
            u->units = xrealloc(u->units, (u->n_units + 1) * sizeof(Godwit__UndoUnit *));
            u->units[u->n_units++] = at;
        } else if (at && (line_is(line, n, "ActiveState=active") ||
                          line_is(line, n, "ActiveState=activating"))) {
            at->active = true;
        } else if (at && line_is(line, n, "LoadState=masked")) {
            at->masked = true;
        }
        line += n + (line[n] == '\n');
    }
    return u;
}

void service_free(Godwit__UndoUnits *u)
{
    if (u)
        godwit__undo_units__free_unpacked(u, NULL);
}

/* Masked for the next start, whether or not systemd has read it yet. */
static bool on_disk(const struct site *v, const char *unit)
{
    char to[16];
    CLEANUP(mem_free) char *path = xasprintf("%s/etc/systemd/system/%s", v->root, unit);
    ssize_t n = readlink(path, to, sizeof to);
    return n == 9 && memcmp(to, "/dev/null", 9) == 0;
}

int service_look(const struct site *v, Godwit__UndoUnits **ret, struct fault *reterr)
{
    static const char *const argv[] = {"systemctl", "show", "--property=Id,ActiveState,LoadState",
                                       UNITS, NULL};
    const struct program_call c = {.argv = argv, .search = v->search, .max_out = 64U << 10};
    struct program_output o;
    int rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    *ret = service_parse(o.out);
    program_done(&o);
    for (size_t i = 0; i < (*ret)->n_units; i++)
        (*ret)->units[i]->masked = (*ret)->units[i]->masked || on_disk(v, (*ret)->units[i]->name);
    return 0;
}

bool service_active(const Godwit__UndoUnits *u, const char *name)
{
    for (size_t i = 0; i < u->n_units; i++)
        if (strcmp(u->units[i]->name, name) == 0)
            return u->units[i]->active;
    return false;
}

int service_tool(const struct site *v, const char *const *argv, int timeout_ms,
                 struct fault *reterr)
{
    const struct program_call c = {.argv = argv, .search = v->search, .timeout_ms = timeout_ms};
    struct program_output o;
    int rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    if (o.code != 0) {
        CLEANUP(mem_free) char *words = program_words(&o);
        rc = fault_set(reterr, FAULT_STOP_JOB, EIO, "%.30s %.40s ended with %d: %s", argv[0],
                       argv[1] ? argv[1] : "", o.code, words);
    }
    program_done(&o);
    return rc;
}

static bool same_namespace(const char *pid)
{
    char mine[64], theirs[64];
    CLEANUP(mem_free) char *path = xasprintf("/proc/%s/ns/pid", pid);
    ssize_t a = readlink("/proc/self/ns/pid", mine, sizeof mine);
    ssize_t b = readlink(path, theirs, sizeof theirs);
    return a > 0 && a == b && memcmp(mine, theirs, (size_t)a) == 0;
}

static bool is_samba(const char *comm)
{
    static const char *const names[] = {"smbd", "nmbd", "winbindd", "samba-dcerpcd"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(comm, names[i]) == 0 || (strncmp(comm, names[i], strlen(names[i])) == 0 &&
                                            strchr("-:[ ", comm[strlen(names[i])])))
            return true;
    return strncmp(comm, "rpcd_", 5) == 0;
}

/* Counts them; sig other than 0 is sent to each. Those of containers are not ours. */
static int each_process(int sig)
{
    int n = 0;
    DIR *d = opendir("/proc");
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        CLEANUP(mem_free) char *path = xasprintf("/proc/%s/comm", e->d_name);
        CLEANUP(mem_free) char *comm = NULL;
        size_t len = 0;
        if (file_read(path, 64, &comm, &len) < 0)
            continue;
        comm[strcspn(comm, "\n")] = '\0';
        if (!is_samba(comm) || !same_namespace(e->d_name))
            continue;
        n++;
        if (sig)
            (void)kill((pid_t)strtol(e->d_name, NULL, 10), sig);
    }
    if (d)
        (void)closedir(d);
    return n;
}

int service_count(void)
{
    return each_process(0);
}

/* Stopping smbd does not stop its helpers: they belong to whichever unit started them. */
static int end_helpers(struct fault *reterr)
{
    int64_t began = clock_mono_ms();
    for (;;) {
        int64_t spent = clock_mono_ms() - began;
        int n = each_process(spent > GONE_MS / 2 ? SIGKILL : SIGTERM);
        if (n == 0)
            return 0;
        if (spent > GONE_MS)
            return fault_set(reterr, FAULT_RETRY, EBUSY, "%d processes of Samba do not end", n);
        (void)poll(NULL, 0, 50);
    }
}

/* A mask that a power cut takes away would let Samba start. */
static void on_the_disk(const struct site *v)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/etc/systemd/system", v->root);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd);
}

int service_stop(const struct site *v, struct fault *reterr)
{
    /* Not read anew here, which takes long with many units: the mask is for a restart. */
    static const char *const mask[] = {"systemctl", "--no-reload", "mask", "--quiet", UNITS, NULL};
    static const char *const stop[] = {"systemctl", "stop", UNITS, NULL};
    Godwit__UndoUnits *u = NULL;
    int rc = service_look(v, &u, reterr);
    if (rc < 0)
        return rc;
    int changed = 0;
    for (size_t i = 0; i < u->n_units; i++)
        changed = changed || u->units[i]->active || !u->units[i]->masked;
    rc = undo_keep_units(v->undo, u);
    service_free(u);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot note what ran: %s", strerror(-rc));
    rc = service_tool(v, mask, STOP_MS, reterr);
    if (rc == 0)
        rc = service_tool(v, stop, STOP_MS, reterr);
    on_the_disk(v);
    if (rc == 0 && !*v->root)
        rc = end_helpers(reterr);
    return rc < 0 ? rc : changed;
}

int service_start(const struct site *v, bool smbd, bool nmbd, bool winbind, struct fault *reterr)
{
    const char *unmask[9] = {"systemctl", "--no-reload", "unmask", "--quiet"};
    const char *start[8] = {"systemctl", "start"};
    const char *const names[] = {"winbind.service", "smbd.service", "nmbd.service"};
    const bool yes[] = {winbind, smbd, nmbd};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (yes[i]) {
            unmask[4 + n] = names[i];
            start[2 + n] = names[i];
            n++;
        }
    int rc = n ? service_tool(v, unmask, STOP_MS, reterr) : 0;
    if (rc == 0 && n)
        rc = service_tool(v, start, STOP_MS, reterr);
    on_the_disk(v);
    return rc;
}

static int all_of(const struct site *v, const Godwit__UndoUnits *was, const char *const *verb,
                  bool (*pick)(const Godwit__UndoUnit *u), struct fault *reterr)
{
    const char *argv[UNITS_MAX + 5] = {"systemctl"};
    size_t n = 1, verbs = 0;
    for (; *verb; verb++, verbs++)
        argv[n++] = *verb;
    for (size_t i = 0; i < was->n_units && i < UNITS_MAX; i++)
        if (pick(was->units[i]))
            argv[n++] = was->units[i]->name;
    return n == 1 + verbs ? 0 : service_tool(v, argv, STOP_MS, reterr);
}

static bool was_idle(const Godwit__UndoUnit *u)
{
    return !u->active;
}

static bool was_active(const Godwit__UndoUnit *u)
{
    return u->active;
}

static bool was_masked(const Godwit__UndoUnit *u)
{
    return u->masked;
}

static bool was_open(const Godwit__UndoUnit *u)
{
    return !u->masked;
}

/* Stopped while it is still as it is: of a unit that is not installed systemd knows only the mask.
 */
static int restore_units(const struct site *v, const Godwit__UndoUnits *was, struct fault *reterr)
{
    static const char *const stop[] = {"stop", NULL}, *const start[] = {"start", NULL};
    static const char *const mask[] = {"mask", "--quiet", NULL};
    static const char *const unmask[] = {"unmask", "--quiet", NULL};
    struct fault unused = {.err = 0};
    for (size_t i = 0; i < was->n_units; i++)
        if (was->units[i]->name[0] == '-' || !strstr(was->units[i]->name, ".service"))
            return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the note names no unit");
    (void)all_of(v, was, stop, was_idle, &unused);
    int rc = all_of(v, was, mask, was_masked, reterr);
    if (rc == 0)
        rc = all_of(v, was, unmask, was_open, reterr);
    on_the_disk(v);
    return rc < 0 ? rc : all_of(v, was, start, was_active, reterr);
}

static int none_too_many(const struct site *v, const Godwit__UndoUnits *was, struct fault *reterr)
{
    Godwit__UndoUnits *now = NULL;
    int rc = service_look(v, &now, reterr);
    for (size_t i = 0; rc == 0 && i < was->n_units; i++)
        if (!was->units[i]->active && service_active(now, was->units[i]->name))
            rc = fault_set(reterr, FAULT_RETRY, EBUSY, "%.60s does not stop", was->units[i]->name);
    service_free(now);
    return rc;
}

int service_restore(const struct site *v, const Godwit__UndoUnits *was, struct fault *reterr)
{
    int rc = restore_units(v, was, reterr);
    return rc < 0 ? rc : none_too_many(v, was, reterr);
}

bool service_answers(const char *address, int timeout_ms)
{
    char host[INET6_ADDRSTRLEN + 1];
    size_t n = strcspn(address, "/");
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(SMB_PORT)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(SMB_PORT)};
    if (n >= sizeof host)
        return false;
    memcpy(host, address, n);
    host[n] = '\0';
    bool six = strchr(host, ':') != NULL;
    if (inet_pton(six ? AF_INET6 : AF_INET, host,
                  six ? (void *)&in6.sin6_addr : (void *)&in4.sin_addr) != 1)
        return false;
    CLEANUP(fd_close)
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    int rc = connect(fd, six ? (const struct sockaddr *)&in6 : (const struct sockaddr *)&in4,
                     six ? sizeof in6 : sizeof in4);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int err = 0;
    socklen_t len = sizeof err;
    if (rc < 0 && (errno != EINPROGRESS || poll(&p, 1, timeout_ms) <= 0))
        return false;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == 0;
}

bool service_trusted(const struct site *v, int timeout_ms)
{
    static const char *const argv[] = {"wbinfo", "-t", NULL};
    int64_t until = clock_mono_ms() + timeout_ms;
    for (;;) {
        if (service_tool(v, argv, 35000, NULL) == 0)
            return true;
        if (clock_mono_ms() > until)
            return false;
        (void)poll(NULL, 0, 100);
    }
}
