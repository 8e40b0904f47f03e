/* tcp_count: the kernel's byte counter of a connection. Apart, since linux/tcp.h and czmq.h clash.
 * Any thread. */
#pragma once
#include <stdint.h>

/* Bytes that arrived since the connection was made. -ENOTSOCK and others: fd is none. */
int tcp_bytes_received(int fd, uint64_t *ret);
