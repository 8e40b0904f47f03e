/* inventory_smb: counts the share of a server without an agent. Worker thread. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/files/endpoint.h"
#include "agent/files/inventory.h"
#include "agent/step.h"
#include "agent/store/failures.h"
#include "common/base/clock.h"

struct count {
    struct step *step;
    struct tally tally;
    struct failures *failures;
    int64_t began_ms, told_ms;
};

static struct counters counters_of(const struct count *c)
{
    return (struct counters){.entries = tally_entries(&c->tally),
                             .total_files = c->tally.files,
                             .total_bytes = c->tally.bytes,
                             .failed = c->tally.unreadable,
                             .elapsed_ms = (uint64_t)(clock_mono_ms() - c->began_ms)};
}

static void on_entry(void *arg, const struct pull_counted *x)
{
    struct count *c = arg;
    const struct smb_info *i = &x->entry->info;
    bool folder = i->attributes & SMB_ATTR_FOLDER;
    struct stat st = {.st_mode = folder ? S_IFDIR : S_IFREG,
                      .st_nlink = 1,
                      .st_size = folder ? 0 : (off_t)i->size,
                      .st_blocks = (blkcnt_t)(i->allocated / 512),
                      .st_mtim = i->write};
    tally_entry(&c->tally, &st, 0);
    tally_birth(&c->tally, (int64_t)i->birth.tv_sec * 1000 + i->birth.tv_nsec / 1000000);
    tally_name(&c->tally, x->entry->name, x->entry->name_len, x->path_len, x->depth);
    int64_t now = clock_mono_ms();
    if (now - c->told_ms < 1000)
        return;
    c->told_ms = now;
    struct counters all = counters_of(c);
    step_progress(c->step, &all, 0, "Counting files");
}

static void on_folder(void *arg, uint64_t entries)
{
    struct count *c = arg;
    if (entries > c->tally.largest_folder)
        c->tally.largest_folder = entries;
}

static void on_failed(void *arg, const char *path, size_t len, int err)
{
    struct count *c = arg;
    c->tally.unreadable++;
    failures_add(c->failures, err, "open folder", path, len);
}

void inventory_of_endpoint(struct step *s, const Godwit__SmbSource *o, struct step_result *ret)
{
    struct endpoint_source from;
    struct count c = {.step = s, .tally = {.folders = 1}, .began_ms = clock_mono_ms()};
    const struct pull_counting how = {on_entry, on_folder, on_failed, &c};
    ret->status = STEP_FAILED;
    int rc = endpoint_of_order(s, o, &from, &ret->fault);
    if (rc == 0) {
        c.failures = failures_new();
        rc = pull_count(s, &from.pull, &how, &ret->fault);
        ret->counters = counters_of(&c);
        failures_take(c.failures, ret);
        (void)failures_free(c.failures);
    }
    endpoint_source_done(&from);
    if (rc == -ECANCELED)
        ret->status = STEP_STOPPED;
    if (rc < 0)
        return;
    struct place place = {.file_system = "smb"};
    ret->status = c.tally.unreadable ? STEP_PARTIAL : STEP_DONE;
    const struct inventory_found found = {
        .sum = &c.tally, .place = &place, .elapsed_ms = ret->counters.elapsed_ms};
    inventory_pack(&found, ret);
}
