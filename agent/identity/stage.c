/* stage: the frame around every stage: lock, note, timer, undo. Worker thread, or a process of its
 * own. */
#include "agent/identity/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/guard.h"
#include "agent/identity/keep.h"
#include "agent/identity/lease.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "agent/identity/service.h"
#include "agent/identity/undo.h"
#include "agent/store/pairname.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define STAGES_MAX 16 /* of one order */

bool stage_is_source(const struct stage_run *r)
{
    return r->order->role == GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE;
}

const Godwit__IdentityPlan *stage_plan(struct stage_run *r)
{
    if (!r->order->plan)
        (void)fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    return r->order->plan;
}

void stage_text(char **slot, char *text)
{
    if (*slot != protobuf_c_empty_string)
        free(*slot);
    *slot = text;
}

char *stage_folder(const char *home, const char *cutover)
{
    return xasprintf("%s/%s", home, cutover);
}

static char *note_path(const struct stage_run *r, const char *stage)
{
    return xasprintf("%s/%s.note", r->site.folder, stage);
}

static bool has_notes(const char *home, const char *cutover)
{
    CLEANUP(mem_free) char *folder = stage_folder(home, cutover);
    bool some = false;
    for (const struct stage_row *w = stage_rows; w->name && !some; w++) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%s.note", folder, w->name);
        some = access(path, F_OK) == 0;
    }
    return some || guard_is_set(folder);
}

char *stage_open_one(const char *home)
{
    char *found = NULL;
    DIR *d = opendir(home);
    for (const struct dirent *e; d && !found && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && pair_valid(e->d_name) && has_notes(home, e->d_name))
            found = xstrdup(e->d_name);
    if (d)
        (void)closedir(d);
    return found ? found : xstrdup("");
}

static bool any_note(const char *folder, const char *const *stages)
{
    bool any = false;
    for (; *stages && !any; stages++) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%s.note", folder, *stages);
        any = access(path, F_OK) == 0;
    }
    return any;
}

static const char *const swapped[] = {"addresses", "names", "join", "start", NULL};

/* A source has closed its shares before a destination opens any. */
static bool may_be_server(const char *folder)
{
    static const char *const sources[] = {"fence", "close", NULL};
    return any_note(folder, swapped) && !any_note(folder, sources);
}

/* A destination whose Samba has been started: who goes back while the source is away leaves nobody.
 */
static bool serves(const char *folder)
{
    static const char *const started[] = {"start", NULL};
    return any_note(folder, started) && may_be_server(folder);
}

bool stage_has_swapped(const char *folder)
{
    return any_note(folder, swapped);
}

bool stage_must_go_back(const char *folder)
{
    return guard_is_due(folder) || (guard_is_set(folder) && guard_sprung(folder)) ||
           (guard_restarted(folder) && may_be_server(folder));
}

bool stage_holds_server(const char *folder)
{
    return may_be_server(folder) && stage_must_go_back(folder);
}

/* ── undo ── */

static int put_back(struct stage_run *r, const Godwit__UndoRecord *rec)
{
    int rc = 0;
    if (rec->file)
        rc = undo_put_file(rec->file);
    if (rc < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot put back %.120s: %s",
                         rec->file->path, strerror(-rc));
    if (rec->host_name[0])
        rc = names_restore_host(&r->site, rec->host_name);
    for (size_t i = 0; rec->network && rc >= 0 && i < rec->network->n_interfaces; i++)
        rc = net_restore(&r->site, rec->network->interfaces[i], STAGE_LET_GO_MS, r->reterr);
    return rc;
}

/* The manager reads its files again, and what it makes of them is made right. */
static int settle_network(struct stage_run *r, const Godwit__UndoNetwork *was)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < was->n_interfaces; i++) {
        keep_reload(&r->site, was->interfaces[i]->name);
        struct fault why = {.err = 0};
        /* The address is there already: nobody waits for who is to renew it. */
        if (lease_begin(&r->site, was->interfaces[i], &why) < 0)
            stage_text(&r->result->after, xasprintf("begin the DHCP client of %s by hand: %.200s",
                                                    was->interfaces[i]->name, why.text));
        rc = net_restore(&r->site, was->interfaces[i], 0, r->reterr);
    }
    return rc;
}

static int open_note(struct stage_run *r, const struct stage_row *w, struct undo **ret)
{
    CLEANUP(mem_free) char *path = note_path(r, w->name);
    int rc = undo_open(path, ret);
    return rc < 0 ? fault_set(r->reterr, FAULT_STOP_JOB, -rc, "the note %s cannot be read: %s",
                              path, strerror(-rc))
                  : 0;
}

