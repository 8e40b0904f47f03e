/* endpoints: servers without an agent, and by which credential their proxy gets in. A secret is
 * sealed in the store, opened when an order goes out to the one agent that needs it, and wiped.
 * Main thread. */
#include "orchestrator/store/endpoints.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/store/store.h"
#include "orchestrator/store/vault.h"

#define ADDRESS_MAX 255
#define PROOFS 3U

static const char *const proofs[PROOFS] = {"password", "ccache", "keytab"};

struct wanted {
    const char *name;
    struct endpoint *ret;
    json_t *list;
};

void endpoint_done(struct endpoint *e)
{
    free(e->name);
    free(e->address);
    free(e->credentials);
    free(e->proxy);
    *e = (struct endpoint){.name = NULL};
}

static int on_endpoint(void *arg, const struct endpoint_row *r)
{
    struct wanted *w = arg;
    if (w->list) {
        (void)json_array_append_new(w->list, json_pack("{s:s,s:s,s:s,s:s}", "endpoint", r->name,
                                                       "address", r->address, "credentials",
                                                       r->credentials, "proxy", r->proxy));
    } else if (strcmp(r->name, w->name) == 0) {
        *w->ret = (struct endpoint){xstrdup(r->name), xstrdup(r->address), xstrdup(r->credentials),
                                    xstrdup(r->proxy)};
    }
    return 0;
}

int endpoint_find(struct engine *e, const char *name, struct endpoint *ret)
{
    struct wanted w = {.name = name, .ret = ret};
    *ret = (struct endpoint){.name = NULL};
    int rc = endpoint_rows_each(e->store, on_endpoint, &w);
    return rc < 0 ? rc : ret->name ? 0 : -ENOENT;
}

static int write_down(struct engine *e, int (*act)(struct store *s, const void *arg),
                      const void *arg, struct fault *reterr)
{
    int rc = store_begin(e->store);
    if (rc == 0) {
        rc = act(e->store, arg);
        if (rc == 0)
            rc = store_commit(e->store);
        else
            store_rollback(e->store);
    }
    if (rc < 0 && rc != -ENOENT)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the store cannot be written: %s",
                         strerror(-rc));
    return rc;
}

/* ── endpoints ── */

static bool address_good(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= ADDRESS_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_") == n;
}

static int put_endpoint(struct store *s, const void *arg)
{
    return endpoint_rows_put(s, arg);
}

static int delete_endpoint(struct store *s, const void *arg)
{
    return endpoint_rows_delete(s, arg);
}

int engine_endpoint_add(struct engine *e, const char *const args[4], json_t **ret,
                        struct fault *reterr)
{
    struct endpoint_row r = {args[0], args[1], args[2], args[3] ? args[3] : ""};
    if (!text_is_name(r.name, LIMIT_HOST_NAME))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "an endpoint's name is letters, digits, dots and dashes, at most 63");
    if (fleet_find(e->fleet, r.name))
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST, "there is a host %s with an agent",
                         r.name);
    if (!address_good(r.address))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the address must be a host name or an IP address, with :PORT or without");
    if (!text_is_name(r.credentials, LIMIT_HOST_NAME))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the credentials must be the name that godwit credential add gave them");
    if (*r.proxy && !fleet_find(e->fleet, r.proxy))
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "the proxy %.64s has no approved agent",
                         r.proxy);
    int rc = write_down(e, put_endpoint, &r, reterr);
    if (rc < 0)
        return rc;
    log_info("endpoint %s at %s", r.name, r.address);
    *ret = json_pack("{s:s,s:s}", "endpoint", r.name, "address", r.address);
    return 0;
}

int engine_endpoint_list(struct engine *e, json_t **ret, struct fault *reterr)
{
    struct wanted w = {.list = json_array()};
    int rc = endpoint_rows_each(e->store, on_endpoint, &w);
    if (rc < 0) {
        json_decref(w.list);
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the store cannot be read");
    }
    *ret = json_pack("{s:o}", "endpoints", w.list);
    return 0;
}

int endpoint_missing(const char *name, struct fault *reterr)
{
    CLEANUP(mem_free) char *shown = text_printable(name, strnlen(name, 64));
    return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                     "there is no endpoint %s: godwit endpoint list shows those there are", shown);
}

