/* host: what the engine knows of the hosts that its pairs name: there or since when not, and how
 * many pairs hold a place. Main thread. */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/fleet/fleet.h"

static void free_host(void *p)
{
    struct host *h = p;
    free(h->name);
    free(h);
}

int64_t mono_of_wall(int64_t wall_ms)
{
    int64_t ago = clock_wall_ms() - wall_ms;
    return clock_mono_ms() - (ago > 0 ? ago : 0);
}

struct host *host_get(struct engine *e, const char *name)
{
    struct host *h = zhash_lookup(e->hosts, name);
    if (h)
        return h;
    h = xcalloc(1, sizeof *h);
    h->name = xstrdup(name);
    const struct fleet_host *f = fleet_find(e->fleet, name);
    h->online = f && f->online;
    h->since_ms = f && f->seen_ms ? mono_of_wall(f->seen_ms) : clock_mono_ms();
    (void)zhash_insert(e->hosts, name, h);
    (void)zhash_freefn(e->hosts, name, free_host);
    return h;
}

void host_hold(struct pair *p, int by)
{
    p->host[SIDE_SOURCE]->running += by;
    if (p->host[SIDE_DESTINATION] != p->host[SIDE_SOURCE])
        p->host[SIDE_DESTINATION]->running += by;
}

bool host_absent(const struct engine *e, const struct host *h, char *ret, size_t size)
{
    if (h->online)
        return false;
    int64_t s = (clock_mono_ms() - h->since_ms) / 1000;
    const char *open = h->reason[0] ? " (" : "", *close = h->reason[0] ? ")" : "";
    if (h->revoked)
        (void)snprintf(ret, size, "host %s was revoked", h->name);
    else if (!fleet_find(e->fleet, h->name))
        (void)snprintf(ret, size, "host %s has no approved agent", h->name);
    else
        (void)snprintf(ret, size, "host %s is lost since %lld s%s%s%s", h->name, (long long)s, open,
                       h->reason, close);
    return true;
}
