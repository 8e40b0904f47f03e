/* life: a machine is stopped, started, seen to run, let go of. Worker threads. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/step.h"
#include "agent/vm/domain_xml.h"
#include "agent/vm/stage.h"
#include "agent/vm/state.h"
#include "agent/vm/tunnel.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define LOOK_MS 200
#define START_MS 30000

static int sight(struct vm_stage_run *r, struct virt_sight *ret)
{
    return r->virt->ops->sight(r->virt, r->plan->uuid, ret, r->reterr);
}

static int pause_a_moment(struct vm_stage_run *r)
{
    struct pollfd p = {.fd = step_cancel_fd(r->step), .events = POLLIN};
    return poll(&p, 1, LOOK_MS) > 0 ? -ECANCELED : 0;
}

/* 0: it is so. -ETIMEDOUT. */
static int wait_until(struct vm_stage_run *r, enum virt_is want, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    struct virt_sight s;
    for (;;) {
        int rc = sight(r, &s);
        if (rc < 0 || s.is == want)
            return rc;
        if (clock_mono_ms() >= until)
            return -ETIMEDOUT;
        rc = pause_a_moment(r);
        if (rc < 0)
            return fault_set(r->reterr, FAULT_RETRY, ECANCELED, "it was asked to stop");
    }
}

/* ── stop ── */

static int shut_down(struct vm_stage_run *r)
{
    int rc = r->virt->ops->shutdown(r->virt, r->plan->uuid, r->reterr);
    if (rc == 0)
        rc = wait_until(r, VIRT_OFF, (int64_t)r->plan->shutdown_s * 1000);
    if (rc != -ETIMEDOUT)
        return rc;
    if (!r->plan->force_off)
        return fault_set(r->reterr, FAULT_STOP_JOB, ETIMEDOUT,
                         "the machine did not shut down within %u s", r->plan->shutdown_s);
    vm_stage_after(r, xstrdup("it did not shut down in time and was switched off"));
    rc = r->virt->ops->destroy(r->virt, r->plan->uuid, r->reterr);
    return rc < 0 ? rc : wait_until(r, VIRT_OFF, START_MS);
}

int vm_stop(struct vm_stage_run *r)
{
    struct virt_sight s;
    int rc = sight(r, &s);
    if (rc < 0 || s.is == VIRT_OFF)
        return rc;
    if (s.is != VIRT_RUNNING)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBUSY, "the machine does not run: %s",
                         s.reason);
    rc = note_add(r->note, NOTE_RAN, r->plan->uuid, NULL, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", r->plan->name);
    FAULT_POINT("vm.stop.noted");
    rc = shut_down(r);
    return rc < 0 ? rc : 1;
}

/* ── start ── */

int vm_runs_probe(struct vm_stage_run *r)
{
    struct virt_sight s;
    int rc = sight(r, &s);
    return rc < 0 ? rc : s.is == VIRT_RUNNING;
}

int vm_start(struct vm_stage_run *r)
{
    int rc = note_add(r->note, NOTE_STARTED, r->plan->uuid, NULL, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", r->plan->name);
    FAULT_POINT("vm.start.noted");
    rc = vm_takes_memory(r) ? vm_go_on(r) : r->virt->ops->start(r->virt, r->plan->uuid, r->reterr);
    if (rc == 0)
        rc = wait_until(r, VIRT_RUNNING, START_MS);
    if (rc == -ETIMEDOUT)
        return fault_set(r->reterr, FAULT_STOP_JOB, ETIMEDOUT, "the machine does not come to run");
    return rc < 0 ? rc : 1;
}

/* ── the end ── */

int vm_drop_probe(struct vm_stage_run *r)
{
    struct virt_sight s;
    int rc = sight(r, &s);
    return rc < 0 ? rc : s.is == VIRT_ABSENT && note_fact(r->note, "dropped") != NULL;
}

/* Where what libvirt leaves behind is, said before the definition goes that knows it. */
static int note_files(struct vm_stage_run *r)
{
    CLEANUP(domain_free) Godwit__VmDomain *d = NULL;
    char *xml = NULL;
    int rc = r->virt->ops->definition(r->virt, r->plan->uuid, VIRT_XML_KEPT, &xml, r->reterr);
    if (rc < 0)
        return rc;
    rc = domain_xml_read(xml, strlen(xml), &d);
    free(xml);
    if (rc == 0 && *d->nvram)
        rc = note_add(r->note, NOTE_FACT, "nvram", d->nvram, NULL);
    if (rc == 0 && strcmp(d->tpm, "emulator") == 0) {
        CLEANUP(mem_free) char *home = xasprintf("%s/%s", VM_TPM_HOME, r->plan->uuid);
        rc = note_add(r->note, NOTE_FACT, "tpm", home, NULL);
    }
    return rc < 0 ? vm_stage_failed(r, rc, "cannot note the files of", r->plan->name) : 0;
}

/* A machine that went away live has no definition here any more: what it left was noted before. */
static int note_left(struct vm_stage_run *r)
{
    static const char *const which[] = {"nvram", "tpm"};
    CLEANUP(note_free) struct note *state = NULL;
    int rc = note_open(r->state_dir, r->order->move, "state", &state);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(which); i++)
        if (note_fact(state, which[i]))
            rc = note_add(r->note, NOTE_FACT, which[i], note_fact(state, which[i]), NULL);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot note what was left of", r->plan->name) : 0;
}

