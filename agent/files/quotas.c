/* quotas: told with the inventory, and the step "quotas.apply" behind the transfer. Limits that the
 * destination has of its own stay: whoever set them had a reason. What was set for a pair is
 * recorded, so that it can follow the source. Worker threads. */
#include "agent/files/quotas.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files/files.h"
#include "agent/files/place.h"
#include "agent/step.h"
#include "agent/store/pairname.h"
#include "agent/store/quota.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define ROWS_MAX 2000U
#define NOTES_MAX 50
#define RECORD_MAX (1U << 20)

static const char *const words[QUOTA_KINDS] = {"user", "group", "project"};

/* ── at the source ── */

static Godwit__QuotaRow *row_new(uint32_t kind, uint32_t id, const struct quota *q)
{
    Godwit__QuotaRow *r = xcalloc(1, sizeof *r);
    godwit__quota_row__init(r);
    r->kind = kind;
    r->id = id;
    r->soft_bytes = q->soft_bytes;
    r->hard_bytes = q->hard_bytes;
    r->soft_files = q->soft_files;
    r->hard_files = q->hard_files;
    r->used_bytes = q->used_bytes;
    r->used_files = q->used_files;
    return r;
}

static int list_kind(int fd, enum quota_kind kind, Godwit__Quotas *to)
{
    struct quota q;
    int rc = 0;
    for (uint32_t id = 0; (rc = quota_next(fd, kind, &id, &q)) == 1; id++) {
        if (quota_is_limited(&q) && to->n_list == ROWS_MAX)
            to->more = true;
        else if (quota_is_limited(&q))
            to->list[to->n_list++] = row_new(kind, id, &q);
        if (id == UINT32_MAX)
            return 0;
    }
    return rc;
}

static Godwit__QuotaGrace *grace_new(uint32_t kind, const struct quota_grace *g)
{
    Godwit__QuotaGrace *r = xcalloc(1, sizeof *r);
    godwit__quota_grace__init(r);
    r->kind = kind;
    r->bytes_s = g->bytes_s;
    r->files_s = g->files_s;
    return r;
}

Godwit__Quotas *quotas_list(int fd)
{
    unsigned enforced = 0, counted = quota_kinds(fd, &enforced);
    if (!counted)
        return NULL;
    Godwit__Quotas *all = xcalloc(1, sizeof *all);
    godwit__quotas__init(all);
    all->counted = counted;
    all->enforced = enforced;
    all->list = xcalloc(ROWS_MAX, sizeof *all->list);
    all->graces = xcalloc(QUOTA_KINDS, sizeof *all->graces);
    for (unsigned k = 0; k < QUOTA_KINDS; k++) {
        int rc = counted & 1U << k ? list_kind(fd, k, all) : 0;
        struct quota_grace g;
        if (rc < 0)
            all->err = (uint32_t)-rc;
        if (counted & 1U << k && quota_grace_get(fd, k, &g) == 0)
            all->graces[all->n_graces++] = grace_new(k, &g);
    }
    return all;
}

void quotas_note(struct traits *t, const Godwit__Quotas *q)
{
    static const enum trait of[QUOTA_KINDS] = {TRAIT_USER_QUOTA, TRAIT_GROUP_QUOTA,
                                               TRAIT_PROJECT_QUOTA};
    for (size_t i = 0; q && i < q->n_list; i++) {
        const Godwit__QuotaRow *r = q->list[i];
        char bytes[16];
        text_bytes(r->hard_bytes ? r->hard_bytes : r->soft_bytes, bytes);
        CLEANUP(mem_free)
        char *text = xasprintf("%s %u: %s, %llu files", words[r->kind], r->id, bytes,
                               (unsigned long long)(r->hard_files ? r->hard_files : r->soft_files));
        traits_note_text(t, of[r->kind], 1, text);
    }
}

/* ── at the destination ── */

struct applying {
    int fd;
    bool dry;
    unsigned counted;
    const struct idmap *map;
    Godwit__QuotaRecord *had; /* set by an earlier run */
    Godwit__QuotaRecord now;
    Godwit__QuotaResult r;
};

__attribute__((format(printf, 2, 3))) static void note(struct applying *a, const char *fmt, ...)
{
    va_list ap;
    if (a->r.n_notes == NOTES_MAX)
        return;
    va_start(ap, fmt);
    a->r.notes[a->r.n_notes++] = xvasprintf(fmt, ap);
    va_end(ap);
}

static struct quota limits_of(const Godwit__QuotaRow *r)
{
    return (struct quota){.soft_bytes = r->soft_bytes,
                          .hard_bytes = r->hard_bytes,
                          .soft_files = r->soft_files,
                          .hard_files = r->hard_files};
}

static const Godwit__QuotaRow *find(Godwit__QuotaRow *const *list, size_t n, uint32_t kind,
                                    uint32_t id)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->kind == kind && list[i]->id == id)
            return list[i];
    return NULL;
}

