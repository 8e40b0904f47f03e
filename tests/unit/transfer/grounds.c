/* grounds: one sparse image a file system, beside its mount point. */
#include "tests/unit/transfer/grounds.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/unit/transfer/trees.h"

bool grounds_enter(void)
{
    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: mounting file systems needs root\n");
        return false;
    }
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        (void)fprintf(stderr, "skipped: no mount namespace of its own: %s\n", strerror(errno));
        return false;
    }
    if (access("/dev/loop-control", R_OK) < 0) {
        (void)fprintf(stderr, "skipped: there are no loop devices\n");
        return false;
    }
    return true;
}

static bool shell(const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    return trees_run(argv) == 0;
}

bool grounds_mount(const char *kind, const char *path, unsigned mib)
{
    char *script =
        strcmp(kind, "tmpfs") == 0
            ? xasprintf("mkdir -p '%s' && mount -t tmpfs none '%s' -o size=%uM", path, path, mib)
            : xasprintf("mkdir -p '%s' && truncate -s %uM '%s.img' && mkfs.%s -q '%s.img' "
                        ">/dev/null 2>&1 && mount -o loop '%s.img' '%s' 2>/dev/null",
                        path, mib, path, kind, path, path, path);
    bool mounted = shell(script);
    free(script);
    if (!mounted)
        (void)fprintf(stderr, "skipped: cannot make and mount %s here\n", kind);
    return mounted;
}

void grounds_unmount(const char *path)
{
    char *image = xasprintf("%s.img", path);
    (void)umount2(path, MNT_DETACH);
    (void)unlink(image);
    (void)rmdir(path);
    free(image);
}