/* What libvirt leaves behind would be in the way of the machine when it comes back. */
static int put_aside(struct vm_stage_run *r)
{
    static const char *const which[] = {"nvram", "tpm"};
    for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
        const char *path = note_fact(r->note, which[i]);
        CLEANUP(mem_free) char *to = path ? vm_fenced_name(r, path) : NULL;
        if (to && vm_is_state_file(path) && rename(path, to) < 0 && errno != ENOENT)
            return vm_stage_failed(r, -errno, "cannot put aside", path);
    }
    return 0;
}

/* Variables of the firmware and the TPM's state stay: libvirt would delete them unasked. */
int vm_drop(struct vm_stage_run *r)
{
    struct virt_sight s;
    int rc = vm_settled(r, &s);
    bool held = rc == 0 && s.is == VIRT_PAUSED && vm_holds(r);
    if (rc == 0 && !held && (s.is == VIRT_RUNNING || s.is == VIRT_PAUSED))
        return fault_set(r->reterr, FAULT_STOP_JOB, EBUSY,
                         "the machine runs on the source: it is not let go of");
    if (rc == 0)
        rc = s.is != VIRT_ABSENT ? note_files(r) : note_left(r);
    if (rc == 0)
        rc = note_add(r->note, NOTE_FACT, "dropped", r->plan->uuid, NULL);
    FAULT_POINT("vm.drop.noted");
    if (rc == 0 && held)
        rc = r->virt->ops->destroy(r->virt, r->plan->uuid, r->reterr);
    if (rc == 0 && s.is != VIRT_ABSENT)
        rc = r->virt->ops->undefine(r->virt, r->plan->uuid, r->reterr);
    if (rc == 0)
        rc = put_aside(r);
    return rc < 0 ? rc : 1;
}

/* Where a file that was left behind is: aside, unless a crash came between. malloc'd, NULL:
 * nowhere. */
static char *left_at(const struct vm_stage_run *r, const char *path)
{
    char *aside = path && vm_is_state_file(path) ? vm_fenced_name(r, path) : NULL;
    if (!aside || access(aside, F_OK) == 0)
        return aside;
    free(aside);
    return xstrdup(path);
}

static int remove_files(struct vm_stage_run *r, const struct note *dropped)
{
    static const char *const which[] = {"nvram", "tpm"};
    for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
        CLEANUP(mem_free) char *path = left_at(r, note_fact(dropped, which[i]));
        int rc = path ? note_remove_tree(path) : 0;
        if (rc < 0)
            return vm_stage_failed(r, rc, "cannot remove", path);
    }
    return 0;
}

