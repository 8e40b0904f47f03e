/* receive: the step "files.receive": lanes of one source into one destination tree. Worker thread.
 */
#include <errno.h>

#include "agent/files/files.h"
#include "agent/files/order.h"
#include "agent/step.h"
#include "agent/transfer/receiver.h"

void files_receive(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__ReceiveOrder *o = godwit__receive_order__unpack(NULL, len, args);
    struct transfer_spec spec = {.path = NULL};
    ret->status = STEP_FAILED;
    if (!o)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    else if (order_of_receive(o, &spec, &ret->fault) == 0)
        receiver_run(s, &spec, ret);
    order_done(&spec);
    if (o)
        godwit__receive_order__free_unpacked(o, NULL);
}
