/* held: console requests whose answer waits for something to happen. They are put to the daemon
 * again whenever something did. Main thread. */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/envelope.h"
#include "orchestrator/fleet/fleet_priv.h"

#define HELD_MAX 64U /* beyond it a request is answered as things stand */

struct held {
    struct held *next;
    zsock_t *sock;
    uint8_t *route;
    size_t route_len;
    Godwit__Envelope *request;
    int64_t since_ms;
};

static void held_free(struct fleet *f, struct held *h)
{
    f->nheld--;
    wire_free(h->request);
    free(h->route);
    free(h);
}

bool held_room(const struct fleet *f)
{
    return f->nheld < HELD_MAX;
}

void held_keep(struct fleet *f, const struct arrival *a, Godwit__Envelope *request)
{
    struct held *h = xcalloc(1, sizeof *h);
    *h = (struct held){.next = f->held,
                       .sock = a->sock,
                       .route = xmemdup(a->route, a->route_len),
                       .route_len = a->route_len,
                       .request = request,
                       .since_ms = clock_mono_ms()};
    f->held = h;
    f->nheld++;
}

/* True: answered. */
static bool answer(struct fleet *f, const struct held *h, int64_t now)
{
    struct arrival a = {.sock = h->sock, .route = h->route, .route_len = h->route_len};
    return console_answer(f, &a, h->request, now - h->since_ms, true);
}

void held_look(struct fleet *f)
{
    int64_t now = f->held ? clock_mono_ms() : 0;
    for (struct held **at = &f->held; *at;) {
        struct held *h = *at;
        if (!answer(f, h, now)) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        held_free(f, h);
    }
}

void held_drop(struct fleet *f, const zsock_t *sock)
{
    for (struct held **at = &f->held; *at;) {
        struct held *h = *at;
        if (h->sock != sock) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        held_free(f, h);
    }
}