int engine_endpoint_show(struct engine *e, const char *name, json_t **ret, struct fault *reterr)
{
    struct endpoint p;
    if (endpoint_find(e, name, &p) < 0)
        return endpoint_missing(name, reterr);
    *ret = json_pack("{s:s,s:s,s:s,s:s}", "endpoint", p.name, "address", p.address, "credentials",
                     p.credentials, "proxy", p.proxy);
    endpoint_done(&p);
    return 0;
}

static bool is_of(const char *endpoint, const char *name)
{
    return endpoint && strcmp(endpoint, name) == 0;
}

/* A job that is not over needs it. */
static const struct job *user_of(const struct engine *e, const char *name)
{
    const struct job *j;
    TAILQ_FOREACH(j, &e->jobs, link)
    {
        for (unsigned i = 0; i < j->npairs; i++)
            if (is_of(j->pairs[i].endpoint, name) || is_of(j->pairs[i].to_endpoint, name))
                return j;
    }
    return NULL;
}

int engine_endpoint_remove(struct engine *e, const char *name, json_t **ret, struct fault *reterr)
{
    const struct job *j = user_of(e, name);
    if (j)
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST, "job %s uses it: godwit job delete %s",
                         j->name, j->name);
    int rc = write_down(e, delete_endpoint, name, reterr);
    if (rc == -ENOENT)
        return endpoint_missing(name, reterr);
    if (rc == 0)
        *ret = json_pack("{s:s}", "endpoint", name);
    return rc;
}

/* ── credentials ── */

static int put_credential(struct store *s, const void *arg)
{
    return credential_rows_put(s, arg);
}

static int delete_credential(struct store *s, const void *arg)
{
    return credential_rows_delete(s, arg);
}

static int check_credential(const struct engine_credential *c, uint32_t *retproof,
                            struct fault *reterr)
{
    uint32_t proof = 0;
    while (proof < PROOFS && strcmp(proofs[proof], c->proof) != 0)
        proof++;
    if (!text_is_name(c->ref, LIMIT_HOST_NAME))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the name is letters, digits, dots and dashes, at most 63");
    if (proof == PROOFS)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the kind must be password, ccache or "
                         "keytab");
    if (strlen(c->user) > LIMIT_USER || (!*c->user && proof != 1))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the user is missing: DOMAIN\\user, user@realm or user");
    if (c->secret_len == 0 || c->secret_len > LIMIT_SECRET)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "the secret is empty, or larger than 64 KiB");
    *retproof = proof;
    return 0;
}

int engine_credential_add(struct engine *e, const struct engine_credential *c, json_t **ret,
                          struct fault *reterr)
{
    struct credential_row r = {.ref = c->ref, .user = c->user};
    CLEANUP(mem_free) void *sealed = NULL;
    if (!e->vault)
        return fault_set(reterr, FAULT_STOP_JOB, ENOKEY, "there is no key to keep secrets by");
    int rc = check_credential(c, &r.proof, reterr);
    if (rc < 0)
        return rc;
    rc = vault_seal(e->vault, c->ref, c->secret, c->secret_len, &sealed, &r.sealed_len);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the secret cannot be sealed");
    r.sealed = sealed;
    rc = write_down(e, put_credential, &r, reterr);
    if (rc < 0)
        return rc;
    log_info("credential %s", c->ref);
    *ret = json_pack("{s:s,s:s}", "credential", c->ref, "kind", proofs[r.proof]);
    return 0;
}

static int on_listed(void *arg, const struct credential_row *r)
{
    return json_array_append_new(arg, json_pack("{s:s,s:s,s:s}", "credential", r->ref, "kind",
                                                r->proof < PROOFS ? proofs[r->proof] : "?", "user",
                                                r->user));
}

int engine_credential_list(struct engine *e, json_t **ret, struct fault *reterr)
{
    json_t *list = json_array();
    int rc = credential_rows_each(e->store, on_listed, list);
    if (rc < 0) {
        json_decref(list);
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the store cannot be read");
    }
    *ret = json_pack("{s:o}", "credentials", list);
    return 0;
}

int engine_credential_remove(struct engine *e, const char *ref, json_t **ret, struct fault *reterr)
{
    int rc = write_down(e, delete_credential, ref, reterr);
    if (rc == -ENOENT)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                         "there is no such credential: godwit credential list shows those there "
                         "are");
    if (rc == 0)
        *ret = json_pack("{s:s}", "credential", ref);
    return rc;
}

/* ── what an order needs ── */

struct opening {
    struct engine *engine;
    const char *ref;
    struct opened *ret;
};

