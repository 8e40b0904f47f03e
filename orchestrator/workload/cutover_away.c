/* cutover_away: what may go on while a host is away: forth little, back all that cannot end with
 * two servers of one name. Main thread. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/workload/cutover_carry.h"
#include "orchestrator/workload/cutover_priv.h"

#define SILENCE_S 120
#define MARGIN_MS 15000 /* between two clocks, and for what a host does when its timer runs out */

static bool is_here(const struct pair_view *p, unsigned sides, char *why, size_t size)
{
    const bool wants[] = {(sides & ON_SOURCE) != 0, (sides & ON_DESTINATION) != 0};
    const char *const names[] = {p->source_host, p->destination_host};
    for (int i = 0; i < 2; i++)
        if (wants[i] && p->away_ms[i]) {
            (void)snprintf(why, size, "waits for host %s, which does not answer", names[i]);
            return false;
        }
    return true;
}

/* Has the destination anything by which users would take it for the source? */
static bool may_serve(const json_t *facts)
{
    static const char *const rows[] = {"destination.addresses", "destination.names",
                                       "destination.start"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (cutover_kept(facts, cutover_find(rows[i])))
            return true;
    return false;
}

/* The source comes back while nobody knows what the destination does: only when its own timer must
 * have run out. */
static bool source_may_return(const struct pair_view *p, const json_t *facts, char *why,
                              size_t size)
{
    json_int_t sent = number_of(facts, "destination_silence"); /* with the last order to it */
    int64_t timer_ms = (sent > 0 ? sent : SILENCE_S) * 1000 + MARGIN_MS;
    int64_t away_ms = p->away_ms[SIDE_DESTINATION];
    if (!away_ms || !may_serve(facts) || json_is_true(json_object_get(facts, "destination_off")))
        return true;
    if (cutover_is_done(facts, cutover_find("destination.unguard"))) {
        (void)snprintf(why, size,
                       "host %s is away and may still serve users: bring it back, or switch it off "
                       "and say --destination-is-off",
                       p->destination_host);
        return false;
    }
    if (away_ms > timer_ms)
        return true;
    (void)snprintf(why, size,
                   "host %s is away: its own timer takes it back, the source follows in %lld s",
                   p->destination_host, (long long)(timer_ms - away_ms + 999) / 1000);
    return false;
}

/* One that serves goes on while nobody could take its place. */
static bool destination_may_leave(const struct pair_view *p, const json_t *facts, char *why,
                                  size_t size)
{
    if (!p->away_ms[SIDE_SOURCE] || !cutover_is_done(facts, cutover_find("destination.start")))
        return true;
    (void)snprintf(why, size, "waits for host %s, which does not answer: host %s serves until then",
                   p->source_host, p->destination_host);
    return false;
}

unsigned cutover_undo_now(const struct pair_view *p, unsigned row, char *why, size_t size)
{
    const json_t *facts = json_object_get(p->facts, "cutover");
    unsigned done = (unsigned)number_of(cutover_kept(facts, row), "undone");
    unsigned left = (unsigned)cutover_rows[row].on & ~done, now = 0;
    /* Users would write over it. */
    if (carry_is_due(facts) && strcmp(cutover_rows[row].id, "source.close") == 0) {
        (void)snprintf(why, size, "what users wrote is carried back first");
        return 0;
    }
    if (left & ON_DESTINATION && is_here(p, ON_DESTINATION, why, size) &&
        destination_may_leave(p, facts, why, size))
        now |= ON_DESTINATION;
    if (left & ON_SOURCE && is_here(p, ON_SOURCE, why, size) &&
        source_may_return(p, facts, why, size))
        now |= ON_SOURCE;
    if (!now) /* whoever is waited for: users are served */
        (void)destination_may_leave(p, facts, why, size);
    return now;
}

bool cutover_ready(const struct pair_view *p, char *why, size_t size)
{
    const struct cutover_row *r = &cutover_rows[row_of(p->stage)];
    if (deed_of(p->stage) == DEED_UNDO && r->by == DOER_COPY)
        return is_here(p, ON_BOTH, why, size);
    if (deed_of(p->stage) == DEED_UNDO)
        return cutover_undo_now(p, row_of(p->stage), why, size) != 0;
    /* A source whose address was just taken is silent for a moment: the destination need not wait.
     */
    if (deed_of(p->stage) == DEED_DO && r->by == DOER_IDENTITY && r->on == ON_DESTINATION)
        return is_here(p, ON_DESTINATION, why, size);
    return is_here(p, ON_BOTH, why, size);
}

/* ── waves ── */

/* On the way back nobody waits for others, and nothing is held up. */
void cutover_wave(const json_t *pair_facts, const char *phase, unsigned *retonce,
                  unsigned *retbudget)
{
    bool forth = strcmp(phase, "cutover") == 0;
    const json_t *settings = json_object_get(json_object_get(pair_facts, "cutover"), "settings");
    json_int_t once = number_of(settings, "at_once"), budget = number_of(settings, "budget");
    *retonce = forth && once > 0 && once < 100000 ? (unsigned)once : 0;
    *retbudget = !forth ? UINT_MAX : budget > 0 && budget < 100000 ? (unsigned)budget : 0;
}

const char *cutover_due(const json_t *pair_facts, int64_t wall_ms)
{
    const json_t *facts = json_object_get(pair_facts, "cutover");
    json_int_t soak = number_of(json_object_get(facts, "settings"), "soak");
    json_int_t since = number_of(facts, "cut_over_ms");
    if (strcmp(cutover_state_of(facts), "cut over") != 0 || soak <= 0 || since <= 0)
        return NULL;
    return wall_ms - since >= soak * 1000 ? "commit" : NULL;
}
