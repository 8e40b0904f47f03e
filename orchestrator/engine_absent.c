/* engine_absent: stands in until the engine room is built: no jobs. Main thread. */
#include "common/base/mem.h"
#include "orchestrator/engine/engine.h"

struct engine {
    int nothing;
};

int engine_new(struct engine **ret, struct store *store, struct fleet *fleet,
               const struct engine_limits *limits, struct fault *reterr)
{
    (void)store;
    (void)fleet;
    (void)limits;
    (void)reterr;
    *ret = xcalloc(1, sizeof **ret);
    return 0;
}

struct engine *engine_free(struct engine *e)
{
    free(e);
    return NULL;
}

void engine_tick(struct engine *e)
{
    (void)e;
}

void engine_drain(struct engine *e)
{
    (void)e;
}

const char *engine_trouble(const struct engine *e)
{
    (void)e;
    return NULL;
}

json_t *engine_job_counts(const struct engine *e)
{
    (void)e;
    return json_object();
}
