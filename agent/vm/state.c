/* state: the stage "state": what a machine is beside its images goes from agent to agent over one
 * lane: its definition with secrets, snapshots' definitions, the firmware's variables, the TPM's
 * state. The orchestrator never sees it. Worker threads. */
#include "agent/vm/state.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_single.h"
#include "agent/step.h"
#include "agent/vm/domain_xml.h"
#include "common/base/buf.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define REC_STATE 33 /* source: a part of it; the last one is its SHA-256 alone */
#define REC_KEPT 57  /* destination: it is on disk */
#define WAIT_MS 20000
#define FILES_MAX 64
#define DEPTH_MAX 4

/* ── the source: gathers ── */

static int add_entry(Godwit__VmState *s, const char *path, const struct stat *st, char *data,
                     size_t len)
{
    if (s->n_files == FILES_MAX) {
        free(data);
        return -E2BIG;
    }
    Godwit__VmStateFile *f = xcalloc(1, sizeof *f);
    godwit__vm_state_file__init(f);
    f->path = xstrdup(path);
    f->mode = st->st_mode & 07777;
    f->uid = st->st_uid;
    f->gid = st->st_gid;
    f->folder = S_ISDIR(st->st_mode);
    f->data = (ProtobufCBinaryData){.data = (uint8_t *)data, .len = len};
    s->files = xrealloc(s->files, (s->n_files + 1) * sizeof(void *));
    s->files[s->n_files++] = f;
    return 0;
}

static int add_path(Godwit__VmState *s, const char *path, unsigned depth);

static int add_folder(Godwit__VmState *s, const char *path, unsigned depth)
{
    DIR *d = opendir(path);
    int rc = d ? 0 : -errno;
    for (const struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        CLEANUP(mem_free) char *below = xasprintf("%s/%s", path, e->d_name);
        rc = add_path(s, below, depth + 1);
    }
    if (d)
        (void)closedir(d);
    return rc;
}

static int add_path(Godwit__VmState *s, const char *path, unsigned depth)
{
    struct stat st;
    char *data = NULL;
    size_t len = 0;
    if (lstat(path, &st) < 0)
        return -errno;
    if (depth > DEPTH_MAX || !note_path_ok(path))
        return -E2BIG;
    if (S_ISDIR(st.st_mode)) {
        int rc = add_entry(s, path, &st, NULL, 0);
        return rc == 0 ? add_folder(s, path, depth) : rc;
    }
    if (!S_ISREG(st.st_mode))
        return 0;
    int rc = file_read(path, VM_STATE_MAX / 2, &data, &len);
    return rc < 0 ? rc : add_entry(s, path, &st, data, len);
}

static int take_snapshot(void *arg, const char *xml, bool current)
{
    Godwit__VmState *s = arg;
    s->snapshots = xrealloc(s->snapshots, (s->n_snapshots + 1) * sizeof *s->snapshots);
    size_t len = strlen(xml);
    s->snapshots[s->n_snapshots++] = (ProtobufCBinaryData){.data = xmemdup(xml, len), .len = len};
    if (current)
        s->current = (int32_t)s->n_snapshots;
    return s->n_snapshots > VM_SNAPSHOTS_MAX ? -E2BIG : 0;
}

/* A live move takes the definition away that knows where they are. */
static int note_files(struct vm_stage_run *r, const Godwit__VmDomain *d)
{
    CLEANUP(mem_free) char *home = xasprintf("%s/%s", VM_TPM_HOME, r->plan->uuid);
    int rc = *d->nvram ? note_add(r->note, NOTE_FACT, "nvram", d->nvram, NULL) : 0;
    if (rc == 0 && strcmp(d->tpm, "emulator") == 0)
        rc = note_add(r->note, NOTE_FACT, "tpm", home, NULL);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot note the files of", r->plan->name) : 0;
}

