/* inventory_smb: counts the share of a server without an agent. Worker thread. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/access/identity.h"
#include "agent/access/idents.h"
#include "agent/files/endpoint.h"
#include "agent/files/inventory.h"
#include "agent/files/order.h"
#include "agent/files/traits.h"
#include "agent/step.h"
#include "agent/store/failures.h"
#include "common/base/clock.h"
#include "common/base/filter.h"
#include "common/base/mem.h"

struct count {
    struct step *step;
    struct tally tally;
    struct traits *traits;
    struct filter *filter;
    struct failures *failures;
    struct idents *idents; /* of the descriptors; this host's own users are the destination's */
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

static struct traits_at whereabouts(const struct pull_counted *x)
{
    return (struct traits_at){x->folder, x->folder_len, x->entry->name, x->entry->name_len};
}

/* Whether the class is kept, lost or otherwise: orchestrator/workload/files_contract.c. */
static void note_traits(struct traits *t, const struct pull_counted *x)
{
    const struct traits_at at = whereabouts(x);
    const struct {
        enum trait what;
        bool is;
    } rows[] = {
        {TRAIT_ODD_NAME,     x->entry->odd                                 },
        {TRAIT_REPARSE,      x->entry->info.attributes & SMB_ATTR_REPARSE  },
        {TRAIT_ENCRYPTED,    x->entry->info.attributes & SMB_ATTR_ENCRYPTED},
        {TRAIT_SPARSE,       x->entry->info.attributes & SMB_ATTR_SPARSE   },
        {TRAIT_HARD_LINK,    x->seen.links > 1                             },
        {TRAIT_STREAM,       x->seen.streams > x->seen.large               },
        {TRAIT_LARGE_STREAM, x->seen.large > 0                             },
        {TRAIT_LOCKED,       x->seen.held                                  },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].is)
            traits_note(t, rows[i].what, &at);
    traits_name(t, &at);
}

static bool leaves_out(void *arg, const struct pull_counted *x)
{
    const struct count *c = arg;
    const struct smb_info *i = &x->entry->info;
    bool folder = i->attributes & SMB_ATTR_FOLDER;
    int64_t ms = (int64_t)i->write.tv_sec * 1000 + i->write.tv_nsec / 1000000;
    return c->filter && (filter_name(c->filter, x->folder, x->folder_len, x->entry->name,
                                     x->entry->name_len, folder) ||
                         (!folder && filter_file(c->filter, i->size, ms)));
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
    note_traits(c->traits, x);
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
    traits_folder(c->traits);
    if (entries > c->tally.largest_folder)
        c->tally.largest_folder = entries;
}

static void on_failed(void *arg, const char *path, size_t len, int err)
{
    struct count *c = arg;
    c->tally.unreadable++;
    failures_add(c->failures, err, "open folder", path, len);
}

static void on_descriptor(void *arg, const void *sd, size_t len)
{
    struct count *c = arg;
    idents_descriptor(c->idents, sd, len);
}

static void tell(struct count *c, bool here, struct step_result *ret)
{
    struct place place = {.file_system = "smb"};
    Godwit__Identities *who = here ? inventory_who(c->idents, c->traits) : NULL;
    const struct inventory_found found = {.endpoint = true,
                                          .sum = &c->tally,
                                          .traits = c->traits,
                                          .who = who,
                                          .place = &place,
                                          .elapsed_ms = ret->counters.elapsed_ms};
    ret->status = c->tally.unreadable ? STEP_PARTIAL : STEP_DONE;
    inventory_pack(&found, ret);
    if (who)
        identity_free(who);
}

void inventory_of_endpoint(struct step *s, const Godwit__InventoryOrder *o, struct step_result *ret)
{
    struct endpoint_source from;
    struct count c = {.step = s, .tally = {.folders = 1}, .began_ms = clock_mono_ms()};
    const struct pull_counting how = {leaves_out, on_entry,  on_descriptor,
                                      on_folder,  on_failed, &c};
    CLEANUP(idents_free) struct idents *idents = idents_new();
    CLEANUP(traits_free) struct traits *traits = traits_new(NULL, NULL);
    CLEANUP(filter_free) struct filter *filter = NULL;
    ret->status = STEP_FAILED;
    int rc = order_filter(o->filter, &filter, &ret->fault);
    if (rc < 0)
        return;
    c.traits = traits;
    c.filter = filter;
    c.idents = idents;
    rc = endpoint_of_order(s, o->smb, &from, &ret->fault);
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
    tell(&c, o->smb->destination.len > 0, ret);
}
