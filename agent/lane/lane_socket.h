/* lane_socket: the options that both ends set on a lane's socket. Any thread. */
#pragma once
#include <stdbool.h>

/* A connection to an endpoint: a descriptor, or as lane_connect(). */
int lane_socket_connect(const char *endpoint, int cancel_fd);
void lane_socket_tune(int fd);
/* A peer that is silent for seconds is lost, not for a minute only. */
void lane_socket_hurry(int fd);
bool lane_socket_is_long(int fd);
/* Once connected, when the round trip is known. */
void lane_socket_choose_congestion(int fd);
/* While it sends: where what we send waits in a queue of the link, as does what anybody else sends.
 */
void lane_socket_shorten_queue(int fd);
struct lane_loss;
void lane_socket_loss(int fd, struct lane_loss *ret);
/* Before close: what it has not sent goes on being sent, unless that takes long. */
void lane_socket_forsake(int fd);
