/* tunnel: the streams of a live move as unix sockets on both hosts, carried over lanes: the
 * source's hypervisor dials a socket here, the destination's answers on its own. No port is opened
 * on either host but the agents' lanes. Its own threads, one a connection. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/lane/ticket.h"
#include "common/base/cleanup.h"

enum tunnel_way {
    TUNNEL_PEER,   /* libvirt's connection to the other libvirt */
    TUNNEL_MEMORY, /* the machine's memory */
    TUNNEL_DISKS,  /* its storage, as NBD */
    TUNNEL_WAYS,
};

struct bucket;
struct lane_identity;
struct lane_server;
struct tunnel;

struct tunnel_conf {
    const struct ticket *ticket;          /* enter and arg are set here */
    struct lane_server *lanes;            /* destination */
    const struct lane_identity *identity; /* source */
    char *const *endpoints;               /* source */
    size_t nendpoints;
    struct bucket *bucket; /* source: what its disks may take of the link; NULL: nobody's */
    int cancel_fd;
};

/* The same on both hosts; malloc'd. */
char *tunnel_path(const char *move, enum tunnel_way way);

/* The destination's: from now on lanes with the ticket are led to the hypervisor. */
int tunnel_serve(const struct tunnel_conf *c, const char *move, struct tunnel **ret);
/* Until the source says that it is done, 0; -ETIMEDOUT; -ECANCELED; -ECONNRESET: its first lane was
 * lost; -ENOTCONN: it did not come in time. */
int tunnel_wait(struct tunnel *t, int timeout_ms);

/* The source's: the sockets are there, and the destination is reached. */
int tunnel_open(const struct tunnel_conf *c, const char *move, struct tunnel **ret);
/* Says that it is done. */
void tunnel_finish(struct tunnel *t);

/* All connections of that way end now: who reads or writes there is told at once. */
void tunnel_cut(struct tunnel *t, enum tunnel_way way);
/* Did a connection of its disks end otherwise than in order? */
bool tunnel_broken(struct tunnel *t);
uint64_t tunnel_bytes(const struct tunnel *t); /* that went out over its lanes */
struct tunnel *tunnel_free(struct tunnel *t);  /* ends all; NULL is fine; returns NULL */
DEFINE_CLEANUP(tunnel_free, struct tunnel *)
/* What a crash left of the move's sockets goes. */
void tunnel_forget(const char *move);
