/* site: the host that is worked on, so that tests can have one of their own; and whether anybody
 * still waits for what is done there. */
#pragma once
#include <poll.h>
#include <stdbool.h>

struct undo;

struct site {
    const char *root;   /* before every path of the host; "" in life */
    const char *search; /* folders of programs; NULL: the system's */
    const char *folder; /* STATE_DIR/identity/PAIR, 0700: plan, journal, databases */
    struct undo *undo;  /* NULL: nothing is changed */
    int cancel_fd;      /* readable: whoever waits for another host gives up. Below 1: none */
};

/* Waits so long, or until that is so. */
static inline bool site_given_up(const struct site *v, int wait_ms)
{
    struct pollfd p = {.fd = v->cancel_fd > 0 ? v->cancel_fd : -1, .events = POLLIN};
    return poll(&p, 1, wait_ms) > 0 && (p.revents & POLLIN) != 0;
}
