/* trouble: a store that cannot be written stops orders, not the daemon. It is tried again every few
 * seconds; then all that was left open goes on. Main thread. */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/store/store.h"

#define PROBE_MS 2000

int trouble_note(struct engine *e, int rc)
{
    if (rc >= 0)
        return rc;
    if (!e->trouble[0]) {
        e->trouble_ms = clock_mono_ms();
        e->probe_ms = e->trouble_ms;
        log_error("the store cannot be written (%s): no orders go out", strerror(-rc));
    }
    (void)snprintf(e->trouble, sizeof e->trouble, "the store cannot be written: %s", strerror(-rc));
    return rc;
}

/* A row that says so is both the test and the record. */
static int probe(struct engine *e, int64_t now_ms)
{
    char detail[64];
    (void)snprintf(detail, sizeof detail, "writable again after %lld s",
                   (long long)(now_ms - e->trouble_ms) / 1000);
    struct journal_row row = {.at_ms = clock_wall_ms(), .event = "store", .detail = detail};
    int rc = store_begin(e->store);
    if (rc < 0)
        return rc;
    rc = journal_append(e->store, &row);
    if (rc == 0)
        return store_commit(e->store);
    store_rollback(e->store);
    return rc;
}

void trouble_tick(struct engine *e, int64_t now_ms)
{
    if (!e->trouble[0] || now_ms - e->probe_ms < PROBE_MS)
        return;
    e->probe_ms = now_ms;
    if (probe(e, now_ms) < 0)
        return;
    log_info("the store can be written again");
    e->trouble[0] = '\0';
    recover_all(e);
}