/* What stands there is what an earlier run of this pair put there. */
static bool is_ours(const struct applying *a, uint32_t kind, uint32_t id, const struct quota *here)
{
    for (size_t i = 0; a->had && i < a->had->n_list; i++) {
        const Godwit__QuotaRow *r = a->had->list[i];
        struct quota set = limits_of(r);
        if (r->kind == kind && r->id == id && quota_same_limits(&set, here))
            return true;
    }
    return false;
}

static uint32_t mapped(const struct applying *a, const Godwit__QuotaRow *r)
{
    return r->kind == QUOTA_USER    ? idmap_uid(a->map, r->id)
           : r->kind == QUOTA_GROUP ? idmap_gid(a->map, r->id)
                                    : r->id;
}

static void record(struct applying *a, uint32_t kind, uint32_t id, const struct quota *q)
{
    a->now.list[a->now.n_list++] = row_new(kind, id, q);
}

static void fail(struct applying *a, uint32_t kind, uint32_t id, const char *why)
{
    a->r.failed++;
    note(a, "%s %u: %s", words[kind], id, why);
}

static void apply_one(struct applying *a, const Godwit__QuotaRow *r)
{
    uint32_t id = mapped(a, r);
    struct quota want = limits_of(r), here;
    if (!(a->counted & 1U << r->kind)) {
        fail(a, r->kind, id, "quotas of its kind are not counted here");
        return;
    }
    int rc = quota_get(a->fd, r->kind, id, &here);
    bool same = rc == 0 && quota_same_limits(&here, &want);
    bool ours = rc == 0 && is_ours(a, r->kind, id, &here);
    if (rc == 0 && !same && quota_is_limited(&here) && !ours) {
        a->r.kept++;
        note(a, "%s %u has other limits here: they stay", words[r->kind], id);
        return;
    }
    if (rc == 0 && !same && !a->dry) {
        rc = quota_set(a->fd, r->kind, id, &want);
        /* What it made of it is what the next run will find. */
        if (rc == 0 && quota_get(a->fd, r->kind, id, &here) == 0)
            want = here;
    }
    if (rc < 0) {
        fail(a, r->kind, id, strerror(-rc));
        return;
    }
    a->r.same += same;
    a->r.set += !same;
    if (!same || ours)
        record(a, r->kind, id, &want);
}

/* What was set for this pair and is no limit of the source any more. */
static void clear_gone(struct applying *a)
{
    const struct quota none = {.used_bytes = 0};
    for (size_t i = 0; a->had && i < a->had->n_list; i++) {
        const Godwit__QuotaRow *r = a->had->list[i];
        struct quota here;
        if (r->kind >= QUOTA_KINDS || find(a->now.list, a->now.n_list, r->kind, r->id) ||
            quota_get(a->fd, r->kind, r->id, &here) < 0 || !is_ours(a, r->kind, r->id, &here))
            continue;
        if (a->dry || quota_set(a->fd, r->kind, r->id, &none) == 0)
            a->r.cleared++;
    }
}

/* ── how long a soft limit may be passed ── */

static bool same_grace(const Godwit__QuotaGrace *a, const struct quota_grace *b)
{
    return a->bytes_s == b->bytes_s && a->files_s == b->files_s;
}

static bool grace_is_ours(const struct applying *a, uint32_t kind, const struct quota_grace *here)
{
    for (size_t i = 0; a->had && i < a->had->n_graces; i++)
        if (a->had->graces[i]->kind == kind && same_grace(a->had->graces[i], here))
            return true;
    return false;
}

/* One time holds for everybody of the file system: what somebody chose here stays. */
static void apply_grace(struct applying *a, const Godwit__QuotaGrace *g)
{
    struct quota_grace here, want = {.bytes_s = g->bytes_s, .files_s = g->files_s};
    if (!(a->counted & 1U << g->kind) || quota_grace_get(a->fd, g->kind, &here) < 0)
        return;
    bool same = same_grace(g, &here), ours = grace_is_ours(a, g->kind, &here);
    bool usual = here.bytes_s == QUOTA_GRACE_USUAL && here.files_s == QUOTA_GRACE_USUAL;
    if (!same && !usual && !ours) {
        note(a, "grace times of each %s are others here: they stay", words[g->kind]);
        return;
    }
    if (!same && !a->dry && quota_grace_set(a->fd, g->kind, &want) < 0) {
        note(a, "grace times of each %s cannot be set", words[g->kind]);
        return;
    }
    a->r.graces_set += !same;
    if (!same || ours)
        a->now.graces[a->now.n_graces++] = grace_new(g->kind, &want);
}

static Godwit__QuotaRecord *record_read(const char *path)
{
    CLEANUP(mem_free) char *data = NULL;
    size_t len = 0;
    if (file_read(path, RECORD_MAX, &data, &len) < 0)
        return NULL;
    return godwit__quota_record__unpack(NULL, len, (const uint8_t *)data);
}

static int record_write(const char *path, const Godwit__QuotaRecord *r)
{
    size_t n = godwit__quota_record__get_packed_size(r);
    CLEANUP(mem_free) uint8_t *data = xmalloc(n + 1);
    (void)godwit__quota_record__pack(r, data);
    return file_write(path, 0600, data, n);
}

