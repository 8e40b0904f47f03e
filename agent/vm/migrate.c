/* migrate: the stage "migrate": a running machine moves, its streams through a tunnel of lanes; the
 * promise of its outage is kept by a ladder of measures, or the move is given up in time. Worker
 * threads; who waits for libvirt meanwhile is calling.c. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agent/step.h"
#include "agent/vm/bases.h"
#include "agent/vm/calling.h"
#include "agent/vm/ladder.h"
#include "agent/vm/redefine.h"
#include "agent/vm/stage.h"
#include "agent/vm/tunnel.h"
#include "common/base/bucket.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define LOOK_MS 100
#define SERVE_MS (24 * 3600 * 1000)
#define TARGETS_MAX STAGE_DISKS_MAX
#define SETTLE_MS 10000 /* until a job that was aborted is gone */
#define STALL_MS 15000
#define STUCK_MS 3000 /* an abort that has not worked by then meets a stuck stream */
#define DEAF_MS 8000  /* a call that has not ended by then is not waited for any more */
#define DEAF_SETTLE_MS 2000

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
    struct calling *calling;
    struct virt_migration what;
    char *live, *kept, *peer, *memory, *disks;
    const char *targets[TARGETS_MAX];
    struct ladder ladder;
    struct fault fault; /* of the call */
    bool deaf;          /* the call was not waited for */
    uint64_t seen;      /* bytes that went, when they last became more */
    int64_t seen_ms;
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
    (void)calling_free(m->calling);
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

static void give_up(struct moving *m, int64_t since)
{
    bool stuck = clock_mono_ms() - since >= STUCK_MS;
    calling_abort(m->calling, stuck);
    if (!stuck)
        return;
    tunnel_cut(m->tunnel, TUNNEL_DISKS);
    tunnel_cut(m->tunnel, TUNNEL_MEMORY);
}

static void act(struct moving *m, enum ladder_act what)
{
    switch (what) {
    case LADDER_NOTHING:
    case LADDER_GIVE_UP:
        break;
    case LADDER_LIFT:
        calling_speed(m->calling, 0);
        break;
    case LADDER_CAP:
        calling_speed(m->calling, m->what.mib_s);
        break;
    case LADDER_DOWNTIME:
        calling_downtime(m->calling, m->ladder.downtime_ms);
        break;
    case LADDER_POST_COPY:
        calling_post_copy(m->calling);
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
        calling_speed(m->calling, now);
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
    if (c.bytes != m->seen || !p->runs) {
        m->seen = c.bytes;
        m->seen_ms = ms;
    }
    return what == LADDER_GIVE_UP;
}

/* Until the call is over, or nobody answers any more. A link that was cut and a hypervisor that
 * hangs tell nobody: a move of which nothing goes on for so long is given up. */
static void watch(struct moving *m)
{
    int64_t began = clock_mono_ms(), gave_up = 0;
    while (!calling_is_over(m->calling)) {
        struct virt_progress p;
        struct pollfd w = {.fd = gave_up ? -1 : step_cancel_fd(m->r->step), .events = POLLIN};
        bool enough = poll(&w, 1, LOOK_MS) > 0;
        int64_t now = clock_mono_ms();
        if (!gave_up && calling_news(m->calling, &p))
            enough |= follow(m, &p, now - began);
        enough |= now - began - m->seen_ms > STALL_MS;
        if (enough && !gave_up)
            gave_up = now;
        if (gave_up)
            give_up(m, gave_up);
        m->deaf = gave_up && now - gave_up > DEAF_MS;
        if (m->deaf)
            return;
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

/* Both hosts' states decide. 1: it is there. 0: it runs here, or fell here, and nothing is there.
 * -errno: neither is sure. */
static int judge(struct moving *m)
{
    struct vm_stage_run *r = m->r;
    struct virt_sight here, there;
    struct fault unused = {.err = 0};
    CLEANUP(virt_close) struct virt *peer = NULL;
    int rc = r->virt->ops->sight(r->virt, r->plan->uuid, &here, &unused);
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
    if ((here.is == VIRT_RUNNING || here.is == VIRT_OFF) && there.is == VIRT_ABSENT)
        return 0;
    return -EINPROGRESS;
}

static int verdict(struct moving *m)
{
    struct vm_stage_run *r = m->r;
    int64_t until = clock_mono_ms() + (m->deaf ? DEAF_SETTLE_MS : SETTLE_MS);
    int is = judge(m);
    while (is == -EINPROGRESS && clock_mono_ms() < until) {
        (void)poll(NULL, 0, LOOK_MS);
        is = judge(m);
    }
    ladder_tell(&m->ladder, r->answer);
    if (is > 0)
        return 1;
    if (is < 0 && m->deaf)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBUSY,
                         "the source's hypervisor hangs: it did not end the move within %d s",
                         DEAF_MS / 1000);
    if (is < 0)
        return fault_set(r->reterr, FAULT_RETRY, -is,
                         "what became of the move is not known yet: %s", m->fault.text);
    if (r->answer->cancelled)
        return fault_set(r->reterr, FAULT_STOP_JOB, ETIMEDOUT,
                         "the promise could not be kept: given up in time, the machine runs on");
    if (step_cancelled(r->step))
        return fault_set(r->reterr, FAULT_RETRY, ECANCELED, "it was asked to stop");
    return fault_set(r->reterr, FAULT_STOP_JOB, EIO, "%s",
                     m->deaf ? "nothing went on, and its end was not answered" : m->fault.text);
}

/* Two connections more: one waits in the call. */
static int begin(struct moving *m)
{
    struct vm_stage_run *r = m->r;
    struct virt *mover = NULL, *teller = NULL;
    ladder_init(&m->ladder, r->plan, m->what.mib_s);
    int rc = virt_open(&mover, VIRT_URI, true, r->reterr);
    if (rc == 0)
        rc = virt_open(&teller, VIRT_URI, true, r->reterr);
    if (rc < 0) {
        (void)virt_close(mover);
        return rc;
    }
    if (calling_new(mover, teller, r->plan->uuid, &m->what, &m->calling) < 0)
        return fault_set(r->reterr, FAULT_RETRY, EAGAIN, "no thread for the move");
    calling_downtime(m->calling, m->ladder.downtime_ms);
    return 0;
}

static int move(struct moving *m)
{
    struct vm_stage_run *r = m->r;
    int rc = note_add(r->note, NOTE_FACT, "moving", r->plan->uuid, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", r->plan->name);
    rc = begin(m);
    if (rc < 0)
        return rc;
    watch(m);
    calling_fault(m->calling, &m->fault);
    if (m->deaf) { /* what it waits for ends with the streams */
        tunnel_cut(m->tunnel, TUNNEL_PEER);
        log_warning("move=%s: the hypervisor hangs: the call is left behind", r->order->move);
    }
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
    if (s.is == VIRT_RUNNING) {
        rc = prepare(&m);
        if (rc == 0)
            rc = move(&m);
    } else { /* before a crash it went there, or nobody knows */
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
    /* One that is off, since its host had no power, is started when all is as it was. */
    if (rc == 0 && vm_stage_is_source(r) && s.is != VIRT_RUNNING && s.is != VIRT_OFF)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EBUSY,
                       "the machine does not run here any more: it is not brought back");
    return rc;
}
