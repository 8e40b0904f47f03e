/* client: one request to the orchestrator and its reply, over CURVE on the console socket. Prints
 * nothing. Main thread. */
#pragma once
#include <jansson.h>
#include <stdint.h>

#include "common/base/fault.h"

struct arg;
struct client;

#define STATE_DIR_DEFAULT "/var/lib/godwit"
#define CLIENT_REPLY_MAX (256U << 20)

/* Reads state_dir/console.json and the key it names. On failure an exit code above 0, with the
 * fault saying what to do. */
int client_open(const char *state_dir, struct client **ret, struct fault *reterr);
struct client *client_close(struct client *c);
/* 0, or the exit code of the reply, or of what went wrong. *retdoc may be NULL after success. */
int client_ask(struct client *c, const char *command, const struct arg *args, uint64_t timeout_ms,
               json_t **retdoc, struct fault *reterr);
