/* lane: one TLS 1.3 connection between two agents, carrying records. One thread uses it at a time;
 * only lane_abort() may come from another. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/fault.h"

#define LANE_PIN_BYTES 32
#define LANE_SECRET_BYTES 32
#define LANE_HEADER_BYTES 8
#define LANE_RECORD_MAX (1 << 20) /* header and body */
#define LANE_INBOX_MAX (32 << 20) /* replies kept while a send waits */

struct bucket;
struct lane;
struct lane_identity;

struct lane_record {
    uint8_t type;
    uint8_t flags;
    const uint8_t *data; /* borrowed until the next receive on this lane */
    size_t len;
};

/* Connects to "192.0.2.7:7410" or "[2001:db8::7]:7410" or a name, and accepts only the peer whose
 * key has this pin. cancel_fd is borrowed until free. -EACCES: another key, or the peer refused
 * ours; -ECANCELED; -ETIMEDOUT; other -errno of connecting. */
int lane_connect(struct lane **ret, const struct lane_identity *id, const char *endpoint,
                 const uint8_t pin[LANE_PIN_BYTES], int cancel_fd);
/* The same in two steps. The connection, a descriptor of the caller's, and how long a packet takes
 * there and back; and the handshake on it, which takes it over, also when it fails. */
int lane_dial(const char *endpoint, int cancel_fd, uint32_t *retrtt_us);
int lane_connect_on(struct lane **ret, int fd, const struct lane_identity *id,
                    const uint8_t pin[LANE_PIN_BYTES], int cancel_fd);
/* Does anything take a connection there? Nothing is said to it. 0, or as lane_connect(). */
int lane_reach(const char *endpoint, int cancel_fd);
/* Packets of the size that such a connection sends, and whether they arrive uncut: what is as large
 * and vanishes leaves connections that begin well and then hang. Nothing listens where they go: the
 * other host's refusal tells that one arrived. 0, or as lane_connect(). */
enum lane_path { LANE_PATH_WHOLE, LANE_PATH_SWALLOWED, LANE_PATH_SILENT };
int lane_probe(const char *endpoint, int cancel_fd, uint32_t *retpacket, enum lane_path *ret);
struct lane *lane_free(struct lane *l); /* closes; NULL is fine */
void lane_set_cancel(struct lane *l, int cancel_fd);
/* Somebody stands still until this is over: a peer that is silent for twelve seconds is lost. */
void lane_hurry(struct lane *l);
/* A send whose inbox is full waits for the peer without reading on, instead of -ENOBUFS. Only for
 * the side whose peer keeps reading while it sends and cannot fill its own inbox (credit): else
 * both wait for ever. */
void lane_wait_when_full(struct lane *l);
/* From now on what is sent is held to the bucket's rate, TLS included; lanes may share one. NULL:
 * no rate, as at first. Borrowed until free. */
void lane_set_bucket(struct lane *l, struct bucket *b);
/* Any thread: both directions end now; a blocked send or receive returns -ECONNRESET. */
void lane_abort(struct lane *l);
bool lane_is_piped(const struct lane *l); /* to this very process: nothing is sealed */
const uint8_t *lane_peer_pin(const struct lane *l);
/* The peer is more than a few milliseconds away: each connection is slow to grow. */
bool lane_is_long(const struct lane *l);
struct lane_loss {
    uint64_t sent, resent; /* packets since it began */
    bool queued;           /* those of now stand in a queue of the link */
};
void lane_loss(const struct lane *l, struct lane_loss *ret);
/* Lest orders wait behind what it sends: now and then while it sends. */
void lane_shorten_queue(struct lane *l);
/* Of a transfer that was told to stop: what waits in the socket is not sent any more, where that
 * would take long. Then lane_free(). */
void lane_forsake(struct lane *l);

/* Sends one record; while the peer does not read, what it says is put into the inbox. buf has
 * LANE_HEADER_BYTES free in front of the body: head points there, len counts the body. */
int lane_send(struct lane *l, uint8_t type, uint8_t flags, uint8_t *head, size_t len);
/* The same for a body without room in front (copied). */
int lane_send_copy(struct lane *l, uint8_t type, uint8_t flags, const void *body, size_t len);

/* 1: *ret set. 0: nothing within timeout_ms (-1: for ever). -EPIPE: the peer closed in order.
 * -EMSGSIZE, -EBADMSG: not our protocol. -ECONNRESET, -ECANCELED, -ETIMEDOUT. */
int lane_receive(struct lane *l, int timeout_ms, struct lane_record *ret);
/* As lane_receive(), but wakes early with 0 when wake_fd becomes readable. */
int lane_receive_or(struct lane *l, int wake_fd, int timeout_ms, struct lane_record *ret);

/* ── to this very process ── */
/* The peer may have fd, which is taken over, under this number of ours and theirs. Only when
 * lane_is_piped(). */
void lane_hand(struct lane *l, uint64_t number, int fd);
int lane_handed(struct lane *l, uint64_t number); /* the caller's to close; -1: none */
/* n bytes went by a descriptor instead of a record: held to the rate, and counted as sent. */
int lane_carried(struct lane *l, size_t n);

/* Says that nothing more will be sent. */
void lane_close(struct lane *l);

/* Microseconds that sends spent waiting for the peer or the link, since the lane began. */
uint64_t lane_blocked_us(const struct lane *l);
uint64_t lane_wire_bytes(const struct lane *l); /* records as sent, with headers, before TLS */
