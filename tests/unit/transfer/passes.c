/* passes: file systems in memory under both sides, in a mount namespace of the test's own. */
#include "tests/unit/transfer/passes.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/feed/feed.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/harness.h"

struct feed *feed;
char looked[96];

bool passes_enter(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool passes_are_long(void)
{
    const char *all = getenv("GODWIT_ALL");
    return all && strcmp(all, "yes") == 0;
}

/* A file system with a disk under it, so that names wait for a sync; the disk is in memory, for a
 * sync of a real one waits for whatever else is written on this machine. */
static void destination_mount(void)
{
    char *lost = xasprintf("%s/lost+found", destination);
    if (grounds_mount("ext4", destination, 500))
        (void)rmdir(lost);
    free(lost);
}

int passes_setup(void **state_)
{
    if (trees_setup(state_) != 0 || mount("none", base, "tmpfs", 0, "size=600m") < 0 ||
        mkdir(source, 0755) < 0 || mkdir(state, 0700) < 0)
        return -1;
    char *inside = xasprintf("%s/source", source);
    if (mount("none", source, "tmpfs", 0, "size=300m") < 0 || mkdir(inside, 0755) < 0)
        return -1;
    free(source);
    source = inside;
    destination_mount();
    return feed_new(&feed, state);
}

int passes_teardown(void **state_)
{
    feed = feed_free(feed);
    grounds_unmount(destination);
    *strrchr(source, '/') = '\0';
    (void)umount2(source, MNT_DETACH);
    (void)umount2(base, MNT_DETACH);
    return trees_teardown(state_);
}

void sh_in(const char *dir, const char *text)
{
    char *script = xasprintf("set -e; cd '%s'; %s", dir, text);
    const char *const argv[] = {"bash", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
}

void sh(const char *text)
{
    sh_in(source, text);
}

static void tell(const struct step_result *r, const char *side)
{
    for (size_t i = 0; i < r->ngroups; i++)
        for (size_t k = 0; k < r->groups[i].nexamples; k++)
            print_message("%s: %s %d %s\n", side, r->groups[i].what, r->groups[i].err,
                          r->groups[i].examples[k]);
}

void pass(struct both *b, const struct transfer_options *o)
{
    struct harness h = {
        .source = source, .destination = destination, .state = state, .feed = feed, .options = *o};
    harness_run(&h, &b->sent, &b->received);
    tell(&b->sent, "source");
    tell(&b->received, "destination");
    (void)snprintf(looked, sizeof looked, "%s", b->sent.scan);
    step_result_done(&b->sent);
    step_result_done(&b->received);
}
