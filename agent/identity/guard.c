/* guard: two files in a cutover's folder: "guard" (until when) and "sprung". Any thread. */
#include "agent/identity/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

static int64_t since_boot_ms(void)
{
    struct timespec t = {.tv_sec = 0};
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* How long this host runs. In a container the kernel's clock began with the machine below it: there
 * the first process tells. */
static int64_t up_ms(void)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int64_t since = since_boot_ms(), began = 0;
    if (file_read("/proc/1/stat", 4096, &text, &len) == 0)
        began = guard_began_ms(text, sysconf(_SC_CLK_TCK));
    return began > 0 && began < since ? since - began : since;
}

/* The 22nd field; the second one is a name in brackets, in which anything may stand. */
int64_t guard_began_ms(const char *stat, long ticks)
{
    const char *at = strrchr(stat, ')');
    int64_t n = 0;
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    if (!at || ticks <= 0 || sscanf(at, "%" SCNd64, &n) != 1 || n < 0 || n > INT64_MAX / 1000)
        return 0;
    return n * 1000 / ticks;
}

static void boot_id(char ret[40])
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    ret[0] = '\0';
    if (file_read("/proc/sys/kernel/random/boot_id", 64, &text, &len) < 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    (void)snprintf(ret, 40, "%.36s", text);
}

/* A clock that was set must neither spring it at once for nothing nor hold it for ever: within one
 * start of the host only the time since then counts. After a restart the silence counts from the
 * host's start, or the wall clock says that it is over already; one that went back says nothing. */
bool guard_due(const struct guard *g, const char *boot, int64_t wall_ms, int64_t since_ms)
{
    if (strcmp(g->boot, boot) == 0)
        return since_ms >= g->until_boot_ms;
    return since_ms >= g->silence_ms || wall_ms >= g->until_wall_ms ||
           wall_ms < g->until_wall_ms - g->silence_ms;
}

int guard_parse(const char *text, struct guard *ret)
{
    struct guard g = {.silence_ms = 0};
    int n = sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %39s", &g.until_wall_ms,
                   &g.until_boot_ms, &g.silence_ms, g.boot);
    if (n != 4 || g.silence_ms <= 0)
        return -EBADMSG;
    *ret = g;
    return 0;
}

int guard_set(const char *folder, uint32_t silence_s)
{
    char boot[40];
    int64_t ms = (int64_t)silence_s * 1000;
    boot_id(boot);
    CLEANUP(mem_free) char *path = xasprintf("%s/guard", folder);
    CLEANUP(mem_free)
    char *text = xasprintf("%" PRId64 " %" PRId64 " %" PRId64 " %s\n", clock_wall_ms() + ms,
                           since_boot_ms() + ms, ms, boot);
    return file_write(path, 0600, text, strlen(text));
}

/* What cannot be read is due: better back than lost. */
static int load(const char *folder, struct guard *ret)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/guard", folder);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = file_read(path, 256, &text, &len);
    return rc < 0 ? rc : guard_parse(text, ret);
}

bool guard_is_set(const char *folder)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/guard", folder);
    return access(path, F_OK) == 0;
}

int guard_renew(const char *folder, uint32_t silence_s)
{
    return silence_s && guard_is_set(folder) ? guard_set(folder, silence_s) : 0;
}

int guard_clear(const char *folder)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/guard", folder);
    if (unlink(path) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    /* One that a power cut brought back would take a host back that serves for good. */
    CLEANUP(fd_close) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int guard_hold(const char *folder)
{
    struct guard g;
    char boot[40];
    int rc = load(folder, &g);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    boot_id(boot);
    bool same = strcmp(g.boot, boot) == 0;
    int64_t left = g.until_boot_ms - since_boot_ms();
    if (!same && guard_due(&g, boot, clock_wall_ms(), up_ms()))
        return 0;
    if (same && (left <= 0 || left > g.silence_ms - g.silence_ms / 8))
        return 0;
    return guard_set(folder, (uint32_t)(g.silence_ms / 1000));
}

bool guard_is_due(const char *folder)
{
    struct guard g;
    char boot[40];
    int rc = load(folder, &g);
    boot_id(boot);
    if (rc < 0)
        return rc != -ENOENT && rc != -ENOTDIR;
    int64_t since = strcmp(g.boot, boot) == 0 ? since_boot_ms() : up_ms();
    return guard_due(&g, boot, clock_wall_ms(), since);
}

bool guard_restarted(const char *folder)
{
    struct guard g;
    char boot[40];
    int rc = load(folder, &g);
    boot_id(boot);
    return rc == 0 && strcmp(g.boot, boot) != 0;
}

uint32_t guard_left_s(const char *folder)
{
    struct guard g;
    int64_t left = 0;
    if (load(folder, &g) == 0)
        left = g.until_boot_ms - since_boot_ms();
    return left > 0 ? (uint32_t)((left + 999) / 1000) : 0;
}

bool guard_sprung(const char *folder)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/sprung", folder);
    return access(path, F_OK) == 0;
}

int guard_spring(const char *folder)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/sprung", folder);
    return file_write(path, 0600, "", 0);
}
