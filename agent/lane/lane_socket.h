/* lane_socket: the options that both ends set on a lane's socket. Any thread. */
#pragma once

void lane_socket_tune(int fd);
/* Once connected, when the round trip is known. */
void lane_socket_choose_congestion(int fd);