static int undo_row(struct stage_run *r, const struct stage_row *w)
{
    CLEANUP(mem_free) char *path = note_path(r, w->name);
    CLEANUP(undo_free) struct undo *u = NULL;
    int rc = open_note(r, w, &u);
    if (rc < 0)
        return rc;
    if (u->n == 0 && undo_shred(path) < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, EIO, "cannot remove %s", path);
    if (u->n == 0)
        return w->always ? w->undone(r) : 0;
    r->site.undo = u;
    for (size_t i = u->n; rc >= 0 && i-- > 0;) {
        rc = put_back(r, u->records[i]);
        FAULT_POINT("identity.undo.put");
    }
    if (rc >= 0 && undo_network(u))
        rc = settle_network(r, undo_network(u));
    if (rc >= 0 && undo_units(u)) /* when all else is as it was */
        rc = service_restore(&r->site, undo_units(u), r->reterr);
    if (rc >= 0 && w->undone)
        rc = w->undone(r);
    r->site.undo = NULL;
    if (rc >= 0)
        rc = undo_shred(path);
    return rc < 0 ? rc : 1;
}

static int put_files_of(struct stage_run *r, const struct stage_row *w)
{
    CLEANUP(undo_free) struct undo *u = NULL;
    int rc = open_note(r, w, &u);
    if (rc < 0)
        return rc;
    for (size_t i = u->n; rc >= 0 && i-- > 0;)
        if (u->records[i]->file || u->records[i]->host_name[0])
            rc = put_back(r, u->records[i]);
    return rc;
}

int stage_put_files(const char *home, const char *root, const char *cutover, struct fault *reterr)
{
    CLEANUP(mem_free) char *folder = stage_folder(home, cutover);
    struct stage_run r = {
        .site = {.root = root, .folder = folder},
          .home = home, .reterr = reterr
    };
    size_t n = 0;
    int rc = 0;
    while (stage_rows[n].name)
        n++;
    while (rc >= 0 && n-- > 0)
        rc = put_files_of(&r, &stage_rows[n]);
    return rc < 0 ? rc : 0;
}

/* Later stages first; one that fails does not keep the earlier from being undone, but for what it
 * would make worse: Samba starts only where all before it went well. */
static int undo_all(struct stage_run *r)
{
    size_t n = 0;
    int acted = 0;
    while (stage_rows[n].name)
        n++;
    while (n-- > 0) {
        int rc = undo_row(r, &stage_rows[n]);
        if (rc < 0)
            return rc;
        acted = acted || rc > 0;
    }
    return acted;
}

/* ── do ── */

static int act_row(struct stage_run *r, const struct stage_row *w)
{
    CLEANUP(undo_free) struct undo *u = NULL;
    int rc = open_note(r, w, &u);
    if (rc < 0)
        return rc;
    r->site.undo = u;
    FAULT_POINT("identity.act");
    rc = w->act(r);
    FAULT_POINT("identity.acted");
    r->site.undo = NULL;
    return rc;
}

/* The first note counts: one that DO has made stays. */
static int note_row(struct stage_run *r, const struct stage_row *w)
{
    CLEANUP(undo_free) struct undo *u = NULL;
    int rc = open_note(r, w, &u);
    if (rc < 0)
        return rc;
    r->site.undo = u;
    rc = r->result->sprung
             ? fault_set(r->reterr, FAULT_STOP_JOB, ECANCELED, "this host went back by itself")
             : stage_note(r);
    r->site.undo = NULL;
    return rc;
}

static const struct stage_row *find_row(const Godwit__IdentityOrder *o)
{
    for (const struct stage_row *w = stage_rows; w->name; w++)
        if (strcmp(w->name, o->stage) == 0 && (w->roles & 1U << o->role))
            return w;
    return NULL;
}

static int run_row(struct stage_run *r, const struct stage_row *w)
{
    const Godwit__IdentityOrder *o = r->order;
    int rc;
    if (o->action == GODWIT__IDENTITY_ACTION__IDENTITY_UNDO) {
        rc = undo_row(r, w);
        r->result->acted = rc > 0;
        r->result->is = rc >= 0;
        return rc;
    }
    if (o->action == GODWIT__IDENTITY_ACTION__IDENTITY_NOTE) {
        rc = note_row(r, w);
        r->result->is = rc >= 0;
        return rc;
    }
    if (o->action == GODWIT__IDENTITY_ACTION__IDENTITY_PROBE) {
        rc = w->probe ? w->probe(r) : 1;
        r->result->is = rc > 0;
        return rc;
    }
    if (r->result->sprung && strcmp(w->name, "forget") != 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, ECANCELED, "this host went back by itself");
    rc = act_row(r, w);
    r->result->acted = rc > 0;
    r->result->is = rc >= 0;
    return rc;
}

