/* send: the step "files.send": one source tree to the lanes of one destination. Worker thread. */
#include <errno.h>
#include <string.h>

#include "agent/files/files.h"
#include "agent/step.h"

void files_send(struct step *s, struct step_result *ret)
{
    (void)s;
    ret->status = STEP_FAILED;
    (void)fault_set(&ret->fault, FAULT_STOP_JOB, ENOTSUP, "sending is not built in");
}
