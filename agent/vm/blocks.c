/* blocks: the part of the stage "copy" that is for disks which are devices at one of the hosts: the
 * transfer engine moves files. The destination serves them as NBD, the source's qemu-img writes
 * into that through lanes; zeros do not go over. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/lane/ticket.h"
#include "agent/step.h"
#include "agent/vm/nbd_server.h"
#include "agent/vm/stage.h"
#include "agent/vm/tunnel.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define LOOK_MS 200
#define COPY_MS (24 * 3600 * 1000)

char *vm_written_at(const struct vm_stage_run *r, const Godwit__VmMoveDisk *d)
{
    return d->to_device ? xstrdup(d->path) : vm_staged(r, d->path, d->target);
}

static bool goes_so(const Godwit__VmMoveDisk *d)
{
    return vm_disk_moves(d) && d->device;
}

/* ── the destination ── */

static int serve(struct vm_stage_run *r, struct nbd_server **ret)
{
    struct nbd_disk disks[STAGE_DISKS_MAX];
    char *paths[STAGE_DISKS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!goes_so(d))
            continue;
        paths[n] = vm_written_at(r, d);
        disks[n] = (struct nbd_disk){.name = d->target,
                                     .path = paths[n],
                                     .format = d->format,
                                     .bytes = d->to_device ? d->virtual_bytes : 0};
        n++;
    }
    CLEANUP(mem_free) char *socket = tunnel_path(r->order->move, TUNNEL_DISKS);
    int rc = nbd_server_start(socket, disks, n, ret, r->reterr);
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
    return rc;
}

static int on_disk(struct vm_stage_run *r)
{
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!goes_so(d))
            continue;
        CLEANUP(mem_free) char *path = vm_written_at(r, d);
        CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
            return vm_stage_failed(r, -errno, "is not on disk:", path);
    }
    return 0;
}

static int receive(struct vm_stage_run *r, struct tunnel *t)
{
    CLEANUP(nbd_server_free) struct nbd_server *server = NULL;
    int rc = serve(r, &server);
    if (rc < 0)
        return rc;
    while ((rc = tunnel_wait(t, LOOK_MS)) == -ETIMEDOUT) {
        struct pollfd p = {.fd = step_cancel_fd(r->step), .events = POLLIN};
        if (poll(&p, 1, 0) > 0)
            return fault_set(r->reterr, FAULT_RETRY, ECANCELED, "it was asked to stop");
    }
    if (rc < 0)
        return fault_set(r->reterr, FAULT_RETRY, -rc, "the source was lost: %s", strerror(-rc));
    if (nbd_server_stop(server) < 0)
        return fault_set(r->reterr, FAULT_RETRY, EIO,
                         "who wrote the disks here ended before its time");
    return on_disk(r);
}

/* ── the source ── */

static int write_one(struct vm_stage_run *r, const Godwit__VmMoveDisk *d)
{
    CLEANUP(mem_free) char *socket = tunnel_path(r->order->move, TUNNEL_DISKS);
    CLEANUP(mem_free) char *to = xasprintf("nbd+unix:///%s?socket=%s", d->target, socket);
    const char *const argv[] = {"qemu-img", "convert", "-q", "-n",  "-W",      "-m", "8",
                                "-f",       d->format, "-O", "raw", d->source, to,   NULL};
    const struct program_call call = {
        .argv = argv, .timeout_ms = COPY_MS, .cancel_fd = step_cancel_fd(r->step)};
    struct program_output out = {.code = 0};
    int rc = program_run(&call, &out, r->reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *said = program_words(&out);
    if (out.code != 0)
        rc = fault_set(r->reterr, FAULT_RETRY, EIO, "%.60s was not copied: %.80s", d->source, said);
    program_done(&out);
    return rc;
}

static int send(struct vm_stage_run *r, struct tunnel *t)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!goes_so(d))
            continue;
        rc = write_one(r, d);
        if (rc == 0) {
            r->result->counters.bytes += d->virtual_bytes;
            r->result->counters.files++;
        }
    }
    if (rc == 0 && tunnel_broken(t))
        rc = fault_set(r->reterr, FAULT_RETRY, ECONNRESET,
                       "the destination was lost before all of its storage was there");
    r->result->counters.wire_bytes += tunnel_bytes(t);
    r->result->counters.sent_bytes += tunnel_bytes(t);
    if (rc == 0)
        tunnel_finish(t);
    return rc;
}

int vm_copy_blocks(struct vm_stage_run *r)
{
    struct ticket t = {.not_after_ms = 0};
    CLEANUP(tunnel_free) struct tunnel *tunnel = NULL;
    bool any = false, source = vm_stage_is_source(r);
    for (size_t i = 0; i < r->plan->n_disks; i++)
        any = any || goes_so(r->plan->disks[i]);
    if (!any)
        return 0;
    int rc = vm_stage_ticket(r, &t);
    const struct tunnel_conf c = {.ticket = &t,
                                  .lanes = step_env(r->step)->lanes,
                                  .identity = step_env(r->step)->identity,
                                  .endpoints = r->order->peer_endpoints,
                                  .nendpoints = r->order->n_peer_endpoints,
                                  .bucket = source ? step_bucket(r->step) : NULL,
                                  .cancel_fd = step_cancel_fd(r->step)};
    if (rc == 0) {
        rc = source ? tunnel_open(&c, r->order->move, &tunnel)
                    : tunnel_serve(&c, r->order->move, &tunnel);
        if (rc < 0)
            (void)fault_set(r->reterr, FAULT_RETRY, -rc, "the other host is not reached: %s",
                            strerror(-rc));
    }
    explicit_bzero(t.secret, sizeof t.secret);
    if (rc < 0)
        return rc;
    return source ? send(r, tunnel) : receive(r, tunnel);
}
