/* lane_server: accepts lanes, lets in only a pinned key with a live ticket, and hands each one to
 * the receive step that registered the ticket. Its own threads; one per agent. */
#pragma once
#include <stdint.h>

struct lane_identity;
struct lane_server;
struct ticket_book;

/* address NULL: all. port 0: any free one. Borrows id until stop. Returns 0 or -errno. */
int lane_server_start(struct lane_server **ret, const struct lane_identity *id, const char *address,
                      uint16_t port);
uint16_t lane_server_port(const struct lane_server *s);
/* Where a receive step announces whom it waits for (agent/lane/ticket.h). */
struct ticket_book *lane_server_book(struct lane_server *s);
struct lane_server *lane_server_stop(struct lane_server *s); /* NULL is fine */
