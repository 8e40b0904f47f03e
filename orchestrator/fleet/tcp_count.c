/* tcp_count: the kernel's byte counter of a connection. Any thread. */
#include "orchestrator/fleet/tcp_count.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

int tcp_bytes_received(int fd, uint64_t *ret)
{
    struct tcp_info info = {.tcpi_state = 0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return -errno;
    if (len < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        return -ENOTSUP; /* a kernel before 4.1 */
    *ret = info.tcpi_bytes_received;
    return 0;
}
