/* lanes: a pair's two sides hold in their orders where the one is reached and which key the other
 * shows. An agent that comes back with others would be waited for in vain: the stage is planned
 * again. Main thread. */
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/fleet/fleet.h"

#define FORM_MAX 1024

static void put_key(struct buf *b, const struct fleet_host *h)
{
    bool known = h && h->lane_pin;
    buf_put_blob(b, known ? h->lane_pin : NULL, known ? 32 : 0);
}

/* The source dials, so where it is does not matter. */
void lanes_digest(const struct pair *p, uint8_t ret[SHA256_LEN])
{
    struct fleet *fleet = p->job->engine->fleet;
    struct buf b;
    buf_init(&b, FORM_MAX);
    put_key(&b, fleet_find(fleet, p->host[SIDE_SOURCE]->name));
    const struct fleet_host *to = fleet_find(fleet, p->host[SIDE_DESTINATION]->name);
    const char *address = to && to->lane_address ? to->lane_address : "";
    put_key(&b, to);
    buf_put_blob(&b, address, strlen(address));
    buf_put_u64(&b, to ? to->lane_port : 0);
    sha256_of(b.data, b.len, ret);
    buf_done(&b);
}

static bool is_stale(const struct pair *p)
{
    uint8_t now[SHA256_LEN];
    bool stale = false;
    lanes_digest(p, now);
    for (unsigned i = 0; i < p->nsteps; i++) {
        const struct step *s = p->steps[i];
        stale = stale || (s->has_lanes && !s->result && memcmp(s->lanes, now, sizeof now) != 0);
    }
    return stale;
}

void lanes_check(struct engine *e, const struct host *h)
{
    struct pair *p, *next;
    for (p = TAILQ_FIRST(&e->running); p; p = next) {
        struct fault why;
        next = TAILQ_NEXT(p, link);
        if (p->closing != CLOSE_NO || (p->host[0] != h && p->host[1] != h) || !is_stale(p))
            continue;
        (void)fault_set(&why, FAULT_NONE, 0, "host %s came back with other lanes", h->name);
        struct log_about about = {.job = p->job->name, .host = h->name};
        log_line(LOG_INFO, &about, "pair %u: %s, its stage is planned again", p->n, why.text);
        stage_close(p, CLOSE_AGAIN, &why);
    }
}
