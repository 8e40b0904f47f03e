/* push_origin: is the source's folder the one of the passes before? As agent/transfer/origin.c has
 * it, but that the source itself remembers: the server has nobody who would. The step's thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/push/push_priv.h"
#include "agent/store/beneath.h"
#include "agent/transfer/temp.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

static char *record_of(const struct push *p)
{
    return temp_state_path(step_env(p->step)->state_dir, p->order->pair, "root");
}

int push_origin_begin(struct push *p, struct fault *reterr)
{
    const struct transfer_options *o = p->order->options;
    CLEANUP(mem_free) char *path = record_of(p);
    CLEANUP(mem_free) char *text = NULL;
    struct rootid was;
    size_t len = 0;
    rootid_of(p->root, &p->root_id);
    p->root_empty = beneath_is_empty(p->root, ".") == 1;
    int rc = file_read(path, ROOTID_BYTES, &text, &len);
    if (rc == -ENOENT) /* also what is sent by a pass that does not come to its end counts */
        rc = push_origin_note(p);
    if (rc < 0)
        return fault_set(reterr, FAULT_RETRY, -rc, "what is known of the source, %s: %s", path,
                         strerror(-rc));
    rootid_unpack(text, len, &was);
    p->root_change = rootid_compare(&was, &p->root_id);
    bool gone =
        p->root_change == ROOTID_SYSTEM || (p->root_empty && p->root_change == ROOTID_FOLDER);
    if (!gone || !o->delete_extras || o->any_root)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, ENODEV,
                     "the source folder is %s: is its disk mounted? Nothing was deleted. If it is "
                     "meant: --override source-root (of godwit job start)",
                     p->root_change == ROOTID_SYSTEM ? "on another file system than before"
                                                     : "empty, and not the one that it was before");
}

int push_origin_note(const struct push *p)
{
    const struct transfer_options *o = p->order->options;
    uint8_t packed[ROOTID_BYTES];
    bool doubt =
        p->root_change == ROOTID_SYSTEM || (p->root_empty && p->root_change != ROOTID_SAME);
    if (o->dry_run || !p->root_id.type || (doubt && !o->any_root))
        return 0;
    CLEANUP(mem_free) char *path = record_of(p);
    rootid_pack(&p->root_id, packed);
    return file_write(path, 0600, packed, sizeof packed);
}
