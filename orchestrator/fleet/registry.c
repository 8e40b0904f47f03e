/* registry: hosts and keys in memory. Knows no sockets; main thread. */
#include "orchestrator/fleet/registry.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/store/store.h"

struct registry {
    struct store *store;
    struct agent **agents;
    size_t nagents;
    struct agent_key **keys;
    size_t nkeys;
    zhashx_t *by_host; /* those pending and approved */
    zhashx_t *by_id;
    zhashx_t *by_key; /* Z85 */
};

static bool is_live(const struct agent_row *row)
{
    return row->state == AGENT_PENDING || row->state == AGENT_APPROVED;
}

/* Grown by doubling: capacity is the power of two at or above n. */
static void *grow(void *list, size_t n)
{
    bool full = n == 0 || (n >= 16 && (n & (n - 1)) == 0);
    size_t want = n < 16 ? 16 : 2 * n;
    return full ? xrealloc(list, want * sizeof(void *)) : list;
}

static struct agent *remember_agent(struct registry *r, const struct agent_row *row)
{
    struct agent *a = xcalloc(1, sizeof *a);
    a->row = *row;
    a->session.since_ms = row->seen_ms;
    (void)snprintf(a->session.reason, sizeof a->session.reason, "%s",
                   row->seen_ms ? "the orchestrator was started since" : "");
    r->agents = grow(r->agents, r->nagents);
    r->agents[r->nagents++] = a;
    zhashx_update(r->by_id, a->row.agent_id, a);
    if (is_live(row))
        zhashx_update(r->by_host, a->row.host, a);
    return a;
}

static struct agent_key *remember_key(struct registry *r, struct agent *a,
                                      const struct key_row *row)
{
    struct agent_key *k = xcalloc(1, sizeof *k);
    k->row = *row;
    k->agent = a;
    curve_z85(row->key, k->z85);
    r->keys = grow(r->keys, r->nkeys);
    r->keys[r->nkeys++] = k;
    zhashx_update(r->by_key, k->z85, k);
    return k;
}

static int load_agent(void *arg, const struct agent_row *row)
{
    (void)remember_agent(arg, row);
    return 0;
}

static int load_key(void *arg, const struct key_row *row)
{
    struct registry *r = arg;
    struct agent *a = zhashx_lookup(r->by_id, row->agent_id);
    if (!a)
        return -EBADMSG; /* the foreign key forbids it */
    (void)remember_key(r, a, row);
    return 0;
}

int registry_new(struct registry **ret, struct store *store)
{
    struct registry *r = xcalloc(1, sizeof *r);
    r->store = store;
    r->by_host = zhashx_new();
    r->by_id = zhashx_new();
    r->by_key = zhashx_new();
    int rc = agents_each(store, load_agent, r);
    if (rc == 0)
        rc = keys_each(store, load_key, r);
    if (rc < 0) {
        (void)registry_free(r);
        return rc;
    }
    *ret = r;
    return 0;
}

struct registry *registry_free(struct registry *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->nagents; i++)
        free(r->agents[i]);
    for (size_t i = 0; i < r->nkeys; i++)
        free(r->keys[i]);
    free(r->agents);
    free(r->keys);
    zhashx_destroy(&r->by_host);
    zhashx_destroy(&r->by_id);
    zhashx_destroy(&r->by_key);
    free(r);
    return NULL;
}

struct agent *registry_live(struct registry *r, const char *host)
{
    return zhashx_lookup(r->by_host, host);
}

struct agent *registry_any(struct registry *r, const char *who)
{
    struct agent *a = zhashx_lookup(r->by_host, who);
    if (!a)
        a = zhashx_lookup(r->by_id, who);
    for (size_t i = r->nagents; !a && i-- > 0;) {
        if (strcmp(r->agents[i]->row.host, who) == 0)
            a = r->agents[i];
    }
    return a;
}

struct agent_key *registry_key(struct registry *r, const char *z85)
{
    return zhashx_lookup(r->by_key, z85);
}

size_t registry_agents(struct registry *r, struct agent ***retlist)
{
    *retlist = r->agents;
    return r->nagents;
}

size_t registry_keys(struct registry *r, struct agent_key ***retlist)
{
    *retlist = r->keys;
    return r->nkeys;
}

size_t registry_keys_of(struct registry *r, const struct agent *a, struct agent_key **ret,
                        size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < r->nkeys && n < max; i++) {
        if (r->keys[i]->agent == a)
            ret[n++] = r->keys[i];
    }
    return n;
}

int registry_add(struct registry *r, const struct agent_row *row, const uint8_t key[32],
                 const struct token_row *spent)
{
    struct key_row k = {.created_ms = row->created_ms};
    memcpy(k.key, key, sizeof k.key);
    memcpy(k.agent_id, row->agent_id, sizeof k.agent_id);
    int rc = store_begin(r->store);
    if (rc < 0)
        return rc;
    rc = agents_put(r->store, row);
    if (rc == 0)
        rc = keys_put(r->store, &k);
    if (rc == 0)
        rc = tokens_put(r->store, spent);
    if (rc < 0) {
        store_rollback(r->store);
        return rc;
    }
    rc = store_commit(r->store);
    if (rc == 0)
        (void)remember_key(r, remember_agent(r, row), &k);
    return rc;
}

int registry_save(struct registry *r, struct agent *a, const struct agent_row *row)
{
    int rc = agents_put(r->store, row);
    if (rc < 0)
        return rc;
    if (is_live(&a->row))
        zhashx_delete(r->by_host, a->row.host);
    a->row = *row;
    a->dirty = false;
    if (is_live(row))
        zhashx_update(r->by_host, a->row.host, a);
    return 0;
}

int registry_flush(struct registry *r)
{
    size_t i = 0;
    while (i < r->nagents && !r->agents[i]->dirty)
        i++;
    if (i == r->nagents)
        return 0;
    int rc = store_begin(r->store);
    if (rc < 0)
        return rc;
    for (; rc == 0 && i < r->nagents; i++) {
        if (r->agents[i]->dirty)
            rc = agents_put(r->store, &r->agents[i]->row);
    }
    if (rc < 0) {
        store_rollback(r->store);
        return rc;
    }
    rc = store_commit(r->store);
    for (i = 0; rc == 0 && i < r->nagents; i++)
        r->agents[i]->dirty = false;
    return rc;
}

int registry_add_key(struct registry *r, struct agent *a, const struct key_row *row)
{
    char z85[CURVE_Z85_LEN + 1];
    curve_z85(row->key, z85);
    if (registry_key(r, z85))
        return -EEXIST;
    int rc = keys_put(r->store, row);
    if (rc == 0)
        (void)remember_key(r, a, row);
    return rc;
}

int registry_save_key(struct registry *r, struct agent_key *k, int64_t not_after_ms)
{
    struct key_row row = k->row;
    row.not_after_ms = not_after_ms;
    int rc = keys_put(r->store, &row);
    if (rc == 0)
        k->row = row;
    return rc;
}

int registry_drop_key(struct registry *r, struct agent_key *k)
{
    int rc = keys_delete(r->store, k->row.key);
    if (rc < 0)
        return rc;
    zhashx_delete(r->by_key, k->z85);
    size_t i = 0;
    while (r->keys[i] != k)
        i++;
    memmove(&r->keys[i], &r->keys[i + 1], (r->nkeys - i - 1) * sizeof(struct agent_key *));
    r->nkeys--;
    free(k);
    return 0;
}
