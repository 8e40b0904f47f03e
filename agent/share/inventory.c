/* inventory: the step "shares.inventory": what this host shares, as far as it was asked for.
 * Changes nothing. Worker thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/list.h"
#include "agent/share/share.h"
#include "agent/step.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define BODY_MAX (240U << 10) /* what a result may hold, with room for the rest of it */

static int pack(const Godwit__SharesInventory *inv, struct step_result *ret, struct fault *reterr)
{
    size_t n = godwit__shares_inventory__get_packed_size(inv);
    if (n > BODY_MAX)
        return fault_set(reterr, FAULT_STOP_JOB, EFBIG,
                         "the configuration of %zu shares has %zu bytes, at most %u travel: move "
                         "them in several pairs",
                         inv->n_shares, n, BODY_MAX);
    ret->body = xmalloc(n ? n : 1);
    ret->body_len = godwit__shares_inventory__pack(inv, ret->body);
    return 0;
}

static int look(struct step *s, const Godwit__SharesOrder *o, struct step_result *ret)
{
    CLEANUP(mem_free) char *scratch = share_scratch(step_env(s));
    Godwit__SharesInventory *inv = NULL;
    struct server v;
    int rc = share_server(s, scratch, &v);
    if (rc < 0)
        return fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "cannot make %s: %s", scratch,
                         strerror(-rc));
    rc = list_shares(&v, o, &inv, &ret->fault);
    if (rc == 0) {
        rc = pack(inv, ret, &ret->fault);
        godwit__shares_inventory__free_unpacked(inv, NULL);
    }
    return rc;
}

void share_inventory(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__SharesOrder *o = godwit__shares_order__unpack(NULL, len, args);
    int rc = -EBADMSG;
    if (!o || o->path[0] != '/' || o->smb > SHARE_ALL || o->nfs > SHARE_ALL)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    else
        rc = look(s, o, ret);
    ret->status = rc == 0 ? STEP_DONE : step_cancelled(s) ? STEP_STOPPED : STEP_FAILED;
    if (o)
        godwit__shares_order__free_unpacked(o, NULL);
}