/* Before anything is set: whatever a crash leaves, the old or the new, is known to be ours. */
static int record_both(const char *path, const struct applying *a)
{
    Godwit__QuotaRecord both = GODWIT__QUOTA_RECORD__INIT;
    size_t had = a->had ? a->had->n_list : 0, now = a->now.n_list;
    both.list = xcalloc(had + now + 1, sizeof *both.list);
    for (size_t i = 0; i < had; i++)
        both.list[both.n_list++] = a->had->list[i];
    for (size_t i = 0; i < now; i++)
        both.list[both.n_list++] = a->now.list[i];
    size_t graces = a->had ? a->had->n_graces : 0;
    both.graces = xcalloc(graces + a->now.n_graces + 1, sizeof *both.graces);
    for (size_t i = 0; i < graces; i++)
        both.graces[both.n_graces++] = a->had->graces[i];
    for (size_t i = 0; i < a->now.n_graces; i++)
        both.graces[both.n_graces++] = a->now.graces[i];
    int rc = record_write(path, &both);
    free(both.list);
    free(both.graces);
    return rc;
}

/* As if nothing had been looked at yet. */
static void forget(struct applying *a)
{
    for (size_t i = 0; i < a->now.n_list; i++)
        godwit__quota_row__free_unpacked(a->now.list[i], NULL);
    for (size_t i = 0; i < a->r.n_notes; i++)
        free(a->r.notes[i]);
    char **notes = a->r.notes;
    godwit__quota_result__init(&a->r);
    a->r.notes = notes;
    for (size_t i = 0; i < a->now.n_graces; i++)
        godwit__quota_grace__free_unpacked(a->now.graces[i], NULL);
    a->now.n_list = a->now.n_graces = 0;
}

static void pack(struct applying *a, struct step_result *ret)
{
    ret->body_len = godwit__quota_result__get_packed_size(&a->r);
    ret->body = xmalloc(ret->body_len + 1);
    (void)godwit__quota_result__pack(&a->r, ret->body);
    ret->status = STEP_DONE;
}

static void run_rows(struct applying *a, const Godwit__QuotaOrder *o)
{
    for (size_t i = 0; i < o->n_list; i++)
        if (o->list[i]->kind < QUOTA_KINDS)
            apply_one(a, o->list[i]);
    for (size_t i = 0; i < o->n_graces && i < QUOTA_KINDS; i++)
        if (o->graces[i]->kind < QUOTA_KINDS)
            apply_grace(a, o->graces[i]);
    clear_gone(a);
}

static int apply_all(struct step *s, const Godwit__QuotaOrder *o, struct applying *a)
{
    CLEANUP(mem_free) char *dir = xasprintf("%s/quota", step_env(s)->state_dir);
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", dir, o->pair);
    unsigned enforced = 0;
    a->counted = quota_kinds(a->fd, &enforced);
    a->had = record_read(path);
    a->dry = true;
    run_rows(a, o);
    a->dry = o->dry_run;
    int rc = a->dry ? 0 : file_mkdirs(dir, 0700);
    if (rc == 0 && !a->dry)
        rc = record_both(path, a);
    if (rc == 0 && !a->dry) {
        forget(a);
        run_rows(a, o);
    }
    if (rc == 0 && a->r.set && a->counted & ~enforced)
        note(a, "limits are kept, but nobody is held to them: the file system is mounted without "
                "the quota options");
    return rc == 0 && !a->dry ? record_write(path, &a->now) : rc;
}

static void apply(struct step *s, const Godwit__QuotaOrder *o, struct step_result *ret)
{
    bool exists = false;
    struct idmap_error e;
    CLEANUP(idmap_free) struct idmap *map = NULL;
    CLEANUP(fd_close)
    int fd = place_open_nearest((const char *)o->path.data, o->path.len, &exists);
    struct applying a = {.fd = fd, .dry = o->dry_run, .now = GODWIT__QUOTA_RECORD__INIT};
    int rc = fd < 0 ? fd : idmap_parse((const char *)o->map.data, o->map.len, &map, &e);
    godwit__quota_result__init(&a.r);
    a.map = map;
    a.r.notes = xcalloc(NOTES_MAX, sizeof *a.r.notes);
    a.now.list = xcalloc(o->n_list + 1, sizeof *a.now.list);
    a.now.graces = xcalloc(QUOTA_KINDS, sizeof *a.now.graces);
    rc = rc < 0 ? rc : apply_all(s, o, &a);
    if (rc == 0)
        pack(&a, ret);
    else
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "the limits of users cannot be kept: %s",
                        strerror(-rc));
    forget(&a);
    free(a.r.notes);
    free(a.now.list);
    free(a.now.graces);
    if (a.had)
        godwit__quota_record__free_unpacked(a.had, NULL);
}

void quotas_apply(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__QuotaOrder *o = godwit__quota_order__unpack(NULL, len, args);
    ret->status = STEP_FAILED;
    if (!o || o->n_list > ROWS_MAX || !pair_valid(o->pair))
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    else
        apply(s, o, ret);
    if (o)
        godwit__quota_order__free_unpacked(o, NULL);
}
