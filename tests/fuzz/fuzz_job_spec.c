/* fuzz_job_spec: the JSON of a job as a stranger may write it. What is taken must read back as the
 * same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/engine/engine_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spec spec, again;
    struct fault why = {.err = 0};
    if (spec_parse((const char *)data, size, &spec, &why) < 0)
        return 0;
    char *text = json_dumps(spec.json, JSON_COMPACT);
    if (spec_parse(text, strlen(text), &again, &why) < 0 || !json_equal(spec.json, again.json))
        abort();
    free(text);
    spec_done(&again);
    spec_done(&spec);
    return 0;
}
