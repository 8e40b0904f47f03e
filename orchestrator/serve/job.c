/* job: the commands about jobs and inventories. Main thread. */
#include "orchestrator/serve/serve.h"

const struct serve_command serve_job_commands[] = {
    {NULL, NULL},
};
