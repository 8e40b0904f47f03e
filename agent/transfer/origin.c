/* origin: is the source's folder the one that earlier passes looked at? Where what was mounted
 * there is not, or something else is, a pass that deletes would empty the destination. The thread
 * that lets the first lane in, and lanes' threads. */
#include <errno.h>
#include <string.h>

#include "agent/transfer/receiver_priv.h"

#define REMEDY                                                                                     \
    "is its disk mounted? Nothing was deleted. If it is meant: --override source-root (of godwit " \
    "job start)"

static bool may_delete(const struct receiver *r)
{
    const struct transfer_options *o = &r->spec->options;
    return o->delete_extras && !o->only_failed && !o->any_root;
}

/* What was received before a pass has told it counts from that pass on. */
static int note_first(struct receiver *r)
{
    const struct transfer_options *o = &r->spec->options;
    if (o->dry_run || o->only_failed || !r->root_id.type)
        return 0;
    int rc = catalogue_source_put(r->cat, &r->root_id);
    return rc == 0 ? catalogue_commit(r->cat) : rc;
}

int origin_begin(struct receiver *r, const struct lane_entry *e, bool fresh, struct fault *reterr)
{
    struct rootid was;
    rootid_unpack(e->root, e->root_len, &r->root_id);
    atomic_store(&r->root_empty, false);
    r->root_change = ROOTID_UNKNOWN;
    (void)pthread_mutex_lock(&r->cat_lock);
    r->root_history = !fresh && catalogue_is_used(r->cat);
    int rc = r->root_history ? catalogue_source_get(r->cat, &was) : note_first(r);
    (void)pthread_mutex_unlock(&r->cat_lock);
    if (rc < 0)
        return rc;
    if (r->root_history)
        r->root_change = rootid_compare(&was, &r->root_id);
    if (r->root_change != ROOTID_SYSTEM || !may_delete(r))
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, ENODEV,
                     "the source folder is on another file system than before: " REMEDY);
}

int origin_empty(struct receiver *r)
{
    struct fault f;
    atomic_store(&r->root_empty, true);
    if (!r->root_history || r->root_change == ROOTID_SAME || !may_delete(r))
        return 0;
    (void)fault_set(&f, FAULT_STOP_JOB, ENODEV, "the source folder is empty, and %s: " REMEDY,
                    r->root_change == ROOTID_UNKNOWN ? "was not before"
                                                     : "not the one that it was before");
    receiver_stop(r, &f);
    return -ENODEV;
}

int origin_note(struct receiver *r)
{
    bool meant = r->spec->options.any_root || r->root_change == ROOTID_SAME ||
                 (r->root_change != ROOTID_SYSTEM && !atomic_load(&r->root_empty));
    if (!r->root_history || !r->root_id.type || !meant)
        return 0;
    return catalogue_source_put(r->cat, &r->root_id);
}