static int add_files(struct vm_stage_run *r, Godwit__VmState *s, const Godwit__VmDomain *d)
{
    struct virt_sight now; /* they are written until it is off */
    int rc = *d->nvram || *d->tpm ? vm_settled(r, &now) : 0;
    if (rc == 0)
        rc = note_files(r, d);
    if (rc < 0)
        return rc;
    rc = *d->nvram ? add_path(s, d->nvram, 0) : 0;
    if (rc == -ENOENT)
        rc = 0; /* it never ran: the firmware makes them anew */
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot read the firmware's variables", d->nvram);
    if (strcmp(d->tpm, "emulator") != 0)
        return 0;
    CLEANUP(mem_free) char *home = xasprintf("%s/%s", VM_TPM_HOME, r->plan->uuid);
    rc = add_path(s, home, 0);
    return rc < 0 && rc != -ENOENT ? vm_stage_failed(r, rc, "cannot read the TPM's state", home)
                                   : 0;
}

static int gather(struct vm_stage_run *r, Godwit__VmState *s)
{
    CLEANUP(domain_free) Godwit__VmDomain *d = NULL;
    struct virt_domain look = {.name = NULL};
    char *xml = NULL;
    int rc = r->virt->ops->find(r->virt, r->plan->uuid, &look, r->reterr);
    s->autostart = look.autostart || note_has(r->note, NOTE_AUTOSTART, r->plan->uuid);
    virt_domain_done(&look);
    if (rc == 0)
        rc = r->virt->ops->definition(r->virt, r->plan->uuid, VIRT_XML_KEPT | VIRT_XML_WITH_SECRETS,
                                      &xml, r->reterr);
    if (rc < 0)
        return rc;
    s->definition = (ProtobufCBinaryData){.data = (uint8_t *)xml, .len = strlen(xml)};
    if (domain_xml_read(xml, s->definition.len, &d) < 0)
        return vm_stage_failed(r, -EBADMSG, "the definition cannot be read:", r->plan->name);
    rc = r->virt->ops->snapshots(r->virt, r->plan->uuid, take_snapshot, s, r->reterr);
    return rc < 0 ? rc : add_files(r, s, d);
}

