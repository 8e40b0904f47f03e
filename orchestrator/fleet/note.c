/* note: what is logged because of a host, at a bounded rate. Main thread. */
#include <stdarg.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "orchestrator/fleet/fleet_priv.h"

#define NOTES_A_MINUTE 60

void agent_note(struct agent *a, int level, const char *fmt, ...)
{
    struct log_about about = {.host = a->row.host};
    int64_t now = clock_mono_ms();
    if (!a->noted_mono_ms || now - a->noted_mono_ms >= 60000) {
        if (a->notes > NOTES_A_MINUTE)
            log_line(LOG_WARNING, &about, "host %s: %u more lines were not logged", a->row.host,
                     a->notes - NOTES_A_MINUTE);
        a->noted_mono_ms = now;
        a->notes = 0;
    }
    if (++a->notes > NOTES_A_MINUTE)
        return;
    va_list ap;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    log_line(level, &about, "%s", text);
}
