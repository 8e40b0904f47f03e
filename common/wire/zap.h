/* zap: answers libzmq's authentication questions from an in-memory table. Its own thread, started
 * before any bind; the daemon exits when it ends. User-Id is the client's public key in Z85. */
#pragma once
#include <czmq.h>
#include <stdbool.h>
#include <stdint.h>

struct zap;

/* Returns when the thread answers on inproc://zeromq.zap.01. -EADDRINUSE: one is there already. */
int zap_start(struct zap **ret);
struct zap *zap_stop(struct zap *z);
/* Readable when the thread has ended; put it in the loop and exit the daemon. */
zsock_t *zap_watch(struct zap *z);

/* In this domain any key may enter (enrolment). Without it only keys that were allowed. */
void zap_open_domain(struct zap *z, const char *domain);
void zap_allow(struct zap *z, const char *domain, const uint8_t key[32]);
void zap_deny(struct zap *z, const char *domain, const uint8_t key[32]);

/* Whether one answers in this process. */
bool zap_running(void);
