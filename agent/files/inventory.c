/* inventory: the step "files.inventory": counts a tree with several walkers, in bounded memory, and
 * changes nothing. Worker thread and its walkers. */
#include "agent/files/inventory.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/access/identity.h"
#include "agent/files/files.h"
#include "agent/files/inventory_priv.h"
#include "agent/files/order.h"
#include "agent/files/place.h"
#include "agent/files/quotas.h"
#include "agent/host/host.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/store/failures.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "proto/files.pb-c.h"

#define LOCKS_MAX (8 << 20)

static struct tally sum_shown(struct inventory *inv)
{
    struct tally sum = {.files = 0};
    (void)pthread_mutex_lock(&inv->lock);
    for (unsigned i = 0; i < inv->ncounters; i++)
        tally_add(&sum, &inv->counters[i].shown);
    (void)pthread_mutex_unlock(&inv->lock);
    return sum;
}

static struct counters counters_of(const struct inventory *inv, const struct tally *t)
{
    return (struct counters){
        .files = t->files,
        .bytes = t->bytes,
        .entries = tally_entries(t),
        .failed = t->unreadable,
        .elapsed_ms = (uint64_t)(clock_mono_ms() - inv->began_ms),
    };
}

unsigned inventory_percent(const struct tally *t, uint64_t used_inodes, uint64_t used_bytes)
{
    uint64_t part = used_inodes ? tally_entries(t) : t->allocated;
    uint64_t all = used_inodes ? used_inodes : used_bytes;
    double percent = all ? (double)part * 100.0 / (double)all : 0;
    return percent < 99 ? (unsigned)percent : 99; /* names of hard links may be more */
}

static void tick(void *arg)
{
    struct inventory *inv = arg;
    struct tally sum = sum_shown(inv);
    struct counters c = counters_of(inv, &sum);
    step_progress(inv->step, &c, inventory_percent(&sum, inv->used_inodes, inv->used_bytes),
                  "Counting files");
}

static void fill_counts(const struct tally *t, Godwit__InventoryResult *r)
{
    r->files = t->files;
    r->folders = t->folders;
    r->symlinks = t->symlinks;
    r->devices = t->devices;
    r->fifos = t->fifos;
    r->sockets = t->sockets;
    r->bytes = t->bytes;
    r->allocated_bytes = t->allocated;
    r->hard_linked = t->hard_linked;
    r->sparse = t->sparse;
    r->with_acl = t->with_acl;
    r->with_xattr = t->with_xattr;
    r->with_capability = t->with_capability;
    r->setid = t->setid;
    r->non_utf8 = t->non_utf8;
    r->longest_path = t->longest_path;
    r->deepest = t->deepest;
    r->largest_folder = t->largest_folder;
    r->newest_ms = t->newest_ms;
    r->oldest_ms = t->oldest_ms;
    r->unreadable = t->unreadable;
    r->with_flags = t->with_flags;
    r->with_project = t->with_project;
    r->with_nfs4_acl = t->with_nfs4_acl;
    r->with_birth = t->with_birth;
    r->oldest_birth_ms = t->oldest_birth_ms;
    r->newest_birth_ms = t->newest_birth_ms;
    r->sealed = t->sealed;
    r->shared_files = t->shared_files;
    r->shared_bytes = t->shared_bytes;
    r->left_out = t->left_out;
}

/* Room for the classes of a result. */
struct trait_list {
    Godwit__Trait of[TRAITS], *at[TRAITS];
    char *examples[TRAITS][TRAIT_EXAMPLES];
};

static void fill_traits(const struct traits *t, struct trait_list *list, Godwit__InventoryResult *r)
{
    r->traits = list->at;
    for (unsigned i = 0; i < TRAITS; i++) {
        Godwit__Trait *x = &list->of[r->n_traits];
        char **examples = list->examples[r->n_traits];
        if (traits_count(t, i) == 0)
            continue;
        godwit__trait__init(x);
        (void)memcpy(&x->name, &(const char *){trait_name(i)}, sizeof x->name);
        x->count = traits_count(t, i);
        x->examples = examples;
        for (const char *e; (e = traits_example(t, i, x->n_examples)) != NULL;)
            examples[x->n_examples++] = text_printable(e, strlen(e));
        list->at[r->n_traits++] = x;
    }
}

