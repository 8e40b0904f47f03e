/* migrate: the stage "migrate": a running machine moves, its streams through a tunnel of lanes; the
 * promise of its outage is kept by a ladder of measures, or the move is given up in time. Worker
 * threads: the step's, and one that waits in libvirt's call. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agent/step.h"
#include "agent/vm/bases.h"
#include "agent/vm/ladder.h"
#include "agent/vm/redefine.h"
#include "agent/vm/stage.h"
#include "agent/vm/tunnel.h"
#include "common/base/bucket.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define LOOK_MS 100
#define SERVE_MS (24 * 3600 * 1000)
#define TARGETS_MAX STAGE_DISKS_MAX
#define SETTLE_MS 10000 /* until a job that was aborted is gone */
#define STALL_MS 15000
#define STUCK_MS 3000 /* an abort that has not worked by then meets a stuck stream */

/* ── the destination ── */

static int serve(struct vm_stage_run *r, const struct tunnel_conf *c)
{
    CLEANUP(tunnel_free) struct tunnel *t = NULL;
    int rc = tunnel_serve(c, r->order->move, &t);
    if (rc == 0)
        rc = tunnel_wait(t, SERVE_MS);
    return rc < 0 ? fault_set(r->reterr, FAULT_RETRY, -rc, "the source did not finish the move: %s",
                              strerror(-rc))
                  : 1;
}

/* ── the source ── */

struct moving {
    struct vm_stage_run *r;
    struct tunnel *tunnel;
    struct virt *second; /* the first waits in the call */
    struct virt_migration what;
    char *live, *kept, *peer, *memory, *disks;
    const char *targets[TARGETS_MAX];
    struct ladder ladder;
    struct fault fault; /* of the call */
    int rc;
    atomic_bool over;
    uint64_t seen; /* bytes that went, when they last became more */
    int64_t seen_ms;
    pthread_t thread;
};

static void moving_done(struct moving *m)
{
    char *secret[] = {m->live, m->kept};
    for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
        if (secret[i])
            explicit_bzero(secret[i], strlen(secret[i]));
    free(m->live);
    free(m->kept);
    free(m->peer);
    free(m->memory);
    free(m->disks);
    ladder_done(&m->ladder);
    (void)virt_close(m->second);
    (void)tunnel_free(m->tunnel);
}

static int definition_there(struct vm_stage_run *r, unsigned which, char **ret)
{
    char *xml = NULL;
    int rc = r->virt->ops->definition(r->virt, r->plan->uuid, which | VIRT_XML_WITH_SECRETS, &xml,
                                      r->reterr);
    if (rc < 0)
        return rc;
    rc = redefine(xml, strlen(xml), r->plan, ret);
    explicit_bzero(xml, strlen(xml));
    free(xml);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot change the definition of", r->plan->name) : 0;
}

static uint64_t limit_mib(struct vm_stage_run *r)
{
    const struct bucket *b = step_bucket(r->step);
    if (!bucket_is_limited(b))
        return 0;
    uint64_t mib = atomic_load(&b->rate) >> 20;
    return mib ? mib : 1;
}

static int prepare(struct moving *m)
{
    struct vm_stage_run *r = m->r;
    CLEANUP(mem_free) char *memory = tunnel_path(r->order->move, TUNNEL_MEMORY);
    CLEANUP(mem_free) char *disks = tunnel_path(r->order->move, TUNNEL_DISKS);
    if (!r->plan->own_tcp) {
        m->memory = xasprintf("unix://%s", memory);
        m->disks = xasprintf("unix://%s", disks);
    }
    m->what.tls = r->plan->own_tcp;
    int rc = definition_there(r, VIRT_XML_NOW, &m->live);
    if (rc == 0)
        rc = definition_there(r, VIRT_XML_KEPT, &m->kept);
    for (size_t i = 0; i < r->plan->n_disks && m->what.ntargets < TARGETS_MAX; i++)
        if (vm_disk_moves(r->plan->disks[i])) {
            m->targets[m->what.ntargets++] = r->plan->disks[i]->target;
            m->what.overlays = m->what.overlays || vm_has_bases(r, r->plan->disks[i]);
        }
    m->what.peer = m->peer;
    m->what.memory = m->memory;
    m->what.disks = m->disks;
    m->what.live = m->live;
    m->what.kept = m->kept;
    m->what.targets = m->targets;
    m->what.mib_s = limit_mib(r);
    m->what.streams = r->plan->streams > 1 ? r->plan->streams : 0;
    m->what.post_copy = r->plan->postcopy;
    return rc;
}

