/* fuzz_job_csv: a job file in CSV that somebody was sent. Whatever was taken makes a spec or an
 * error. */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/mem.h"
#include "orchestrator/console/jobfile.h"
#include "orchestrator/console/jobspec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jobspec s = {0};
    struct fault f = {0};
    char *text = xmemdup(data, size), *json = NULL;
    options_defaults(jobspec_options, &s);
    if (jobfile_csv(&s, "F", text, size, &f) == 0) {
        if (!s.name)
            s.name = xstrdup("w");
        if (jobspec_json(&s, &json, &f) == 0)
            free(json);
    }
    jobspec_done(&s);
    options_free(jobspec_options, &s);
    free(text);
    return 0;
}
