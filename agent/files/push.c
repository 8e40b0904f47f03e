/* push: the step "files.push": a source tree to a share of a server without an agent. Worker
 * thread.
 */
#include "agent/push/push.h"

#include <errno.h>
#include <string.h>

#include "agent/files/endpoint.h"
#include "agent/files/files.h"
#include "agent/files/order.h"
#include "agent/step.h"
#include "agent/store/pairname.h"

static bool well_formed(const Godwit__PushOrder *o)
{
    return o->to && o->path.len > 0 && o->path.data[0] == '/' &&
           !memchr(o->path.data, '\0', o->path.len) && pair_valid(o->pair);
}

static void push(struct step *s, const Godwit__PushOrder *o, struct transfer_spec *spec,
                 struct step_result *ret)
{
    struct endpoint_source to;
    if (endpoint_of_order(s, o->to, &to, &ret->fault) < 0)
        return;
    struct push_order order = {.path = (const char *)o->path.data,
                               .path_len = o->path.len,
                               .pair = o->pair,
                               .place = to.pull.place,
                               .base = to.pull.base ? to.pull.base : "",
                               .base_len = to.pull.base_len,
                               .options = &spec->options};
    push_run(s, &order, ret);
    endpoint_source_done(&to);
}

void files_push(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__PushOrder *o = godwit__push_order__unpack(NULL, len, args);
    struct transfer_spec spec = {.path = NULL};
    ret->status = STEP_FAILED;
    if (!o || !well_formed(o) || order_options(o->options, &spec.options) < 0)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EINVAL,
                        "the order of this transfer is not well formed");
    else
        push(s, o, &spec, ret);
    order_done(&spec);
    if (o)
        godwit__push_order__free_unpacked(o, NULL);
}
