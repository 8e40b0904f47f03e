/* seed: the stage "seed": the disks of a machine that runs are copied to the destination over
 * lanes, and what it writes goes there as well, until "pause" or "save" ends it. From one stage to
 * the next it lives in this process: what a crash cuts off fails, and the machine runs on. Worker
 * threads. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/step.h"
#include "agent/vm/mirror.h"
#include "agent/vm/nbd_server.h"
#include "agent/vm/stage.h"
#include "agent/vm/tunnel.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define LOOK_MS 200
#define ENDED "ended"

bool vm_is_warm(const struct vm_stage_run *r)
{
    return r->plan->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_WARM ||
           r->plan->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_WARM_QUICK;
}

bool vm_holds(const struct vm_stage_run *r)
{
    return r->plan->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_WARM;
}

/* ── what is kept from stage to stage ── */

struct seeding {
    struct seeding *next;
    char *move;
    bool source;
    struct tunnel *tunnel;
    struct nbd_server *server; /* destination */
    char **endpoints;          /* source */
    size_t nendpoints;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list alone */
static struct seeding *kept;

static struct seeding *seeding_free(struct seeding *s)
{
    if (!s)
        return NULL;
    (void)tunnel_free(s->tunnel);
    (void)nbd_server_free(s->server);
    for (size_t i = 0; i < s->nendpoints; i++)
        free(s->endpoints[i]);
    free(s->endpoints);
    free(s->move);
    free(s);
    return NULL;
}
DEFINE_CLEANUP(seeding_free, struct seeding *)

static struct seeding *seeding_new(const struct vm_stage_run *r)
{
    const Godwit__VmMoveOrder *o = r->order;
    struct seeding *s = xcalloc(1, sizeof *s);
    s->move = xstrdup(o->move);
    s->source = vm_stage_is_source(r);
    s->nendpoints = o->n_peer_endpoints;
    s->endpoints = xcalloc(s->nendpoints + 1, sizeof *s->endpoints);
    for (size_t i = 0; i < s->nendpoints; i++)
        s->endpoints[i] = xstrdup(o->peer_endpoints[i]);
    return s;
}

static void keep(struct seeding *s)
{
    (void)pthread_mutex_lock(&lock);
    s->next = kept;
    kept = s;
    (void)pthread_mutex_unlock(&lock);
}

/* NULL: there is none; the caller's then. */
static struct seeding *take(const struct vm_stage_run *r)
{
    struct seeding *found = NULL;
    (void)pthread_mutex_lock(&lock);
    for (struct seeding **at = &kept; *at && !found; at = found ? at : &(*at)->next)
        if (strcmp((*at)->move, r->order->move) == 0 && (*at)->source == vm_stage_is_source(r)) {
            found = *at;
            *at = found->next;
            break;
        }
    (void)pthread_mutex_unlock(&lock);
    return found;
}

/* ── the destination ── */

static int serve_disks(struct vm_stage_run *r, struct seeding *s)
{
    struct nbd_disk disks[STAGE_DISKS_MAX];
    char *paths[STAGE_DISKS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!vm_disk_moves(d))
            continue;
        paths[n] = vm_written_at(r, d);
        disks[n] = (struct nbd_disk){.name = d->target,
                                     .path = paths[n],
                                     .format = d->format,
                                     .bytes = d->to_device ? d->virtual_bytes : 0};
        n++;
    }
    CLEANUP(mem_free) char *socket = tunnel_path(r->order->move, TUNNEL_DISKS);
    int rc = nbd_server_start(socket, disks, n, &s->server, r->reterr);
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
    return rc;
}

static int receive(struct vm_stage_run *r, struct seeding *s)
{
    int rc = serve_disks(r, s);
    if (rc < 0)
        return rc;
    while ((rc = tunnel_wait(s->tunnel, LOOK_MS)) == -ETIMEDOUT) {
        struct pollfd p = {.fd = step_cancel_fd(r->step), .events = POLLIN};
        if (poll(&p, 1, 0) > 0)
            return fault_set(r->reterr, FAULT_RETRY, ECANCELED, "it was asked to stop");
    }
    return rc < 0 ? fault_set(r->reterr, FAULT_RETRY, -rc, "the source was lost: %s", strerror(-rc))
                  : 0;
}

/* ── the source ── */

static int begin(struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *socket = tunnel_path(r->order->move, TUNNEL_DISKS);
    int rc = note_add(r->note, NOTE_FACT, "mirroring", r->plan->uuid, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", r->plan->name);
    FAULT_POINT("vm.seed.noted");
    for (size_t i = 0; rc == 0 && i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!vm_disk_moves(d))
            continue;
        CLEANUP(mem_free)
        char *xml = xasprintf("<disk type='network'><driver name='qemu' type='raw'/>"
                              "<source protocol='nbd' name='%s'>"
                              "<host transport='unix' socket='%s'/></source></disk>",
                              d->target, socket);
        rc =
            r->virt->ops->mirror(r->virt, r->plan->uuid, d->target, xml, mirror_rate(r), r->reterr);
    }
    return rc;
}

