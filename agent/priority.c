/* priority: I/O class and niceness of threads. glibc has no ioprio_set. Any thread. */
#include "agent/priority.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/mem.h"

#define WHO_THREAD 1 /* IOPRIO_WHO_PROCESS means one thread; 0 is the calling one */
#define IO_CLASS(class, level) ((class) << 13 | (level))

static const struct row {
    const char *name;
    int io, nice;
} rows[] = {
    [IO_PRIORITY_NORMAL] = {"normal",    0,  0 },
    [IO_PRIORITY_LOW] = { "low", IO_CLASS(2, 7), 10}, /* best effort, its last place */
    [IO_PRIORITY_IDLE] = { "idle", IO_CLASS(3, 7), 19}, /* when nobody else asks the disk */
};

int priority_parse(const char *text, enum io_priority *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].name, text) != 0)
            continue;
        *ret = (enum io_priority)i;
        return 0;
    }
    return -EINVAL;
}

int priority_take(enum io_priority p)
{
    if (p == IO_PRIORITY_NORMAL)
        return 0; /* as the agent was started: systemd may have said something */
    /* What it was started with may be lower still: a larger number is a later place in both. */
    if (syscall(SYS_ioprio_get, WHO_THREAD, 0) < rows[p].io &&
        syscall(SYS_ioprio_set, WHO_THREAD, 0, rows[p].io) < 0)
        return -errno;
    if (getpriority(PRIO_PROCESS, 0) < rows[p].nice &&
        setpriority(PRIO_PROCESS, 0, rows[p].nice) < 0)
        return -errno;
    return 0;
}
