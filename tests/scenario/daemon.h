/* daemon: a godwitd process of a test's own, in a folder of its own, on loopback, and its console.
 * Test thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/wire/token.h"
#include "tests/scenario/peer.h"

struct daemon {
    pid_t pid;
    char dir[64]; /* state in state/, sockets in run/, output in log */
    char console_endpoint[160];
    char agents_endpoint[64];
    char enrol_endpoint[64];
    uint8_t server_key[32];
    struct curve_key console_key;
    struct peer console;
};

/* $GODWITD is the program; false when it is not there. options: pairs of words behind the usual
 * ones, ends with NULL. Ready when it returns. */
bool daemon_exists(void);
void daemon_start(struct daemon *d, const char *const *options);
int daemon_stop(struct daemon *d); /* SIGTERM; its exit code, or 128 + signal. The folder stays. */
void daemon_kill(struct daemon *d);
void daemon_remove(struct daemon *d); /* the folder */
bool daemon_alive(const struct daemon *d);
/* Of /proc/PID/status, KiB: "VmRSS", "VmHWM". */
long daemon_memory(const struct daemon *d, const char *name);
long daemon_files(const struct daemon *d); /* open descriptors */
long daemon_log_bytes(const struct daemon *d);
void daemon_show_log(const struct daemon *d); /* its end, on stderr */

/* Arguments: name, value, … NULL. The document is a new reference; NULL when code is not 0. */
json_t *daemon_ask(struct daemon *d, uint32_t *retcode, const char *command, ...);
void daemon_token(struct daemon *d, const char *host, const char *ttl_ms, struct token *ret);
