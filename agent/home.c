/* home: which orchestrator this agent belongs to. Any thread. */
#include "agent/home.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/wire/curve.h"

#define HOME_FILE_MAX (64 << 10)

static json_t *json_free(json_t *j)
{
    json_decref(j);
    return NULL;
}
DEFINE_CLEANUP(json_free, json_t *)

int home_address_of(const char *endpoint, char *ret, size_t n)
{
    static const char scheme[] = "tcp://";
    if (strncmp(endpoint, scheme, sizeof scheme - 1) != 0)
        return -EINVAL;
    const char *from = endpoint + sizeof scheme - 1;
    const char *colon = strrchr(from, ':');
    if (!colon || colon == from || (size_t)(colon - from) >= n)
        return -EINVAL;
    char *end = NULL;
    long port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port < 1 || port > 65535)
        return -EINVAL;
    memcpy(ret, from, (size_t)(colon - from));
    ret[colon - from] = '\0';
    return 0;
}

int home_endpoint(const struct home *h, size_t i, char *ret, size_t n)
{
    char address[HOME_ENDPOINT_MAX];
    const char *endpoint = h->keys[i].endpoint;
    int rc = home_address_of(endpoint, address, sizeof address);
    if (rc < 0)
        return rc;
    const char *host = strcmp(address, "*") == 0 ? h->address : address;
    int len = snprintf(ret, n, "tcp://%s%s", host, strrchr(endpoint, ':'));
    return len > 0 && (size_t)len < n && *host ? 0 : -EINVAL;
}

static int copy_text(const char *text, char *ret, size_t n)
{
    if (!text || strlen(text) >= n)
        return -EBADMSG;
    (void)snprintf(ret, n, "%s", text);
    return 0;
}

static int read_key(const json_t *j, struct home_key *ret)
{
    char address[HOME_ENDPOINT_MAX];
    const char *z85 = json_string_value(json_object_get(j, "public_key"));
    int rc = copy_text(json_string_value(json_object_get(j, "endpoint")), ret->endpoint,
                       sizeof ret->endpoint);
    if (rc < 0 || !z85 || curve_from_z85(z85, ret->key) < 0 ||
        home_address_of(ret->endpoint, address, sizeof address) < 0)
        return -EBADMSG;
    ret->not_after_ms = json_integer_value(json_object_get(j, "not_after_ms"));
    return 0;
}

static int read_home(const json_t *j, struct home *h)
{
    int rc = copy_text(json_string_value(json_object_get(j, "agent_id")), h->agent_id,
                       sizeof h->agent_id);
    if (rc == 0)
        rc = copy_text(json_string_value(json_object_get(j, "host")), h->host, sizeof h->host);
    if (rc == 0)
        rc = copy_text(json_string_value(json_object_get(j, "address")), h->address,
                       sizeof h->address);
    const json_t *keys = json_object_get(j, "keys");
    if (rc < 0 || json_array_size(keys) == 0 || json_array_size(keys) > ARRAY_SIZE(h->keys))
        return -EBADMSG;
    for (; rc == 0 && h->nkeys < json_array_size(keys); h->nkeys++)
        rc = read_key(json_array_get(keys, h->nkeys), &h->keys[h->nkeys]);
    return rc;
}

int home_load(const char *path, struct home *ret)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = file_read(path, HOME_FILE_MAX, &text, &len);
    if (rc < 0)
        return rc == -EFBIG ? -EBADMSG : rc;
    CLEANUP(json_free) json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    struct home h = {0};
    if (!json_is_object(j) || json_integer_value(json_object_get(j, "schema")) != 1)
        return -EBADMSG;
    rc = read_home(j, &h);
    if (rc == 0)
        *ret = h;
    return rc;
}

int home_save(const struct home *h, const char *path)
{
    CLEANUP(json_free) json_t *keys = json_array();
    for (size_t i = 0; i < h->nkeys; i++) {
        char z85[CURVE_Z85_LEN + 1];
        curve_z85(h->keys[i].key, z85);
        (void)json_array_append_new(keys, json_pack("{s:s,s:s,s:I}", "public_key", z85, "endpoint",
                                                    h->keys[i].endpoint, "not_after_ms",
                                                    (json_int_t)h->keys[i].not_after_ms));
    }
    CLEANUP(json_free)
    json_t *j = json_pack("{s:i,s:s,s:s,s:s,s:O}", "schema", 1, "agent_id", h->agent_id, "host",
                          h->host, "address", h->address, "keys", keys);
    CLEANUP(mem_free) char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    if (!text)
        return -EINVAL; /* a name that is no UTF-8 */
    CLEANUP(mem_free) char *line = xasprintf("%s\n", text);
    return file_write(path, 0600, line, strlen(line));
}

static int take_key(const Godwit__ServerKey *k, struct home_key *ret)
{
    char address[HOME_ENDPOINT_MAX];
    *ret = (struct home_key){.not_after_ms = k->not_after_ms};
    if (k->public_key.len != sizeof ret->key || strlen(k->endpoint) >= sizeof ret->endpoint ||
        home_address_of(k->endpoint, address, sizeof address) < 0)
        return -EINVAL;
    memcpy(ret->key, k->public_key.data, sizeof ret->key);
    (void)snprintf(ret->endpoint, sizeof ret->endpoint, "%s", k->endpoint);
    return 0;
}

int home_take_keys(struct home *h, const Godwit__ServerKeys *keys)
{
    struct home_key got[LIMIT_SERVER_KEYS] = {0};
    size_t n = 0;
    if (keys->n_keys == 0 || keys->n_keys > ARRAY_SIZE(got))
        return -EINVAL;
    for (size_t i = 0; i < keys->n_keys; i++) {
        if (take_key(keys->keys[i], &got[n]) < 0)
            return -EINVAL;
        if (got[n].not_after_ms == 0 || got[n].not_after_ms > clock_fleet_ms())
            n++;
    }
    if (n == 0)
        return -EINVAL;
    bool same = n == h->nkeys;
    for (size_t i = 0; same && i < n; i++)
        same = memcmp(got[i].key, h->keys[i].key, sizeof got[i].key) == 0 &&
               strcmp(got[i].endpoint, h->keys[i].endpoint) == 0 &&
               got[i].not_after_ms == h->keys[i].not_after_ms;
    memset(h->keys, 0, sizeof h->keys);
    memcpy(h->keys, got, n * sizeof *got);
    h->nkeys = n;
    return same ? 0 : 1;
}

static bool is_over(const struct home_key *k, int64_t now_ms)
{
    return k->not_after_ms != 0 && k->not_after_ms <= now_ms;
}

bool home_usable(const struct home *h, size_t i, int64_t now_ms)
{
    bool all_over = true; /* or this host's clock is wrong */
    for (size_t k = 0; k < h->nkeys; k++)
        all_over = all_over && is_over(&h->keys[k], now_ms);
    return all_over || !is_over(&h->keys[i], now_ms);
}
