/* lane_socket: the options that both ends set on a lane's socket. Any thread. */
#pragma once
#include <stdbool.h>

void lane_socket_tune(int fd);
/* A peer that is silent for seconds is lost, not for a minute only. */
void lane_socket_hurry(int fd);
bool lane_socket_is_long(int fd);
/* Once connected, when the round trip is known. */
void lane_socket_choose_congestion(int fd);