static int send(struct vm_stage_run *r, struct seeding *s)
{
    struct virt_sight is;
    int rc = r->virt->ops->sight(r->virt, r->plan->uuid, &is, r->reterr);
    if (rc == 0 && is.is != VIRT_RUNNING)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EBUSY, "the machine does not run: %s", is.reason);
    if (rc < 0)
        return rc;
    mirror_drop(r); /* of an attempt before a crash */
    rc = begin(r);
    if (rc == 0)
        rc = mirror_wait(r, NULL);
    if (rc == 0)
        tunnel_finish(s->tunnel);
    else
        mirror_drop(r);
    return rc;
}

int vm_seed(struct vm_stage_run *r)
{
    struct ticket t = {.not_after_ms = 0};
    (void)seeding_free(take(r));
    CLEANUP(seeding_free) struct seeding *s = seeding_new(r);
    int rc = vm_stage_ticket(r, &t);
    /* The step's own end of cancelling does not outlive it. */
    const struct tunnel_conf c = {.ticket = &t,
                                  .lanes = step_env(r->step)->lanes,
                                  .identity = step_env(r->step)->identity,
                                  .endpoints = s->endpoints,
                                  .nendpoints = s->nendpoints,
                                  .cancel_fd = -1};
    if (rc == 0) {
        rc = s->source ? tunnel_open(&c, s->move, &s->tunnel)
                       : tunnel_serve(&c, s->move, &s->tunnel);
        if (rc < 0)
            (void)fault_set(r->reterr, FAULT_RETRY, -rc, "the other host is not reached: %s",
                            strerror(-rc));
    }
    explicit_bzero(t.secret, sizeof t.secret);
    if (rc == 0)
        rc = s->source ? send(r, s) : receive(r, s);
    if (rc < 0)
        return rc;
    keep(s);
    s = NULL;
    return 1;
}

int vm_seed_undo(struct vm_stage_run *r)
{
    CLEANUP(seeding_free) struct seeding *s = take(r);
    if (vm_stage_is_source(r) && !note_is_empty(r->note))
        mirror_drop(r);
    return 0;
}

/* ── the end of it ── */

/* Whoever ends a copy is not told that its last bytes were lost on the way. */
static int came_over(struct vm_stage_run *r)
{
    struct seeding *s = take(r);
    bool ok = !s || !tunnel_broken(s->tunnel);
    if (s)
        keep(s);
    return ok ? 0
              : fault_set(r->reterr, FAULT_STOP_JOB, ECONNRESET,
                          "the destination was lost before all of its storage was there");
}

int vm_seed_end(struct vm_stage_run *r)
{
    if (note_fact(r->note, ENDED))
        return 0;
    int rc = mirror_settle(r);
    /* A crash of an agent cut it off: it cannot be begun anew while the machine stands still. */
    if (rc == -EIO)
        r->reterr->what_next = FAULT_STOP_JOB;
    if (rc == 0)
        rc = mirror_end(r, NULL, false);
    if (rc == 0)
        rc = came_over(r);
    if (rc == 0 && note_add(r->note, NOTE_FACT, ENDED, r->plan->uuid, NULL) < 0)
        rc = vm_stage_failed(r, -EIO, "cannot note", r->plan->name);
    return rc;
}

static int on_disk(struct vm_stage_run *r)
{
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!vm_disk_moves(d))
            continue;
        CLEANUP(mem_free) char *path = vm_written_at(r, d);
        CLEANUP(fd_close)
        int fd = open(path, O_RDONLY | O_CLOEXEC | (d->to_device ? 0 : O_NOFOLLOW));
        if (fd < 0 || fsync(fd) < 0)
            return vm_stage_failed(r, -errno, "is not on disk:", path);
    }
    return 0;
}

int vm_seed_done(struct vm_stage_run *r)
{
    CLEANUP(seeding_free) struct seeding *s = take(r);
    if (vm_stage_is_source(r))
        r->result->counters.wire_bytes += s ? tunnel_bytes(s->tunnel) : 0;
    if (vm_stage_is_source(r) || note_fact(r->note, ENDED))
        return 0;
    if (!s || nbd_server_stop(s->server) < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, EIO,
                         "who wrote the copies of its disks here ended before its time");
    int rc = on_disk(r);
    if (rc == 0 && note_add(r->note, NOTE_FACT, ENDED, r->plan->uuid, NULL) < 0)
        rc = vm_stage_failed(r, -EIO, "cannot note", r->plan->name);
    return rc;
}
