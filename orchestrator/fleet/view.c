/* view: hosts and keys as JSON, for consoles. Changes nothing. Main thread. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"
#include "orchestrator/fleet/fleet_priv.h"

#define KEYS_MAX 16

static const char *state_name(enum agent_state s)
{
    static const char *const names[] = {[AGENT_PENDING] = "pending",
                                        [AGENT_APPROVED] = "approved",
                                        [AGENT_DENIED] = "denied",
                                        [AGENT_REVOKED] = "revoked"};
    return names[s];
}

static const char *presence_name(const struct agent *a)
{
    return a->session.online ? "online" : a->row.seen_ms ? "lost" : "never";
}

static json_t *time_json(int64_t wall_ms)
{
    char text[24];
    if (!wall_ms)
        return json_null();
    clock_format(wall_ms, text);
    return json_string(text);
}

/* For people to compare by eye: the first 16 bytes of the key's SHA-256. */
static json_t *fingerprint(const uint8_t key[32])
{
    uint8_t digest[SHA256_LEN];
    char hex[33];
    sha256_of(key, 32, digest);
    text_hex(digest, 16, hex);
    return json_string(hex);
}

static size_t count_keys(struct fleet *f, const struct agent *a)
{
    struct agent_key *keys[KEYS_MAX];
    return registry_keys_of(f->reg, a, keys, KEYS_MAX);
}

static json_t *agent_json(const struct agent *a)
{
    const struct session *s = &a->session;
    int64_t now = clock_wall_ms(), since = s->since_ms      ? s->since_ms
                                           : a->row.seen_ms ? a->row.seen_ms
                                                            : a->row.created_ms;
    const char *reason = a->row.state == AGENT_APPROVED ? s->reason : a->row.reason;
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:s,s:s,s:s}", "host", a->row.host, "id", a->row.agent_id,
        "state", state_name(a->row.state), "presence", presence_name(a), "reason", reason, "age_ms",
        (json_int_t)(now - since), "heard_ms",
        (json_int_t)(s->online ? clock_mono_ms() - s->heard_mono_ms : now - since), "version",
        a->row.version, "os", a->row.os, "kernel", a->row.kernel, "address", a->row.address);
}

json_t *fleet_list(struct fleet *f)
{
    struct agent **list = NULL;
    struct agent_key **keys = NULL;
    size_t n = registry_agents(f->reg, &list), nkeys = registry_keys(f->reg, &keys);
    json_t *array = json_array();
    zhashx_t *rows = zhashx_new(); /* agent id → its object, to count keys in one walk */
    for (size_t i = 0; i < n; i++) {
        json_t *row = agent_json(list[i]);
        (void)json_object_set_new(row, "keys", json_integer(0));
        (void)json_array_append_new(array, row);
        zhashx_update(rows, list[i]->row.agent_id, row);
    }
    for (size_t i = 0; i < nkeys; i++) {
        json_t *count = json_object_get(zhashx_lookup(rows, keys[i]->row.agent_id), "keys");
        (void)json_integer_set(count, json_integer_value(count) + 1);
    }
    zhashx_destroy(&rows);
    return array;
}

static json_t *keys_json(struct fleet *f, const struct agent *a)
{
    struct agent_key *keys[KEYS_MAX];
    size_t n = registry_keys_of(f->reg, a, keys, KEYS_MAX);
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct key_row *k = &keys[i]->row;
        bool used = a->session.online && memcmp(a->session.key, k->key, sizeof k->key) == 0;
        (void)json_array_append_new(
            array, json_pack("{s:s,s:o,s:o,s:o,s:b}", "public_key", keys[i]->z85, "fingerprint",
                             fingerprint(k->key), "created", time_json(k->created_ms), "ends",
                             time_json(k->not_after_ms), "in_use", used));
    }
    return array;
}

json_t *fleet_show(struct fleet *f, const char *who)
{
    const struct agent *a = registry_any(f->reg, who);
    if (!a)
        return NULL;
    char pin[65] = "";
    if (a->row.has_lane_pin)
        text_hex(a->row.lane_pin, sizeof a->row.lane_pin, pin);
    json_t *doc = agent_json(a);
    json_t *more = json_pack(
        "{s:I,s:o,s:o,s:s,s:s,s:I,s:I,s:I,s:s,s:o}", "keys", (json_int_t)count_keys(f, a),
        "created", time_json(a->row.created_ms), "seen", time_json(a->row.seen_ms), "hostname",
        a->row.hostname, "machine", a->row.machine, "cpus", (json_int_t)a->row.cpus, "memory_bytes",
        (json_int_t)a->row.memory_bytes, "lane_port", (json_int_t)a->row.lane_port, "lane_pin", pin,
        "key_list", keys_json(f, a));
    (void)json_object_update(doc, more);
    json_decref(more);
    return doc;
}

json_t *fleet_sign_keys(struct fleet *f)
{
    json_t *array = json_array();
    struct agent **list = NULL;
    size_t n = registry_agents(f->reg, &list);
    for (size_t i = 0; i < n; i++) {
        char hex[65];
        if (list[i]->row.state != AGENT_APPROVED || !list[i]->has_sign_key)
            continue;
        text_hex(list[i]->sign_key, sizeof list[i]->sign_key, hex);
        (void)json_array_append_new(array, json_pack("{s:s,s:s,s:s}", "role", "host", "name",
                                                     list[i]->row.host, "key", hex));
    }
    return array;
}

json_t *fleet_keys(struct fleet *f)
{
    json_t *array = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(f->gates) && f->gates[i]; i++) {
        const struct gate *g = f->gates[i];
        char slot[2] = {g->slot, '\0'}, z85[CURVE_Z85_LEN + 1];
        struct agent **list = NULL;
        json_int_t agents = 0;
        for (size_t k = registry_agents(f->reg, &list); k-- > 0;)
            agents += list[k]->session.gate == g;
        curve_z85(g->key.public_key, z85);
        (void)json_array_append_new(
            array,
            json_pack("{s:s,s:s,s:o,s:b,s:o,s:o,s:i,s:i,s:I}", "slot", slot, "public_key", z85,
                      "fingerprint", fingerprint(g->key.public_key), "current", i == 0, "created",
                      time_json(g->created_ms), "ends", time_json(g->not_after_ms), "agents_port",
                      (int)g->agents_port, "enrol_port", (int)g->enrol_port, "agents", agents));
    }
    return array;
}

void fleet_count(struct fleet *f, struct fleet_counts *ret)
{
    struct agent **list = NULL;
    size_t n = registry_agents(f->reg, &list);
    *ret = (struct fleet_counts){.dropped = f->dropped, .cut = f->cut};
    for (size_t i = 0; i < n; i++) {
        enum agent_state s = list[i]->row.state;
        ret->pending += s == AGENT_PENDING;
        ret->denied += s == AGENT_DENIED;
        ret->revoked += s == AGENT_REVOKED;
        ret->online += s == AGENT_APPROVED && list[i]->session.online;
        ret->lost += s == AGENT_APPROVED && !list[i]->session.online;
    }
}