static int on_wanted(void *arg, const struct credential_row *r)
{
    struct opening *o = arg;
    if (strcmp(r->ref, o->ref) != 0)
        return 0;
    int rc = vault_unseal(o->engine->vault, r->ref, r->sealed, r->sealed_len, &o->ret->secret,
                          &o->ret->len);
    if (rc < 0)
        log_warning("credential %s cannot be opened: was the key of the vault replaced?", r->ref);
    if (rc == 0) {
        o->ret->user = xstrdup(r->user);
        o->ret->proof = r->proof;
    }
    return 0;
}

bool endpoint_credential(struct engine *e, const char *endpoint, struct opened *ret)
{
    struct endpoint p;
    *ret = (struct opened){.user = NULL};
    if (!e->vault || endpoint_find(e, endpoint, &p) < 0)
        return false;
    struct opening o = {e, p.credentials, ret};
    (void)credential_rows_each(e->store, on_wanted, &o);
    endpoint_done(&p);
    return ret->user != NULL;
}

/* Its credential goes with what reads or writes the share, and with nothing else. */
const char *endpoint_of(const struct pair *p, const char *kind, enum step_side side)
{
    static const char *const reads[] = {"files.inventory", "files.map", "files.send", "host.probe"};
    if (p->to_endpoint && strcmp(kind, "files.push") == 0)
        return p->to_endpoint;
    for (size_t i = 0; side == SIDE_SOURCE && i < ARRAY_SIZE(reads); i++)
        if (strcmp(kind, reads[i]) == 0)
            return p->endpoint;
    return NULL;
}

bool endpoint_open(struct engine *e, const struct step *s, struct opened *ret)
{
    const char *name = endpoint_of(s->pair, s->kind, s->side);
    *ret = (struct opened){.user = NULL};
    return name && endpoint_credential(e, name, ret);
}

void endpoint_forget(struct opened *o)
{
    vault_wipe(o->secret, o->len);
    free(o->user);
    *o = (struct opened){.user = NULL};
}

void engine_set_vault(struct engine *e, const struct vault *v)
{
    e->vault = v;
}

/* ── a job that names one ── */

/* side: of a pair, other: its other one. */
static int resolve_side(struct engine *e, json_t *side, const json_t *other, bool writes,
                        struct fault *reterr)
{
    const char *name = json_string_value(json_object_get(side, "host"));
    const char *path = json_string_value(json_object_get(side, "path"));
    const char *host = json_string_value(json_object_get(other, "host"));
    struct endpoint p;
    if (!name || !path || !host || json_object_get(side, "endpoint"))
        return 0; /* spec.c says what is wrong */
    if (endpoint_find(e, name, &p) < 0)
        return *path == '/' ? 0 : endpoint_missing(name, reterr);
    CLEANUP(mem_free) char *share = xasprintf("%s%s", *path == '/' ? "" : "/", path);
    bool elsewhere = writes && *p.proxy && strcmp(p.proxy, host) != 0;
    (void)json_object_set_new(side, "endpoint", json_string(p.name));
    (void)json_object_set_new(side, "host", json_string(*p.proxy && !writes ? p.proxy : host));
    (void)json_object_set_new(side, "path", json_string(share));
    endpoint_done(&p);
    if (elsewhere)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "an endpoint is written by the source's own agent: add it without a "
                         "proxy, or with the source as its proxy");
    if (writes && json_object_get(other, "endpoint"))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "one side of a pair is an endpoint, the other a host: copy by way of one");
    if (share[1])
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                     "an endpoint goes with a share: ENDPOINT:SHARE or ENDPOINT:SHARE/FOLDER");
}

/* Only where a pair names paths can its source be a share. */
static bool names_paths(const json_t *root)
{
    const char *name = json_string_value(json_object_get(root, "workload"));
    const struct workload *k = name ? workload_find(name) : NULL;
    return !k || !k->check_place;
}

int endpoints_resolve(struct engine *e, const char *text, char **ret, struct fault *reterr)
{
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *pair;
    size_t i;
    int rc = 0;
    json_array_foreach(json_object_get(root, "pairs"), i, pair)
    {
        json_t *from = json_object_get(pair, "source"), *to = json_object_get(pair, "destination");
        if (rc == 0 && names_paths(root))
            rc = resolve_side(e, from, to, false, reterr);
        if (rc == 0 && names_paths(root))
            rc = resolve_side(e, to, from, true, reterr);
    }
    if (rc == 0)
        *ret = root ? json_dumps(root, JSON_COMPACT) : xstrdup(text);
    json_decref(root);
    return rc;
}