static void *call(void *arg)
{
    struct moving *m = arg;
    m->rc = m->r->virt->ops->migrate(m->r->virt, m->r->plan->uuid, &m->what, &m->fault);
    atomic_store(&m->over, true);
    return NULL;
}

static void give_up(struct moving *m, int64_t since)
{
    const char *uuid = m->r->plan->uuid;
    (void)m->second->ops->abort(m->second, uuid);
    if (clock_mono_ms() - since < STUCK_MS)
        return;
    tunnel_cut(m->tunnel, TUNNEL_DISKS);
    tunnel_cut(m->tunnel, TUNNEL_MEMORY);
    for (size_t i = 0; i < m->what.ntargets; i++)
        (void)m->second->ops->yank(m->second, uuid, m->targets[i]);
}

static void act(struct moving *m, enum ladder_act what)
{
    const struct virt_ops *ops = m->second->ops;
    const char *uuid = m->r->plan->uuid;
    switch (what) {
    case LADDER_NOTHING:
    case LADDER_GIVE_UP:
        break;
    case LADDER_LIFT:
        (void)ops->set_speed(m->second, uuid, 0);
        break;
    case LADDER_CAP:
        (void)ops->set_speed(m->second, uuid, m->what.mib_s);
        break;
    case LADDER_DOWNTIME:
        (void)ops->set_downtime(m->second, uuid, m->ladder.downtime_ms);
        break;
    case LADDER_POST_COPY:
        (void)ops->post_copy(m->second, uuid);
        break;
    }
}

/* The job's rate may change while it moves: its disks' lane follows by itself, its memory here. */
static void follow_rate(struct moving *m)
{
    uint64_t now = limit_mib(m->r);
    if (now == m->what.mib_s)
        return;
    m->what.mib_s = m->ladder.cap_mib = now;
    if (!m->ladder.lifted_ms)
        (void)m->second->ops->set_speed(m->second, m->r->plan->uuid, now);
}

/* A link that was cut tells nobody: a move of which nothing goes on for so long is given up. */
static bool stalls(struct moving *m, const struct virt_progress *p, int64_t now)
{
    uint64_t done = p->memory_done + p->disk_done;
    if (done != m->seen || !p->runs) {
        m->seen = done;
        m->seen_ms = now;
    }
    return now - m->seen_ms > STALL_MS;
}

/* true: the move is to be given up. */
static bool follow(struct moving *m, const struct virt_progress *p, int64_t ms)
{
    enum ladder_act what = ladder_step(&m->ladder, p, ms);
    struct counters c = m->r->result->counters;
    act(m, what);
    follow_rate(m);
    m->r->answer->cancelled |= what == LADDER_GIVE_UP;
    c.bytes = p->memory_done + p->disk_done;
    c.total_bytes = c.bytes + p->memory_left + p->disk_left;
    c.total_known = true;
    step_progress(m->r->step, &c, (unsigned)(c.bytes * 100 / (c.total_bytes + 1)),
                  p->disk_left ? "copying its storage" : "moving");
    return what == LADDER_GIVE_UP || stalls(m, p, ms);
}

