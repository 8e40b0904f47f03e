/* receive: the step "files.receive": the lanes of one source into one destination tree. Worker
 * thread. */
#include <errno.h>
#include <string.h>

#include "agent/files/files.h"
#include "agent/step.h"

void files_receive(struct step *s, struct step_result *ret)
{
    (void)s;
    ret->status = STEP_FAILED;
    (void)fault_set(&ret->fault, FAULT_STOP_JOB, ENOTSUP, "receiving is not built in");
}