static int one_stage(struct stage_run *r)
{
    const struct stage_row *w = find_row(r->order);
    return w ? run_row(r, w)
             : fault_set(r->reterr, FAULT_STOP_JOB, ENOTSUP, "no stage '%.30s' of this host",
                         r->order->stage);
}

/* The texts of the stage that was just done become its part's. */
static void add_part(Godwit__IdentityResult *out, const char *stage, uint64_t took_ms)
{
    Godwit__IdentityPart *p = xmalloc(sizeof *p);
    godwit__identity_part__init(p);
    stage_text(&p->stage, xstrdup(stage));
    p->before = out->before;
    p->after = out->after;
    p->acted = out->acted;
    p->took_ms = took_ms;
    out->before = out->after = (char *)(uintptr_t)protobuf_c_empty_string;
    out->parts = xrealloc(out->parts, (out->n_parts + 1) * sizeof(Godwit__IdentityPart *));
    out->parts[out->n_parts++] = p;
}

void stage_join_parts(Godwit__IdentityResult *first, const char *first_stage,
                      Godwit__IdentityResult *to, const char *to_stage)
{
    if (!to->n_parts)
        add_part(to, to_stage, to->took_ms);
    add_part(first, first_stage, first->took_ms);
    size_t n = first->n_parts + to->n_parts;
    first->parts = xrealloc(first->parts, n * sizeof(Godwit__IdentityPart *));
    memcpy(first->parts + first->n_parts, to->parts, to->n_parts * sizeof *to->parts);
    free(to->parts);
    to->parts = first->parts;
    to->n_parts = n;
    to->acted = to->acted || first->acted;
    first->parts = NULL;
    first->n_parts = 0;
}

/* One after another, so that none of them waits for who sends the orders. */
static int run_stages(struct stage_run *r)
{
    const Godwit__IdentityOrder *o = r->order;
    int rc = 0;
    bool acted = false;
    for (size_t i = 0; i <= o->n_then && rc >= 0; i++) {
        int64_t began = clock_mono_ms();
        Godwit__IdentityOrder one = *o;
        one.stage = i == 0 ? o->stage : o->then[i - 1];
        r->order = &one;
        rc = one_stage(r);
        if (rc >= 0 && o->n_then)
            add_part(r->result, one.stage, (uint64_t)(clock_mono_ms() - began));
        acted = acted || r->result->acted;
    }
    r->order = o;
    r->result->acted = acted;
    return rc;
}

static int run_order(struct stage_run *r)
{
    const Godwit__IdentityOrder *o = r->order;
    bool all = !*o->stage && o->action == GODWIT__IDENTITY_ACTION__IDENTITY_UNDO;
    if (o->n_then > STAGES_MAX)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    r->result->sprung = guard_sprung(r->site.folder);
    if (!r->result->sprung && guard_renew(r->site.folder, o->silence_s) < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, EIO, "the timer cannot be written");
    int rc = all ? undo_all(r) : run_stages(r);
    r->result->silence_left_s = guard_left_s(r->site.folder);
    return rc;
}

/* One after another, whichever process: the agent's own, or one of its helpers. */
static int lock_home(const char *home)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/lock", home);
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        return -errno;
    int ret = fd;
    fd = -1;
    return ret;
}

void stage_hold(const char *home, const char *cutover)
{
    CLEANUP(mem_free) char *folder = stage_folder(home, cutover);
    if (!guard_is_set(folder) || (any_note(folder, swapped) && !serves(folder)))
        return;
    CLEANUP(mem_free) char *path = xasprintf("%s/lock", home);
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && !guard_sprung(folder) &&
        guard_hold(folder) < 0)
        log_error("cutover %s: the timer cannot be written", cutover);
}

int stage_do(const char *home, const struct site *host, const Godwit__IdentityOrder *o,
             Godwit__IdentityResult *ret, struct fault *reterr)
{
    int64_t began = clock_mono_ms();
    if (!pair_valid(o->cutover) || o->role > GODWIT__IDENTITY_ROLE__IDENTITY_WITNESS)
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    CLEANUP(mem_free) char *folder = stage_folder(home, o->cutover);
    struct stage_run r = {
        .site = {.root = host->root,
                 .search = host->search,
                 .folder = folder,
                 .cancel_fd = host->cancel_fd},
        .home = home,
        .began_ms = began,
        .order = o,
        .result = ret,
        .reterr = reterr
    };
    int rc = file_mkdirs(folder, 0700);
    CLEANUP(fd_close) int lock = rc == 0 ? lock_home(home) : -1;
    if (rc == 0 && lock < 0)
        rc = lock;
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot use %s: %s", folder, strerror(-rc));
    rc = run_order(&r);
    ret->took_ms = (uint64_t)(clock_mono_ms() - began);
    return rc < 0 ? rc : 0;
}
