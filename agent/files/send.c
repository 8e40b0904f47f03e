/* send: the step "files.send": one source tree to the lanes of one destination. Worker thread. */
#include <errno.h>

#include "agent/files/files.h"
#include "agent/files/order.h"
#include "agent/step.h"
#include "agent/transfer/sender.h"

void files_send(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__SendOrder *o = godwit__send_order__unpack(NULL, len, args);
    struct transfer_spec spec;
    ret->status = STEP_FAILED;
    if (!o)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    else if (order_of_send(o, &spec, &ret->fault) == 0)
        sender_run(s, &spec, ret);
    if (o)
        godwit__send_order__free_unpacked(o, NULL);
}
