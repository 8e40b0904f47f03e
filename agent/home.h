/* home: which orchestrator this agent belongs to and which of its keys to trust: orchestrator.json.
 * Knows no sockets. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire/limits.h"
#include "proto/control.pb-c.h"

#define HOME_FILE "orchestrator.json"
#define HOME_ENDPOINT_MAX 256

struct home_key {
    uint8_t key[32];
    char endpoint[HOME_ENDPOINT_MAX]; /* host part "*": home.address */
    int64_t not_after_ms;             /* 0: no end */
};

struct home {
    char agent_id[65];
    char host[LIMIT_HOST_NAME + 1];  /* the name that the orchestrator knows this host by */
    char address[HOME_ENDPOINT_MAX]; /* of the orchestrator: "orch.example", "[2001:db8::1]" */
    size_t nkeys;                    /* at least 1 once loaded */
    struct home_key keys[LIMIT_SERVER_KEYS]; /* current first */
};

/* -ENOENT: not enrolled. -EBADMSG: damaged. */
int home_load(const char *path, struct home *ret);
int home_save(const struct home *h, const char *path);
/* 1: the list is another one now. 0: the same. -EINVAL: a key or endpoint is malformed, or none is
 * left; nothing changed. */
int home_take_keys(struct home *h, const Godwit__ServerKeys *keys);
/* The address part of "tcp://ADDRESS:PORT". -EINVAL. */
int home_address_of(const char *endpoint, char *ret, size_t n);
/* Endpoint of key i with '*' replaced. -EINVAL when it does not fit. */
int home_endpoint(const struct home *h, size_t i, char *ret, size_t n);
/* May key i still be trusted? One that is over may not, as long as there is another. */
bool home_usable(const struct home *h, size_t i, int64_t now_ms);