/* From now on a boot of the source must not start what may run at the destination by then. */
static int hold_autostart(struct vm_stage_run *r, const Godwit__VmState *s)
{
    if (!s->autostart || vm_is_library(r))
        return 0;
    int rc = note_add(r->note, NOTE_AUTOSTART, r->plan->uuid, NULL, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", r->plan->name);
    FAULT_POINT("vm.state.noted");
    return r->virt->ops->autostart(r->virt, r->plan->uuid, false, r->reterr);
}

/* ── over the lane ── */

int vm_stage_ticket(struct vm_stage_run *r, struct ticket *ret)
{
    const Godwit__VmMoveOrder *o = r->order;
    const struct lane_single_order order = {.ticket_id = o->ticket_id,
                                            .pair = o->move,
                                            .secret = o->ticket_secret.data,
                                            .secret_len = o->ticket_secret.len,
                                            .pin = o->peer_pin.data,
                                            .pin_len = o->peer_pin.len,
                                            .not_after_ms = o->not_after_ms};
    return lane_single_ticket(&order, ret) == 0
               ? 0
               : fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no ticket");
}

static int send(struct vm_stage_run *r, const struct ticket *t)
{
    Godwit__VmState *s = xcalloc(1, sizeof *s);
    struct lane *l = NULL;
    godwit__vm_state__init(s);
    int rc = gather(r, s);
    if (rc == 0)
        rc = hold_autostart(r, s);
    size_t len = rc == 0 ? godwit__vm_state__get_packed_size(s) : 0;
    uint8_t *data = rc == 0 ? xmalloc(len + 1) : NULL;
    if (rc == 0 && len > VM_STATE_MAX)
        rc = vm_stage_failed(r, -E2BIG, "its state is larger than 64 MiB:", r->plan->name);
    if (rc == 0) {
        (void)godwit__vm_state__pack(s, data);
        const struct lane_single_way way = {.endpoints = r->order->peer_endpoints,
                                            .nendpoints = r->order->n_peer_endpoints,
                                            .cancel_fd = step_cancel_fd(r->step),
                                            .answer_ms = WAIT_MS};
        rc = lane_single_open(step_env(r->step)->identity, t, &way, &l);
        if (rc == 0)
            rc = lane_single_give(l, REC_STATE, REC_KEPT, data, len, WAIT_MS);
        if (rc < 0)
            (void)fault_set(r->reterr, FAULT_RETRY, -rc, "the machine's state did not go over: %s",
                            strerror(-rc));
    }
    if (l)
        lane_close(l);
    (void)lane_free(l);
    if (data)
        explicit_bzero(data, len);
    free(data);
    if (s->definition.data)
        explicit_bzero(s->definition.data, s->definition.len);
    godwit__vm_state__free_unpacked(s, NULL);
    return rc;
}

static char *kept_at(const struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *folder = note_folder(r->state_dir, r->order->move);
    return xasprintf("%s/state", folder);
}

static int keep(struct vm_stage_run *r, const struct buf *b)
{
    CLEANUP(mem_free) char *path = kept_at(r);
    CLEANUP(mem_free) char *folder = note_folder(r->state_dir, r->order->move);
    int rc = file_mkdirs(folder, 0700);
    return rc < 0 ? rc : file_write(path, 0600, b->data, b->len);
}

static int receive(struct vm_stage_run *r, const struct ticket *t)
{
    struct lane *l = NULL;
    struct buf b;
    const struct lane_welcome w = {.credit = VM_STATE_MAX};
    int rc = lane_single_await(step_env(r->step)->lanes, t, step_cancel_fd(r->step), WAIT_MS, &l);
    buf_init(&b, VM_STATE_MAX);
    if (rc == 0)
        rc = lane_welcome_send(l, &w);
    if (rc == 0)
        rc = lane_single_take(l, REC_STATE, WAIT_MS, &b);
    if (rc == 0)
        rc = keep(r, &b);
    if (rc == 0)
        rc = lane_send_copy(l, REC_KEPT, 0, "", 0);
    if (b.data)
        explicit_bzero(b.data, b.len);
    buf_done(&b);
    if (l)
        lane_close(l);
    (void)lane_free(l);
    return rc < 0 ? fault_set(r->reterr, FAULT_RETRY, -rc, "the machine's state did not come: %s",
                              strerror(-rc))
                  : 0;
}

int vm_state(struct vm_stage_run *r)
{
    struct ticket t = {.not_after_ms = 0};
    int rc = vm_stage_ticket(r, &t);
    if (rc == 0)
        rc = vm_stage_is_source(r) ? send(r, &t) : receive(r, &t);
    explicit_bzero(t.secret, sizeof t.secret);
    return rc < 0 ? rc : 1;
}

/* ── for the other stages ── */

int vm_state_load(struct vm_stage_run *r, Godwit__VmState **ret)
{
    CLEANUP(mem_free) char *path = kept_at(r), *data = NULL;
    size_t len = 0;
    int rc = file_read(path, VM_STATE_MAX, &data, &len);
    Godwit__VmState *s =
        rc == 0 ? godwit__vm_state__unpack(NULL, len, (const uint8_t *)data) : NULL;
    if (data)
        explicit_bzero(data, len);
    if (!s)
        return vm_stage_failed(r, rc < 0 ? rc : -EBADMSG, "the machine's state is not here:", path);
    *ret = s;
    return 0;
}

Godwit__VmState *vm_state_free(Godwit__VmState *s)
{
    if (!s)
        return NULL;
    if (s->definition.data)
        explicit_bzero(s->definition.data, s->definition.len);
    godwit__vm_state__free_unpacked(s, NULL);
    return NULL;
}

void vm_state_shred(struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *path = kept_at(r);
    (void)unlink(path);
}