/* Until the call is over. */
static void watch(struct moving *m)
{
    int64_t began = clock_mono_ms(), gave_up = 0;
    while (!atomic_load(&m->over)) {
        struct virt_progress p;
        struct pollfd w = {.fd = gave_up ? -1 : step_cancel_fd(m->r->step), .events = POLLIN};
        bool enough = poll(&w, 1, LOOK_MS) > 0;
        if (!gave_up && m->second->ops->progress(m->second, m->r->plan->uuid, false, &p) == 0)
            enough |= follow(m, &p, clock_mono_ms() - began);
        if (enough && !gave_up)
            gave_up = clock_mono_ms();
        if (gave_up)
            give_up(m, gave_up);
    }
}

/* ── what became of it ── */

static void figures(struct moving *m, struct virt *there)
{
    struct vm_stage_run *r = m->r;
    struct virt_progress p = {.runs = false};
    Godwit__VmMoveFigures *f = xcalloc(1, sizeof *f);
    godwit__vm_move_figures__init(f);
    (void)there->ops->progress(there, r->plan->uuid, true, &p);
    f->downtime_us = p.downtime_ms * 1000;
    f->memory_bytes = p.memory_done;
    f->disk_bytes = m->ladder.disk_done;
    f->rounds = (uint32_t)(m->ladder.rounds > p.rounds ? m->ladder.rounds : p.rounds);
    f->dirty_rate = m->ladder.dirty_rate;
    r->answer->figures = f;
    r->result->counters.bytes = f->memory_bytes + f->disk_bytes;
}

/* Both hosts' states decide. 1: it is there. 0: it runs here. -errno: neither is sure. */
static int judge(struct moving *m)
{
    struct vm_stage_run *r = m->r;
    struct virt_sight here, there;
    struct fault unused = {.err = 0};
    CLEANUP(virt_close) struct virt *peer = NULL;
    int rc = m->second->ops->sight(m->second, r->plan->uuid, &here, &unused);
    if (rc == 0)
        rc = virt_open(&peer, m->peer, true, &unused);
    if (rc == 0)
        rc = peer->ops->sight(peer, r->plan->uuid, &there, &unused);
    if (rc < 0)
        return rc;
    bool gone = here.is == VIRT_ABSENT || here.is == VIRT_OFF || here.is == VIRT_MIGRATED;
    if (gone && there.is == VIRT_RUNNING) {
        figures(m, peer);
        return 1;
    }
    if (here.is == VIRT_RUNNING && there.is == VIRT_ABSENT)
        return 0;
    return -EINPROGRESS;
}

static int verdict(struct moving *m)
{
    struct vm_stage_run *r = m->r;
    int64_t until = clock_mono_ms() + SETTLE_MS;
    int is = judge(m);
    while (is == -EINPROGRESS && clock_mono_ms() < until) {
        (void)poll(NULL, 0, LOOK_MS);
        is = judge(m);
    }
    ladder_tell(&m->ladder, r->answer);
    if (is > 0)
        return 1;
    if (is < 0)
        return fault_set(r->reterr, FAULT_RETRY, -is,
                         "what became of the move is not known yet: %s", m->fault.text);
    if (r->answer->cancelled)
        return fault_set(r->reterr, FAULT_STOP_JOB, ETIMEDOUT,
                         "the promise could not be kept: given up in time, the machine runs on");
    if (step_cancelled(r->step))
        return fault_set(r->reterr, FAULT_RETRY, ECANCELED, "it was asked to stop");
    return fault_set(r->reterr, FAULT_STOP_JOB, EIO, "%s", m->fault.text);
}

