/* inventory_scale: makes millions of empty files on a tmpfs of its own, counts them with the step
 * "files.inventory", and prints time and peak memory. Needs root and about 1 KiB of memory an
 * entry. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "common/base/clock.h"
#include "proto/files.pb-c.h"
#include "tests/unit/files/step_stub.h"

#define PER_FOLDER 1000
#define RSS_LIMIT (200ULL << 20)

static int make_ground(char *path)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        !mkdtemp(path))
        return -1;
    return mount("none", path, "tmpfs", 0, "nr_inodes=0,size=90%");
}

/* Half of the entries in folders of a thousand, half in one flat folder. */
static int make_files(const char *path, unsigned long entries)
{
    char name[128];
    int rc = chdir(path);
    if (rc == 0)
        rc = mkdir("flat", 0755);
    for (unsigned long i = 0; rc == 0 && i < entries; i++) {
        if (i % 2)
            (void)snprintf(name, sizeof name, "flat/file-%lu", i);
        else
            (void)snprintf(name, sizeof name, "folder-%lu/file-%lu", i / PER_FOLDER / 2, i);
        if (i % (2 * PER_FOLDER) == 0) {
            char folder[64];
            (void)snprintf(folder, sizeof folder, "folder-%lu", i / PER_FOLDER / 2);
            rc = mkdir(folder, 0755);
        }
        if (rc == 0)
            rc = mknod(name, S_IFREG | 0644, 0);
    }
    return rc < 0 ? rc : chdir("/");
}

/* In a process of its own, so that the peak is the inventory's. */
static int count(const char *path)
{
    Godwit__InventoryOrder o = GODWIT__INVENTORY_ORDER__INIT;
    uint8_t args[256];
    o.path.data = (uint8_t *)(uintptr_t)path;
    o.path.len = strlen(path);
    struct step_result r = {.status = STEP_FAILED};
    struct step *s = step_stub_new("/var/tmp", args, godwit__inventory_order__pack(&o, args));
    files_inventory(s, &r);
    (void)step_stub_free(s);
    Godwit__InventoryResult *i =
        r.body ? godwit__inventory_result__unpack(NULL, r.body_len, r.body) : NULL;
    if (!i) {
        (void)fprintf(stderr, "inventory failed: %s\n", r.fault.text);
        return 1;
    }
    (void)printf("%llu files, %llu folders counted in %.2f s, peak RSS %.1f MiB (limit 200)\n",
                 (unsigned long long)i->files, (unsigned long long)i->folders,
                 (double)i->elapsed_ms / 1e3, (double)i->peak_rss / (1 << 20));
    int rc = i->peak_rss < RSS_LIMIT ? 0 : 1;
    godwit__inventory_result__free_unpacked(i, NULL);
    step_result_done(&r);
    return rc;
}

int main(int argc, char **argv)
{
    char path[] = "/tmp/godwit-scale-XXXXXX";
    unsigned long entries = argc > 1 ? strtoul(argv[1], NULL, 10) : 5000000;
    if (make_ground(path) < 0) {
        perror("skipped: tmpfs");
        return 77;
    }
    int64_t began = clock_mono_ms();
    int rc = make_files(path, entries);
    if (rc < 0)
        perror("cannot make the files");
    else
        (void)printf("%lu files made in %.1f s\n", entries,
                     (double)(clock_mono_ms() - began) / 1e3);
    (void)fflush(stdout);
    int status = 1 << 8;
    pid_t pid = rc < 0 ? -1 : fork();
    if (pid == 0)
        exit(count(path));
    if (pid > 0)
        (void)waitpid(pid, &status, 0);
    (void)umount2(path, MNT_DETACH);
    (void)rmdir(path);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
