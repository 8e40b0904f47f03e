/* answers: the stage "answers": the machine runs at the destination and, where the plan says how,
 * is seen from outside itself. Worker threads. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/step.h"
#include "agent/vm/stage.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define LOOK_MS 200
#define STEADY_MS 1000 /* it runs, and still does that much later */
#define OUTSIDE_MS 120000
#define TCP_MS 2000  /* one try */
#define ARP_MS 10000 /* nobody there: the kernel has said so by then */
#define ARP_PORT "9" /* any that is seldom served */

static int pause_a_moment(struct vm_stage_run *r)
{
    struct pollfd p = {.fd = step_cancel_fd(r->step), .events = POLLIN};
    return poll(&p, 1, LOOK_MS) > 0
               ? fault_set(r->reterr, FAULT_RETRY, ECANCELED, "it was asked to stop")
               : 0;
}

static int must_run(struct vm_stage_run *r)
{
    int is = vm_runs_probe(r);
    if (is < 0)
        return is;
    return is ? 0
              : fault_set(r->reterr, FAULT_STOP_JOB, ENOTCONN,
                          "the machine does not run at the destination");
}

/* It runs, and a moment later it still does: what crashes at once has not answered. */
static int stays_up(struct vm_stage_run *r)
{
    int64_t until = clock_mono_ms() + STEADY_MS;
    int rc;
    do {
        rc = must_run(r);
        if (rc == 0)
            rc = pause_a_moment(r);
    } while (rc == 0 && clock_mono_ms() < until);
    return rc;
}

/* ── from outside ── */

struct outside {
    char address[256], port[16];
    bool arp; /* whoever has the address will do, whatever it says */
};

/* "arp ADDRESS", "tcp ADDRESS:PORT". No names: nobody is asked for them. */
static int parse(const char *text, struct outside *ret)
{
    *ret = (struct outside){.arp = strncmp(text, "arp ", 4) == 0};
    const char *at = text + 4;
    if (!ret->arp && strncmp(text, "tcp ", 4) != 0)
        return -EINVAL;
    const char *end = ret->arp ? at + strlen(at) : strrchr(at, ':');
    if (!end || end == at || (size_t)(end - at) >= sizeof ret->address)
        return -EINVAL;
    (void)snprintf(ret->address, sizeof ret->address, "%.*s", (int)(end - at), at);
    const char *port = ret->arp ? ARP_PORT : end + 1;
    if (!*port || strspn(port, "0123456789") != strlen(port) || strlen(port) >= sizeof ret->port)
        return -EINVAL;
    (void)snprintf(ret->port, sizeof ret->port, "%s", port);
    return 0;
}

/* A refusal is an answer of the machine too, and so is silence behind an address that somebody
 * has. */
static bool is_answer(const struct outside *o, int err)
{
    return err == 0 || (o->arp && (err == ECONNREFUSED || err == ETIMEDOUT));
}

/* 1: it answers; 0: not; -errno. */
static int try(const struct outside *o)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *a = NULL;
    if (getaddrinfo(o->address, o->port, &hints, &a) != 0)
        return -EINVAL;
    CLEANUP(fd_close)
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err = fd < 0 ? errno : connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    freeaddrinfo(a);
    if (err == EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        socklen_t len = sizeof err;
        if (poll(&p, 1, o->arp ? ARP_MS : TCP_MS) <= 0)
            err = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
            err = errno;
    }
    return is_answer(o, err);
}

static int seen(struct vm_stage_run *r)
{
    struct outside o;
    int64_t until = clock_mono_ms() + OUTSIDE_MS;
    if (!*r->plan->answers)
        return 0;
    int is = parse(r->plan->answers, &o);
    while (is >= 0 && (is = try(&o)) == 0) {
        int rc = must_run(r);
        if (rc == 0)
            rc = pause_a_moment(r);
        if (rc < 0)
            return rc;
        if (clock_mono_ms() > until)
            return fault_set(r->reterr, FAULT_STOP_JOB, ETIMEDOUT,
                             "the machine runs, but nobody answers at %.100s", r->plan->answers);
    }
    return is < 0
               ? fault_set(r->reterr, FAULT_STOP_JOB, -is,
                           "'%.100s' is neither arp ADDRESS nor tcp ADDRESS:PORT", r->plan->answers)
               : 0;
}

int vm_answers(struct vm_stage_run *r)
{
    int rc = stays_up(r);
    if (rc == 0)
        rc = seen(r);
    return rc < 0 ? rc : 1;
}