static int move(struct moving *m)
{
    struct vm_stage_run *r = m->r;
    int rc = note_add(r->note, NOTE_FACT, "moving", r->plan->uuid, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", r->plan->name);
    ladder_init(&m->ladder, r->plan, m->what.mib_s);
    (void)m->second->ops->set_downtime(m->second, r->plan->uuid, m->ladder.downtime_ms);
    if (pthread_create(&m->thread, NULL, call, m) != 0)
        return fault_set(r->reterr, FAULT_RETRY, EAGAIN, "no thread for the move");
    watch(m);
    (void)pthread_join(m->thread, NULL);
    return verdict(m);
}

/* libvirt's own way there needs its certificates for the address that lanes go to. */
static char *peer_of(const struct vm_stage_run *r)
{
    if (!r->plan->own_tcp) {
        CLEANUP(mem_free) char *socket = tunnel_path(r->order->move, TUNNEL_PEER);
        return xasprintf("qemu+unix:///system?socket=%s", socket);
    }
    const char *to = r->order->peer_endpoints[0], *colon = strrchr(to, ':');
    return xasprintf("qemu+tls://%.*s/system", (int)(colon ? colon - to : (int)strlen(to)), to);
}

static int send(struct vm_stage_run *r, const struct tunnel_conf *c)
{
    struct moving m = {.r = r};
    struct virt_sight s;
    int rc = r->virt->ops->sight(r->virt, r->plan->uuid, &s, r->reterr);
    if (rc == 0 && s.is != VIRT_RUNNING && s.is != VIRT_ABSENT && s.is != VIRT_MIGRATED)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, ENOTCONN, "the machine does not run: %s",
                       s.reason);
    if (rc < 0)
        return rc;
    rc = tunnel_open(c, r->order->move, &m.tunnel);
    if (rc < 0)
        return fault_set(r->reterr, FAULT_RETRY, -rc, "the destination is not reached: %s",
                         strerror(-rc));
    m.peer = peer_of(r);
    rc = virt_open(&m.second, VIRT_URI, true, r->reterr);
    if (rc == 0 && s.is == VIRT_RUNNING) {
        rc = prepare(&m);
        if (rc == 0)
            rc = move(&m);
    } else if (rc == 0) { /* before a crash it went there, or nobody knows */
        rc = verdict(&m);
    }
    if (rc >= 0)
        tunnel_finish(m.tunnel);
    r->result->counters.wire_bytes = tunnel_bytes(m.tunnel);
    moving_done(&m);
    return rc;
}

int vm_migrate(struct vm_stage_run *r)
{
    struct ticket t = {.not_after_ms = 0};
    int rc = vm_stage_ticket(r, &t);
    const struct tunnel_conf c = {.ticket = &t,
                                  .lanes = step_env(r->step)->lanes,
                                  .identity = step_env(r->step)->identity,
                                  .endpoints = r->order->peer_endpoints,
                                  .nendpoints = r->order->n_peer_endpoints,
                                  .bucket = step_bucket(r->step),
                                  .cancel_fd = step_cancel_fd(r->step)};
    if (rc == 0)
        rc = vm_stage_is_source(r) ? send(r, &c) : serve(r, &c);
    explicit_bzero(t.secret, sizeof t.secret);
    return rc;
}

/* A move that is under way ends; one that is done cannot be taken back so. */
int vm_migrate_undo(struct vm_stage_run *r)
{
    struct virt_sight s;
    int64_t until = clock_mono_ms() + SETTLE_MS;
    int rc = 0;
    if (note_is_empty(r->note))
        return 0; /* it never began */
    while (vm_stage_is_source(r)) {
        rc = r->virt->ops->sight(r->virt, r->plan->uuid, &s, r->reterr);
        if (rc < 0 || !*s.job || clock_mono_ms() > until)
            break;
        (void)r->virt->ops->abort(r->virt, r->plan->uuid);
        for (size_t i = 0; i < r->plan->n_disks; i++)
            if (vm_disk_moves(r->plan->disks[i]) && clock_mono_ms() > until - SETTLE_MS + STUCK_MS)
                (void)r->virt->ops->yank(r->virt, r->plan->uuid, r->plan->disks[i]->target);
        (void)poll(NULL, 0, LOOK_MS);
    }
    if (rc == 0 && vm_stage_is_source(r) && s.is != VIRT_RUNNING)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EBUSY,
                       "the machine does not run here any more: it is not brought back");
    return rc;
}
