/* ground: temporary folders; the tmpfs vanishes with the process's mount namespace. */
#include "tests/unit/astore/ground.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "common/base/mem.h"

static char paths[GROUND_COUNT][64];

const char *ground_path(enum ground g)
{
    return paths[g];
}

static int mount_tmpfs(const char *path)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    return mount("none", path, "tmpfs", 0, "size=512m");
}

int ground_open(enum ground g)
{
    if (!paths[g][0]) {
        (void)snprintf(paths[g], sizeof paths[g], "/var/tmp/godwit-store-%d-%d", (int)g,
                       (int)getpid());
        if (mkdir(paths[g], 0755) < 0) {
            perror(paths[g]);
            return -1;
        }
        if (g == GROUND_TMPFS && mount_tmpfs(paths[g]) < 0) {
            perror("skipped on tmpfs: mount");
            return -1;
        }
    }
    return open(paths[g], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void ground_remove(void)
{
    int fd = open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int g = GROUND_COUNT - 1; g >= 0; g--) {
        uint64_t n = 0;
        if (!paths[g][0])
            continue;
        if (g == GROUND_TMPFS)
            (void)umount2(paths[g], MNT_DETACH);
        (void)beneath_remove(fd, paths[g] + sizeof "/var/tmp/" - 1, &n);
        paths[g][0] = '\0';
    }
    (void)close(fd);
}