/* What the source keeps for a while stands in a note of its own, which outlives the move's. */
static int keep_for(struct vm_stage_run *r, const struct note *dropped)
{
    CLEANUP(note_free) struct note *n = NULL;
    int64_t until = clock_wall_ms() + (int64_t)r->plan->seed_s * 1000;
    CLEANUP(mem_free) char *when = xasprintf("%lld", (long long)until);
    int rc = note_open(r->state_dir, VM_KEPT, r->order->move, &n);
    if (rc == 0 && !note_fact(n, "until"))
        rc = note_add(n, NOTE_FACT, "until", when, NULL);
    if (rc == 0)
        rc = vm_note_fenced(r, n);
    CLEANUP(mem_free) char *nvram = left_at(r, note_fact(dropped, "nvram"));
    CLEANUP(mem_free) char *tpm = left_at(r, note_fact(dropped, "tpm"));
    CLEANUP(mem_free) char *is = nvram ? note_identity(nvram) : NULL;
    if (rc == 0 && is)
        rc = note_add(n, NOTE_PLACED, nvram, is, NULL);
    if (rc == 0 && tpm)
        rc = note_add(n, NOTE_FOLDER, tpm, NULL, NULL);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot note what is kept of", r->plan->name) : 0;
}

void vm_sweep(const char *state_dir)
{
    CLEANUP(mem_free) char *folder = note_folder(state_dir, VM_KEPT);
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        CLEANUP(note_free) struct note *n = NULL;
        struct fault why = {.err = 0};
        size_t len = strlen(e->d_name);
        if (len <= 5 || strcmp(e->d_name + len - 5, ".note") != 0)
            continue;
        CLEANUP(mem_free) char *move = xasprintf("%.*s", (int)(len - 5), e->d_name);
        const char *until =
            note_open(state_dir, VM_KEPT, move, &n) == 0 ? note_fact(n, "until") : NULL;
        if (until && strtoll(until, NULL, 10) < clock_wall_ms() && note_undo(n, NULL, &why) < 0)
            log_warning("move=%s: what was kept of a machine cannot be removed: %s", move,
                        why.text);
    }
    if (d)
        (void)closedir(d);
}

/* All was taken back, and the machine that ran is off, though nobody switched it off: its host had
 * no power, or its hypervisor was killed. What does not start is for a person: the look that
 * follows says so. */
static void run_again(struct vm_stage_run *r)
{
    struct virt_sight s;
    struct fault why = {.err = 0};
    if (r->virt->ops->sight(r->virt, r->plan->uuid, &s, &why) < 0 || s.is != VIRT_OFF ||
        strcmp(s.reason, VIRT_SHUT_DOWN) == 0 || strcmp(s.reason, VIRT_SWITCHED_OFF) == 0)
        return;
    int rc = r->virt->ops->start(r->virt, r->plan->uuid, &why);
    log_warning("move=%s: the machine was off and %s", r->order->move,
                rc < 0 ? why.text : "is started again");
}

/* At the source, once it let go: its images as well, but where the plan keeps them as a seed. */
int vm_forget(struct vm_stage_run *r)
{
    CLEANUP(note_free) struct note *dropped = NULL;
    if (vm_stays(r) && !vm_stage_is_source(r))
        return 0; /* the same notes: the source's */
    int rc = note_open(r->state_dir, r->order->move, vm_stays(r) ? "shift" : "drop", &dropped);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot read the note of", "drop");
    bool gone = note_fact(dropped, "dropped") != NULL || note_fact(dropped, "shifted") != NULL;
    if (vm_stage_is_source(r) && gone)
        rc = vm_memory_drop(r);
    if (rc < 0)
        return rc;
    if (vm_stage_is_source(r) && gone && r->plan->seed_s == 0) {
        rc = vm_drop_fenced(r);
        if (rc >= 0)
            rc = remove_files(r, dropped);
    } else if (vm_stage_is_source(r) && gone) {
        rc = keep_for(r, dropped);
    }
    CLEANUP(note_free) struct note *held = NULL;
    if (rc >= 0 && !gone && note_open(r->state_dir, r->order->move, "state", &held) == 0)
        rc = note_undo(held, r->virt, r->reterr); /* it starts with its host again */
    if (rc >= 0 && !gone && vm_stage_is_source(r) && r->plan->runs)
        run_again(r);
    for (size_t i = 0; rc >= 0 && i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        CLEANUP(note_free) struct note *links = NULL;
        if (vm_disk_moves(d) && note_open(r->state_dir, r->order->move, "copy", &links) == 0)
            rc = note_undo(links, r->virt, r->reterr);
    }
    if (rc < 0)
        return rc;
    if (vm_stage_is_source(r) && gone)
        vm_unlock_devices(r);
    vm_copy_forget(r);
    tunnel_forget(r->order->move);
    rc = note_forget(r->state_dir, r->order->move);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot forget", r->order->move) : 1;
}
