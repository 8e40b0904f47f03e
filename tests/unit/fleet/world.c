/* world: one orchestrator's control plane on loopback, for tests. */
#include "tests/unit/fleet/world.h"

#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/zap.h"
#include "orchestrator/store/store.h"
#include "tests/unit/test.h"

#define WAIT_MS 3000

static void on_online(void *arg, const char *host, const Godwit__Hello *hello)
{
    struct world *w = arg;
    (void)host;
    (void)hello;
    w->online++;
}

static void on_lost(void *arg, const char *host, const char *reason)
{
    struct world *w = arg;
    (void)host;
    w->lost++;
    (void)snprintf(w->last_lost, sizeof w->last_lost, "%s", reason);
}

static void on_revoked(void *arg, const char *host)
{
    struct world *w = arg;
    (void)host;
    w->revoked++;
}

static void on_message(void *arg, const char *host, const Godwit__Envelope *e)
{
    struct world *w = arg;
    (void)host;
    (void)e;
    w->messages++;
}

void world_start(struct world *w)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/godwit.db", w->folder);
    assert_int_equal(store_open(&w->store, path, NULL), 0);
    w->loop = zloop_new();
    zloop_set_nonstop(w->loop, true);
    struct fault f = {.err = 0};
    if (fleet_new(&w->fleet, &w->conf, w->store, w->zap, w->loop, &f) < 0)
        fail_msg("%s", f.text);
    const struct fleet_events events = {w, on_online, on_lost, on_revoked, on_message};
    fleet_set_events(w->fleet, &events);
}

void world_stop(struct world *w)
{
    w->fleet = fleet_free(w->fleet);
    zloop_destroy(&w->loop);
    w->store = store_close(w->store);
}

int world_set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    *state = w;
    (void)snprintf(w->folder, sizeof w->folder, "/tmp/godwit-fleet-XXXXXX");
    if (!mkdtemp(w->folder) || zap_start(&w->zap) < 0)
        return -1;
    static char address[] = "127.0.0.1", empty[] = "";
    w->conf = (struct orchestrator_conf){.state_dir = w->folder,
                                         .run_dir = w->folder,
                                         .listen = address,
                                         .public_name = empty,
                                         .heartbeat_ms = 200,
                                         .enrol_rate = 1000,
                                         .enrol_rate_address = 1000};
    world_start(w);
    return 0;
}

int world_tear_down(void **state)
{
    struct world *w = *state;
    world_stop(w);
    (void)zap_stop(w->zap);
    zdir_t *dir = zdir_new(w->folder, NULL);
    if (dir)
        zdir_remove(dir, true);
    zdir_destroy(&dir);
    free(w);
    return 0;
}

static int end_pump(zloop_t *loop, int id, void *arg)
{
    (void)loop;
    (void)id;
    (void)arg;
    return -1;
}

void world_pump(struct world *w, size_t ms)
{
    (void)zloop_timer(w->loop, ms, 1, end_pump, NULL);
    (void)zloop_start(w->loop);
}

/* The loop runs until the peer hears something; NULL after WAIT_MS. */
Godwit__Envelope *world_hear(struct world *w, struct peer *p)
{
    int64_t end = clock_mono_ms() + WAIT_MS;
    Godwit__Envelope *e = NULL;
    while (!(e = peer_hear(p)) && clock_mono_ms() < end)
        world_pump(w, 10);
    return e;
}

Godwit__Refusal__Code world_hear_refusal(struct world *w, struct peer *p)
{
    CLEANUP(wire_free) Godwit__Envelope *e = world_hear(w, p);
    assert_non_null(e);
    assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_REFUSAL);
    return e->refusal->code;
}

void world_token(struct world *w, const char *host, int64_t ttl_ms, struct token *ret)
{
    CLEANUP(mem_free) char *line = NULL;
    int64_t expires = 0;
    const struct fleet_token ask = {host, ttl_ms, 1};
    assert_int_equal(fleet_token_new(w->fleet, &ask, &line, &expires, NULL), 0);
    assert_int_equal(token_parse(line, ret), 0);
    assert_true(expires > clock_wall_ms());
}

/* One request and the answer's state, whoever answers. */
Godwit__EnrolReply__State world_enrol(struct world *w, struct peer *p, struct token *t)
{
    Godwit__EnrolRequest r = GODWIT__ENROL_REQUEST__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    r.version = 1;
    r.token_id = t->id;
    r.secret.data = t->secret;
    r.secret.len = sizeof t->secret;
    e.body_case = GODWIT__ENVELOPE__BODY_ENROL_REQUEST;
    e.enrol_request = &r;
    peer_say(p, &e);
    CLEANUP(wire_free) Godwit__Envelope *reply = world_hear(w, p);
    assert_non_null(reply);
    assert_int_equal(reply->body_case, GODWIT__ENVELOPE__BODY_ENROL_REPLY);
    return reply->enrol_reply->state;
}

static void agents_endpoint(struct world *w, char ret[64])
{
    (void)snprintf(ret, 64, "tcp://127.0.0.1:%u", w->fleet->gates[0]->agents_port);
}

void world_connect(struct world *w, struct peer *p, const struct curve_key *key)
{
    char endpoint[64];
    agents_endpoint(w, endpoint);
    peer_open(p, endpoint, w->fleet->gates[0]->key.public_key, key);
}

/* Enrols under this name and says hello. */
void world_join(struct world *w, const char *host, struct peer *ret)
{
    struct token t;
    struct peer enrolee;
    world_token(w, host, 60000, &t);
    peer_open(&enrolee, t.endpoint, t.server_key, NULL);
    assert_int_equal(world_enrol(w, &enrolee, &t), GODWIT__ENROL_REPLY__STATE__ADMITTED);
    world_connect(w, ret, &enrolee.key);
    peer_close(&enrolee);
    peer_hello(ret, host);
    CLEANUP(wire_free) Godwit__Envelope *e = world_hear(w, ret);
    assert_non_null(e);
    assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_WELCOME);
    assert_string_equal(e->welcome->host, host);
}