static void trait_list_done(struct trait_list *list)
{
    for (unsigned i = 0; i < TRAITS; i++)
        for (unsigned k = 0; k < TRAIT_EXAMPLES; k++)
            free(list->examples[i][k]);
}

void inventory_pack(const struct inventory_found *found, struct step_result *ret)
{
    struct trait_list list = {.at = {NULL}};
    Godwit__InventoryResult r = GODWIT__INVENTORY_RESULT__INIT;
    const struct tally *t = found->sum;
    struct place p = *found->place;
    uint64_t sizes[TALLY_SIZES];
    struct rusage usage;
    CLEANUP(host_free) Godwit__HostInventory *host = found->endpoint ? NULL : host_look("");
    r.host = host;
    r.identities = found->who;
    r.quotas = found->quotas;
    fill_traits(found->traits, &list, &r);
    r.parts = parts_tell(found->parts, found->of_parts);
    r.n_parts = parts_count(found->parts);
    r.cold_bytes_1y = t->cold[0];
    r.cold_bytes_3y = t->cold[1];
    r.cold_bytes_5y = t->cold[2];
    fill_counts(t, &r);
    memcpy(sizes, t->sizes, sizeof sizes);
    r.size_histogram = sizes;
    r.n_size_histogram = TALLY_SIZES;
    r.file_system = p.file_system;
    r.fs_size = p.size;
    r.fs_used = p.used;
    r.peak_rss = getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
    r.elapsed_ms = found->elapsed_ms;
    ret->body_len = godwit__inventory_result__get_packed_size(&r);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__inventory_result__pack(&r, ret->body);
    trait_list_done(&list);
    parts_told_free(r.parts, r.n_parts);
}

/* For one walker. */
static void counter_open(struct inventory *inv, struct counter *c)
{
    size_t n = parts_count(inv->parts);
    c->traits = traits_new(inv->locked, inv->opened);
    c->idents = idents_new();
    c->tally.now_s = clock_wall_ms() / 1000;
    c->parts = xcalloc(n + 1, sizeof *c->parts);
    for (size_t i = 0; i < n; i++)
        c->parts[i].now_s = c->tally.now_s;
}

static void counter_done(struct counter *c)
{
    (void)traits_free(c->traits);
    (void)idents_free(c->idents);
    free(c->parts);
}

static int run(struct inventory *inv)
{
    struct crew_conf conf = {
        .spill_dir = step_env(inv->step)->state_dir,
        .cancel_fd = step_cancel_fd(inv->step),
        .arg = inv,
        .visit = count_visit,
        .tick = tick,
    };
    inv->ncounters = crew_size(conf.workers);
    inv->counters = xcalloc(inv->ncounters, sizeof *inv->counters);
    for (unsigned i = 0; i < inv->ncounters; i++)
        counter_open(inv, &inv->counters[i]);
    (void)pthread_mutex_init(&inv->lock, NULL);
    int rc = crew_run(&conf);
    (void)pthread_mutex_destroy(&inv->lock);
    return rc;
}

/* Of all walkers together; malloc'd. */
static struct tally *sum_parts(const struct inventory *inv)
{
    size_t n = parts_count(inv->parts);
    struct tally *sums = xcalloc(n + 1, sizeof *sums);
    for (size_t k = 0; k < n; k++) {
        sums[k].folders = 1; /* its own */
        for (unsigned i = 0; i < inv->ncounters; i++)
            tally_add(&sums[k], &inv->counters[i].parts[k]);
    }
    return sums;
}

static void note_orphans(struct traits *t, const Godwit__Identities *who)
{
    for (size_t i = 0; i < who->n_list; i++) {
        const Godwit__Identity *r = who->list[i];
        CLEANUP(mem_free)
        char *text = xasprintf("%s, %llu times", r->sid, (unsigned long long)r->count);
        if (r->nobody)
            traits_note_text(t, TRAIT_ORPHAN_SID, r->count, text);
    }
}

Godwit__Identities *inventory_who(const struct idents *idents, struct traits *traits)
{
    Godwit__Identities *who = identity_of(idents);
    identity_find_orphans(who);
    note_orphans(traits, who);
    return who;
}

