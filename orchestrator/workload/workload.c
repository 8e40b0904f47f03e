/* workload: the table of workloads. Main thread. */
#include "orchestrator/workload/workload.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static const struct workload *const workloads[] = {
    &workload_files,
    &workload_vm,
};

const struct workload *workload_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(workloads); i++)
        if (strcmp(workloads[i]->name, name) == 0)
            return workloads[i];
    return NULL;
}

void planned_step_done(struct planned_step *s)
{
    free(s->args);
    *s = (struct planned_step){.kind = NULL};
}
