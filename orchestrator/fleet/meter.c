/* meter: watches what arrives on each connection of a socket. Main thread. */
#include "orchestrator/fleet/meter.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/fleet/tcp_count.h"

#define FD_MAX (1 << 20)

struct connection {
    bool open;
    bool moved;    /* a message ended since the last sweep */
    uint64_t mark; /* bytes that had arrived then */
};

struct meter {
    zsock_t *sock;
    zsock_t *events;
    size_t budget;
    struct connection *by_fd;
    size_t nfds;
};

int meter_new(struct meter **ret, zsock_t *sock, const char *name, size_t budget)
{
    /* A name of its own each time: libzmq gives one that was closed free only some time later. */
    static unsigned serial;
    CLEANUP(mem_free) char *endpoint = xasprintf("inproc://meter-%s-%u", name, serial++);
    int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED;
    if (zmq_socket_monitor(zsock_resolve(sock), endpoint, events) != 0)
        return -errno;
    struct meter *m = xcalloc(1, sizeof *m);
    m->sock = sock;
    m->budget = budget;
    m->events = zsock_new(ZMQ_PAIR);
    if (!m->events || zsock_connect(m->events, "%s", endpoint) != 0) {
        (void)meter_free(m);
        return -EIO;
    }
    *ret = m;
    return 0;
}

struct meter *meter_free(struct meter *m)
{
    if (!m)
        return NULL;
    (void)zmq_socket_monitor(zsock_resolve(m->sock), NULL, 0);
    zsock_destroy(&m->events);
    free(m->by_fd);
    free(m);
    return NULL;
}

zsock_t *meter_events(struct meter *m)
{
    return m->events;
}

static void set_open(struct meter *m, uint32_t fd, bool open)
{
    if (fd >= FD_MAX || (fd >= m->nfds && !open))
        return;
    if (fd >= m->nfds) {
        size_t n = fd + 64;
        m->by_fd = xrealloc(m->by_fd, n * sizeof *m->by_fd);
        memset(m->by_fd + m->nfds, 0, (n - m->nfds) * sizeof *m->by_fd);
        m->nfds = n;
    }
    m->by_fd[fd] = (struct connection){.open = open};
}

void meter_read(struct meter *m)
{
    while (zsock_events(m->events) & ZMQ_POLLIN) {
        zmsg_t *msg = zmsg_recv(m->events);
        zframe_t *frame = msg ? zmsg_first(msg) : NULL;
        if (frame && zframe_size(frame) == 6) {
            uint16_t event;
            uint32_t fd;
            memcpy(&event, zframe_data(frame), sizeof event);
            memcpy(&fd, zframe_data(frame) + sizeof event, sizeof fd);
            set_open(m, fd, event == ZMQ_EVENT_ACCEPTED);
        }
        zmsg_destroy(&msg);
    }
}

void meter_took(struct meter *m, const char *fd)
{
    unsigned long n = fd ? strtoul(fd, NULL, 10) : FD_MAX;
    if (n < m->nfds)
        m->by_fd[n].moved = true;
}

unsigned meter_sweep(struct meter *m)
{
    unsigned cut = 0;
    for (size_t fd = 0; fd < m->nfds; fd++) {
        struct connection *c = &m->by_fd[fd];
        uint64_t received = 0;
        /* The number may be another file by now: this fails, or shows a young connection, which
         * has received less than the one before it. */
        if (!c->open || tcp_bytes_received((int)fd, &received) < 0)
            continue;
        if (c->moved || received < c->mark)
            c->mark = received;
        c->moved = false;
        if (received - c->mark <= m->budget)
            continue;
        (void)shutdown((int)fd, SHUT_RDWR); /* libzmq sees the end and lets go of what it kept */
        c->open = false;
        cut++;
    }
    return cut;
}