static void tell(struct inventory *inv, const struct tally *sum, const struct place *place,
                 struct step_result *ret)
{
    CLEANUP(idents_free) struct idents *idents = idents_new();
    CLEANUP(mem_free) struct tally *of_parts = sum_parts(inv);
    traits_resolve(inv->traits);
    for (unsigned i = 0; i < inv->ncounters; i++)
        idents_merge(idents, inv->counters[i].idents);
    Godwit__Identities *who = inventory_who(idents, inv->traits);
    Godwit__Quotas *quotas = quotas_list(inv->root);
    quotas_note(inv->traits, quotas);
    const struct inventory_found found = {.sum = sum,
                                          .traits = inv->traits,
                                          .who = who,
                                          .quotas = quotas,
                                          .parts = inv->parts,
                                          .of_parts = of_parts,
                                          .place = place,
                                          .elapsed_ms = ret->counters.elapsed_ms};
    inventory_pack(&found, ret);
    identity_free(who);
    if (quotas)
        godwit__quotas__free_unpacked(quotas, NULL);
}

static void finish(struct inventory *inv, int rc, const struct place *place,
                   struct step_result *ret)
{
    struct tally sum = {.folders = 1}; /* the root itself */
    for (unsigned i = 0; i < inv->ncounters; i++)
        tally_add(&sum, &inv->counters[i].tally);
    for (unsigned i = 0; i < inv->ncounters; i++)
        traits_add(inv->traits, inv->counters[i].traits);
    ret->counters = counters_of(inv, &sum);
    failures_take(inv->failures, ret);
    if (rc == -ECANCELED) {
        ret->status = STEP_STOPPED;
    } else if (rc < 0) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_RETRY, -rc, "the count broke off: %s", strerror(-rc));
    } else {
        ret->status = sum.unreadable ? STEP_PARTIAL : STEP_DONE;
        tell(inv, &sum, place, ret);
    }
}

static void count_tree(struct step *s, const Godwit__InventoryOrder *o, struct step_result *ret)
{
    CLEANUP(filter_free) struct filter *filter = NULL;
    if (order_filter(o->filter, &filter, &ret->fault) < 0) {
        ret->status = STEP_FAILED;
        return;
    }
    struct inventory inv = {.step = s,
                            .filter = filter,
                            .one_file_system = o->one_file_system,
                            .began_ms = clock_mono_ms()};
    CLEANUP(mem_free) char *shown = text_quote(o->path.data, o->path.len);
    CLEANUP(fd_close) int root = beneath_root((const char *)o->path.data, o->path.len, false);
    struct place place = {.size = 0};
    struct stat st;
    int rc = root < 0 ? root : place_of(root, &place);
    if (rc == 0 && fstat(root, &st) < 0)
        rc = -errno;
    if (rc < 0) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "cannot open the source folder %s: %s",
                        shown, strerror(-rc));
        return;
    }
    inv.root = root;
    inv.dev = st.st_dev;
    inv.used_inodes = place.inodes_used;
    inv.used_bytes = place.used;
    inv.may_share =
        strcmp(place.file_system, "btrfs") == 0 || strcmp(place.file_system, "xfs") == 0;
    CLEANUP(mem_free) char *locks = NULL;
    size_t locks_len = 0;
    (void)file_read("/proc/locks", LOCKS_MAX, &locks, &locks_len);
    CLEANUP(locked_free) struct locked *locked = locked_read(locks ? locks : "");
    CLEANUP(locked_free) struct locked *opened = opened_read("");
    CLEANUP(traits_free) struct traits *traits = traits_new(NULL, NULL);
    CLEANUP(parts_free) struct parts *parts = parts_new(o->parts, o->n_parts);
    inv.locked = locked;
    inv.opened = opened;
    inv.parts = parts;
    inv.traits = traits;
    inv.failures = failures_new();
    finish(&inv, run(&inv), &place, ret);
    (void)failures_free(inv.failures);
    for (unsigned i = 0; i < inv.ncounters; i++)
        counter_done(&inv.counters[i]);
    free(inv.counters);
}

void files_inventory(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__InventoryOrder *o = godwit__inventory_order__unpack(NULL, len, args);
    if (!o) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
        return;
    }
    if (o->smb)
        inventory_of_endpoint(s, o, ret);
    else
        count_tree(s, o, ret);
    godwit__inventory_order__free_unpacked(o, NULL);
}
