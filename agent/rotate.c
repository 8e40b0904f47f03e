/* rotate: the agent's key and its successor. Main thread. */
#include "agent/rotate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/wire/curve.h"

struct keyring {
    struct curve_key now;
    struct curve_key next;
    bool has_next;
    bool use_next;   /* for the next connection */
    bool taken_next; /* for the present one */
    char *now_path;
    char *next_path;
};
DEFINE_CLEANUP(keyring_free, struct keyring *)

int keyring_load(const char *state_dir, struct keyring **ret)
{
    CLEANUP(keyring_free) struct keyring *k = xcalloc(1, sizeof *k);
    k->now_path = xasprintf("%s/agent.key", state_dir);
    k->next_path = xasprintf("%s/agent.key.next", state_dir);
    int rc = curve_key_load(k->now_path, &k->now);
    if (rc < 0)
        return rc;
    /* Killed between making the next key and the orchestrator's yes: both may be the right one. */
    k->has_next = curve_key_load(k->next_path, &k->next) == 0;
    k->use_next = k->has_next;
    *ret = k;
    k = NULL;
    return 0;
}

struct keyring *keyring_free(struct keyring *k)
{
    if (!k)
        return NULL;
    curve_key_wipe(&k->now);
    curve_key_wipe(&k->next);
    free(k->now_path);
    free(k->next_path);
    free(k);
    return NULL;
}

const struct curve_key *keyring_take(struct keyring *k)
{
    k->taken_next = k->use_next;
    return k->use_next ? &k->next : &k->now;
}

bool keyring_has_next(const struct keyring *k)
{
    return k->has_next;
}

int keyring_rotate(struct keyring *k, uint8_t ret[32])
{
    if (!k->has_next) {
        (void)unlink(k->next_path); /* one that cannot be read */
        curve_key_new(&k->next);
        int rc = curve_key_save(&k->next, k->next_path);
        if (rc < 0)
            return rc;
        k->has_next = true;
    }
    k->use_next = true;
    memcpy(ret, k->next.public_key, sizeof k->next.public_key);
    return 0;
}

int keyring_welcomed(struct keyring *k)
{
    if (!k->taken_next)
        return 0;
    if (rename(k->next_path, k->now_path) < 0)
        return -errno;
    k->now = k->next;
    curve_key_wipe(&k->next);
    k->has_next = false;
    k->use_next = k->taken_next = false;
    return 1;
}

void keyring_refused(struct keyring *k)
{
    k->use_next = k->has_next && !k->taken_next;
}
