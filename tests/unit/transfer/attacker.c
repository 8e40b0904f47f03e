/* attacker: a tight loop of renameat2(RENAME_EXCHANGE) by folder handle. */
#include "tests/unit/transfer/attacker.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BAIT "zz-bait"

static uint64_t *swaps; /* shared with the attacker */

struct scene {
    const struct attack *a;
    int dir, stash;
    unsigned used; /* hard links taken from the stash */
    unsigned moved;
};

static bool is_lure(const struct scene *s, const char *name, bool hard)
{
    struct stat st;
    if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return hard ? !S_ISDIR(st.st_mode) && st.st_uid == 0 : S_ISLNK(st.st_mode);
}

/* Makes the bait anew, for root's rename may have eaten it. */
static bool bait_make(struct scene *s, bool hard)
{
    char name[16];
    bool there = faccessat(s->dir, BAIT, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && (is_lure(s, BAIT, hard) || (s->a->target && is_lure(s, s->a->target, hard))))
        return true;
    if (there) { /* both are what root placed: one goes */
        (void)snprintf(name, sizeof name, "zz-old%u", s->moved++);
        (void)renameat(s->dir, BAIT, s->dir, name);
    }
    if (!hard)
        return symlinkat(s->a->lure, s->dir, BAIT) == 0;
    (void)snprintf(name, sizeof name, "%u", s->used);
    if (renameat(s->stash, name, s->dir, BAIT) < 0)
        return false;
    s->used++;
    return true;
}

static void swap(struct scene *s, bool hard)
{
    for (unsigned i = 0; i < 64 && bait_make(s, hard); i++)
        *swaps += renameat2(s->dir, BAIT, s->dir, s->a->target, RENAME_EXCHANGE) == 0;
}

static void swap_temps(struct scene *s, bool hard)
{
    (void)bait_make(s, hard); /* a temporary name does not last long */
    int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (strncmp(e->d_name, ".godwit-", 8) == 0) {
            *swaps += renameat2(s->dir, BAIT, s->dir, e->d_name, RENAME_EXCHANGE) == 0;
            (void)bait_make(s, hard);
        }
    if (d)
        (void)closedir(d);
}

static void move_folder(struct scene *s)
{
    if (renameat(s->dir, s->a->target, s->dir, BAIT) == 0) {
        *swaps += symlinkat(s->a->lure, s->dir, s->a->target) == 0;
        (void)unlinkat(s->dir, s->a->target, 0);
        (void)renameat2(s->dir, BAIT, s->dir, s->a->target, RENAME_NOREPLACE);
    }
}

static void run(const struct attack *a)
{
    struct scene s = {.a = a, .dir = -1, .stash = -1};
    if (setgroups(0, NULL) < 0 || setresgid(ATTACKER_UID, ATTACKER_UID, ATTACKER_UID) < 0 ||
        setresuid(ATTACKER_UID, ATTACKER_UID, ATTACKER_UID) < 0)
        _exit(1);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the change of user, which forgets it */
    while (s.dir < 0) {
        s.dir = open(a->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (a->stash && s.stash < 0)
            s.stash = open(a->stash, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    for (;;) {
        if (a->trick == TRICK_FOLDER)
            move_folder(&s);
        else if (a->trick == TRICK_TEMP || a->trick == TRICK_TEMP_HARD)
            swap_temps(&s, a->trick == TRICK_TEMP_HARD);
        else
            swap(&s, a->trick == TRICK_HARDLINK);
    }
}

pid_t attacker_start(const struct attack *a)
{
    if (!swaps)
        swaps =
            mmap(NULL, sizeof *swaps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (swaps == MAP_FAILED)
        abort();
    *swaps = 0;
    pid_t pid = fork();
    if (pid == 0)
        run(a);
    return pid;
}

uint64_t attacker_swaps(void)
{
    return *(volatile uint64_t *)swaps;
}

uint64_t attacker_stop(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return *swaps;
}
