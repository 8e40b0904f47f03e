/* bases: the stage "bases": images that disks stand on come to the destination once, by their
 * content: the source tells what each is, the destination what it lacks, and that goes through the
 * transfer engine. Other machines may stand on them: at the source they stay, and what was brought
 * is taken back only while nobody stands on it. Worker threads. */
#include "agent/vm/bases.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_server.h"
#include "agent/lane/lane_single.h"
#include "agent/lane/ticket.h"
#include "agent/step.h"
#include "agent/vm/copy.h"
#include "agent/vm/domain_xml.h"
#include "agent/vm/image.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "proto/vm_state.pb-c.h"

#define REC_BASES 37  /* source: VmBases */
#define REC_WANTED 59 /* destination: VmBasesWanted, when it has looked */
#define READ_BYTES (1U << 20)
#define LOOK_MS 200
#define WAIT_MS 20000
#define LIST_MAX (512U << 10)
#define USES "uses " /* in notes: a base that this move stands on */
#define BROUGHT "brought "

/* ── what an image is ── */

static int digest_of(int fd, int cancel_fd, uint8_t ret[SHA256_LEN], uint64_t *retbytes)
{
    CLEANUP(mem_free) uint8_t *data = xmalloc(READ_BYTES);
    struct sha256 *sum = sha256_new();
    ssize_t n = 0;
    int rc = 0;
    sha256_begin(sum);
    *retbytes = 0;
    while (rc == 0 && (n = read(fd, data, READ_BYTES)) > 0) {
        struct pollfd p = {.fd = cancel_fd, .events = POLLIN};
        sha256_add(sum, data, (size_t)n);
        *retbytes += (uint64_t)n;
        rc = poll(&p, 1, 0) > 0 ? -ECANCELED : 0;
    }
    if (rc == 0 && n < 0)
        rc = -errno;
    sha256_end(sum, ret);
    (void)sha256_free(sum);
    return rc;
}

int vm_base_digest(const char *path, int cancel_fd, uint8_t ret[SHA256_LEN], uint64_t *retbytes)
{
    struct stat st;
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    return digest_of(fd, cancel_fd, ret, retbytes);
}

/* ── the list, over a lane of its own ── */

static int tell(struct vm_stage_run *r, struct lane *l)
{
    Godwit__VmBases list = GODWIT__VM_BASES__INIT;
    size_t n = r->plan->n_bases;
    CLEANUP(mem_free) Godwit__VmBaseDigest *rows = xcalloc(n + 1, sizeof *rows);
    CLEANUP(mem_free) Godwit__VmBaseDigest **at = xcalloc(n + 1, sizeof(void *));
    CLEANUP(mem_free) uint8_t *sums = xcalloc(n + 1, SHA256_LEN);
    list.bases = at;
    for (size_t i = 0; i < n; i++) {
        godwit__vm_base_digest__init(&rows[i]);
        rows[i].path = r->plan->bases[i]->path;
        rows[i].sha256 = (ProtobufCBinaryData){.data = sums + i * SHA256_LEN, .len = SHA256_LEN};
        int rc = vm_base_digest(r->plan->bases[i]->source, step_cancel_fd(r->step),
                                rows[i].sha256.data, &rows[i].bytes);
        if (rc < 0)
            return vm_stage_failed(r, rc, "cannot read the image", r->plan->bases[i]->source);
        at[list.n_bases++] = &rows[i];
    }
    size_t len = godwit__vm_bases__get_packed_size(&list);
    CLEANUP(mem_free) uint8_t *body = xmalloc(len + 1);
    (void)godwit__vm_bases__pack(&list, body);
    return len > LIST_MAX ? -E2BIG : lane_send_copy(l, REC_BASES, 0, body, len);
}

/* The destination may have to wait for another move that brings the same. */
static int hear(struct vm_stage_run *r, struct lane *l, Godwit__VmBasesWanted **ret)
{
    struct lane_record rec;
    int rc = lane_receive(l, -1, &rec);
    if (rc != 1 || rec.type != REC_WANTED || rec.len > LIST_MAX)
        return rc < 0 ? rc : -EPROTO;
    Godwit__VmBasesWanted *w = godwit__vm_bases_wanted__unpack(NULL, rec.len, rec.data);
    if (!w)
        return -EBADMSG;
    if (*w->refusal) {
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EEXIST, "%.150s", w->refusal);
        godwit__vm_bases_wanted__free_unpacked(w, NULL);
        return rc;
    }
    *ret = w;
    return 0;
}

static int ask(struct vm_stage_run *r, const struct ticket *t, Godwit__VmBasesWanted **ret)
{
    struct lane *l = NULL;
    const struct lane_single_way way = {.endpoints = r->order->peer_endpoints,
                                        .nendpoints = r->order->n_peer_endpoints,
                                        .cancel_fd = step_cancel_fd(r->step),
                                        .answer_ms = WAIT_MS};
    int rc = lane_single_open(step_env(r->step)->identity, t, &way, &l);
    r->reterr->text[0] = '\0';
    if (rc == 0)
        rc = tell(r, l);
    if (rc == 0)
        rc = hear(r, l, ret);
    if (rc < 0 && !r->reterr->text[0])
        (void)fault_set(r->reterr, FAULT_RETRY, -rc, "which images are wanted was not told: %s",
                        strerror(-rc));
    if (l)
        lane_close(l);
    (void)lane_free(l);
    return rc;
}

/* ── the destination: what is here ── */

/* 1: it is here; 0: not; -EEXIST: something else is. */
static int is_here(struct vm_stage_run *r, const Godwit__VmBaseDigest *b)
{
    uint8_t mine[SHA256_LEN];
    uint64_t bytes = 0;
    struct stat st;
    if (lstat(b->path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (stat(b->path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size != b->bytes)
        return -EEXIST;
    int rc = vm_base_digest(b->path, step_cancel_fd(r->step), mine, &bytes);
    if (rc < 0)
        return rc == -EINVAL ? -EEXIST : rc;
    return memcmp(mine, b->sha256.data, SHA256_LEN) == 0 ? 1 : -EEXIST;
}

static bool list_fits(const struct vm_stage_run *r, const Godwit__VmBases *list)
{
    if (list->n_bases != r->plan->n_bases)
        return false;
    for (size_t i = 0; i < list->n_bases; i++)
        if (list->bases[i]->sha256.len != SHA256_LEN ||
            strcmp(list->bases[i]->path, r->plan->bases[i]->path) != 0)
            return false;
    return true;
}

static int choose(struct vm_stage_run *r, const Godwit__VmBases *list, Godwit__VmBasesWanted *w)
{
    w->paths = xcalloc(list->n_bases + 1, sizeof(char *));
    for (size_t i = 0; i < list->n_bases; i++) {
        CLEANUP(mem_free) char *uses = xasprintf(USES "%s", list->bases[i]->path);
        int rc = note_add(r->note, NOTE_FACT, uses, "1", NULL);
        if (rc == 0)
            rc = is_here(r, list->bases[i]);
        if (rc == -EEXIST) {
            free(w->refusal);
            w->refusal = xasprintf("another image of that name is at the destination: %s",
                                   list->bases[i]->path);
            return 0;
        }
        if (rc < 0)
            return rc;
        if (rc == 0)
            w->paths[w->n_paths++] = xstrdup(list->bases[i]->path);
    }
    return 0;
}

/* One move at a time brings images: the next finds them here. */
static int lock(struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *folder = xasprintf("%s/vm", r->state_dir);
    CLEANUP(mem_free) char *path = xasprintf("%s/.bases.lock", folder);
    struct pollfd p = {.fd = step_cancel_fd(r->step), .events = POLLIN};
    int rc = file_mkdirs(folder, 0700);
    if (rc < 0)
        return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0)
        if (poll(&p, 1, LOOK_MS) > 0) {
            (void)close(fd);
            return -ECANCELED;
        }
    return fd;
}

static int say_wanted(struct lane *l, const Godwit__VmBasesWanted *w)
{
    size_t len = godwit__vm_bases_wanted__get_packed_size(w);
    CLEANUP(mem_free) uint8_t *body = xmalloc(len + 1);
    (void)godwit__vm_bases_wanted__pack(w, body);
    return lane_send_copy(l, REC_WANTED, 0, body, len);
}

struct coming {
    Godwit__VmBases *list;
    Godwit__VmBasesWanted *wanted;
    int lock; /* -1: not held */
};

static void coming_done(struct coming *c)
{
    if (c->list)
        godwit__vm_bases__free_unpacked(c->list, NULL);
    if (c->wanted)
        godwit__vm_bases_wanted__free_unpacked(c->wanted, NULL);
    if (c->lock >= 0)
        (void)close(c->lock);
}

static int answer(struct vm_stage_run *r, struct lane *l, struct coming *c)
{
    struct lane_record rec;
    int rc = lane_receive(l, -1, &rec);
    if (rc == 1 && rec.type == REC_BASES && rec.len <= LIST_MAX)
        c->list = godwit__vm_bases__unpack(NULL, rec.len, rec.data);
    if (!c->list || !list_fits(r, c->list))
        return rc < 0 ? rc : -EPROTO;
    c->lock = lock(r);
    if (c->lock < 0)
        return c->lock;
    c->wanted = xcalloc(1, sizeof *c->wanted);
    godwit__vm_bases_wanted__init(c->wanted);
    c->wanted->refusal = xstrdup("");
    rc = choose(r, c->list, c->wanted);
    if (rc == 0)
        rc = say_wanted(l, c->wanted);
    if (rc == 0 && *c->wanted->refusal)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EEXIST, "%.150s", c->wanted->refusal);
    return rc;
}

static int be_asked(struct vm_stage_run *r, const struct ticket *t, struct coming *c)
{
    struct lane *l = NULL;
    const struct lane_welcome w = {.credit = LIST_MAX};
    int rc = lane_single_await(step_env(r->step)->lanes, t, step_cancel_fd(r->step), WAIT_MS, &l);
    r->reterr->text[0] = '\0';
    if (rc == 0) {
        lane_set_cancel(l, step_cancel_fd(r->step));
        rc = lane_welcome_send(l, &w);
    }
    if (rc == 0)
        rc = answer(r, l, c);
    if (rc < 0 && !r->reterr->text[0])
        (void)fault_set(r->reterr, FAULT_RETRY, -rc, "the list of images did not come: %s",
                        strerror(-rc));
    if (l)
        lane_close(l);
    (void)lane_free(l);
    return rc;
}

/* ── bringing them ── */

static char *folder_of(const struct vm_stage_run *r, const char *path, size_t i)
{
    CLEANUP(mem_free) char *staging = vm_staging_of(r, path);
    return xasprintf("%s-b%zu", staging, i);
}

static int make_folder(struct vm_stage_run *r, const char *folder)
{
    int rc = note_add(r->note, NOTE_FOLDER, folder, NULL, NULL);
    if (rc == 0 && mkdir(folder, 0700) < 0 && errno != EEXIST)
        rc = -errno;
    return rc < 0 ? vm_stage_failed(r, rc, "cannot make the folder", folder) : 0;
}

static int give_one(struct vm_stage_run *r, size_t i)
{
    const Godwit__VmMoveBase *b = r->plan->bases[i];
    CLEANUP(mem_free) char *folder = folder_of(r, b->source, i);
    CLEANUP(mem_free) char *to = xasprintf("%s/image", folder);
    int rc = make_folder(r, folder);
    if (rc < 0)
        return rc;
    (void)unlink(to);
    if (link(b->source, to) < 0)
        return vm_stage_failed(r, -errno, "cannot link", b->source);
    rc = vm_copy_folder(r, folder, VM_BASE_PARTS + (unsigned)i);
    return rc < 0 ? rc : note_remove_tree(folder);
}

static int take_one(struct vm_stage_run *r, size_t i, const Godwit__VmBaseDigest *want)
{
    const Godwit__VmMoveBase *b = r->plan->bases[i];
    uint8_t is[SHA256_LEN];
    uint64_t bytes = 0;
    CLEANUP(mem_free) char *folder = folder_of(r, b->path, i);
    CLEANUP(mem_free) char *staged = xasprintf("%s/image", folder);
    CLEANUP(mem_free) char *brought = xasprintf(BROUGHT "%s", b->path);
    int rc = make_folder(r, folder);
    if (rc == 0)
        rc = vm_copy_folder(r, folder, VM_BASE_PARTS + (unsigned)i);
    if (rc < 0)
        return rc;
    rc = vm_base_digest(staged, step_cancel_fd(r->step), is, &bytes);
    if (rc == 0 && memcmp(is, want->sha256.data, SHA256_LEN) != 0)
        rc = -EBADMSG;
    if (rc < 0)
        return vm_stage_failed(r, rc, "what arrived is not the image", b->path);
    CLEANUP(mem_free) char *identity = note_identity(staged);
    rc = note_add(r->note, NOTE_FACT, brought, identity, NULL);
    FAULT_POINT("vm.bases.noted");
    if (rc == 0)
        rc = file_rename_new(staged, b->path);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot put in place", b->path)
                  : note_remove_tree(folder);
}

static bool is_wanted(const Godwit__VmBasesWanted *w, const char *path)
{
    for (size_t i = 0; i < w->n_paths; i++)
        if (strcmp(w->paths[i], path) == 0)
            return true;
    return false;
}

static int bring(struct vm_stage_run *r, const struct coming *c)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->plan->n_bases; i++) {
        if (!is_wanted(c->wanted, r->plan->bases[i]->path))
            continue;
        rc = vm_stage_is_source(r) ? give_one(r, i) : take_one(r, i, c->list->bases[i]);
    }
    if (rc == 0)
        vm_stage_after(r, xasprintf("%zu of %zu images below its disks were brought, the others "
                                    "are there with the same content",
                                    c->wanted->n_paths, r->plan->n_bases));
    return rc;
}

int vm_bases(struct vm_stage_run *r)
{
    struct ticket t = {.not_after_ms = 0};
    struct coming c = {.lock = -1};
    int rc = vm_stage_ticket(r, &t);
    if (rc == 0)
        rc = vm_stage_is_source(r) ? ask(r, &t, &c.wanted) : be_asked(r, &t, &c);
    if (rc == 0)
        rc = bring(r, &c);
    explicit_bzero(t.secret, sizeof t.secret);
    coming_done(&c);
    return rc < 0 ? rc : 1;
}

/* ── the way back ── */

struct user {
    const char *path;
    bool found;
};

static void look_at_disk(const Godwit__VmDisk *k, struct user *u)
{
    Godwit__VmDiskFacts f = GODWIT__VM_DISK_FACTS__INIT;
    if (*k->source != '/')
        return;
    image_chain(k->source, k->format, &f);
    for (size_t i = 0; i < f.n_images; i++) {
        u->found = u->found || strcmp(f.images[i]->path, u->path) == 0;
        (void)image_free(f.images[i]);
    }
    free(f.images);
}

static int look_at_domain(void *arg, struct virt_domain *d)
{
    CLEANUP(domain_free) Godwit__VmDomain *m = NULL;
    struct user *u = arg;
    size_t len = d->xml ? strlen(d->xml) : 0;
    if (len == 0 || len > VIRT_XML_MAX || domain_xml_read(d->xml, len, &m) < 0) {
        u->found = true; /* nobody knows what it stands on */
        return 0;
    }
    for (size_t i = 0; i < m->n_disks; i++)
        look_at_disk(m->disks[i], u);
    return 0;
}

static bool is_in_moves(const struct vm_stage_run *r, const char *path)
{
    CLEANUP(mem_free) char *folder = xasprintf("%s/vm", r->state_dir);
    CLEANUP(mem_free) char *uses = xasprintf(USES "%s", path);
    DIR *d = opendir(folder);
    bool found = false;
    for (const struct dirent *e; d && !found && (e = readdir(d)) != NULL;) {
        CLEANUP(note_free) struct note *n = NULL;
        if (e->d_name[0] == '.' || strcmp(e->d_name, r->order->move) == 0)
            continue;
        found = note_open(r->state_dir, e->d_name, "bases", &n) < 0 || note_fact(n, uses) != NULL;
    }
    if (d)
        (void)closedir(d);
    return found;
}

static int take_back(struct vm_stage_run *r, const char *path)
{
    CLEANUP(mem_free) char *brought = xasprintf(BROUGHT "%s", path);
    const char *was = note_fact(r->note, brought);
    CLEANUP(mem_free) char *is = was ? note_identity(path) : NULL;
    struct user u = {.path = path, .found = false};
    if (!was || !is || strcmp(was, is) != 0 || is_in_moves(r, path))
        return 0;
    int rc = r->virt->ops->domains(r->virt, look_at_domain, &u, r->reterr);
    if (rc < 0 || u.found)
        return rc;
    return unlink(path) < 0 && errno != ENOENT ? vm_stage_failed(r, -errno, "cannot remove", path)
                                               : 0;
}

int vm_bases_undo(struct vm_stage_run *r)
{
    int rc = 0, held = lock(r);
    if (held < 0)
        return vm_stage_failed(r, held, "cannot hold", "bases.lock");
    for (size_t i = r->plan->n_bases; rc == 0 && i-- > 0;)
        rc = take_back(r, r->plan->bases[i]->path);
    (void)close(held);
    return rc;
}

/* ── chains ── */

static const Godwit__VmMoveBase *base_of(const Godwit__VmMovePlan *p, const char *source)
{
    for (size_t i = 0; i < p->n_bases; i++)
        if (strcmp(p->bases[i]->source, source) == 0)
            return p->bases[i];
    return NULL;
}

bool vm_has_bases(const struct vm_stage_run *r, const Godwit__VmMoveDisk *d)
{
    return d->how == GODWIT__VM_MOVE_DISK__HOW__SEEDED && d->n_bases > 0 &&
           base_of(r->plan, d->bases[0]) != NULL;
}

const Godwit__VmMoveBase *vm_first_base(const struct vm_stage_run *r, const Godwit__VmMoveDisk *d)
{
    return vm_has_bases(r, d) ? base_of(r->plan, d->bases[0]) : NULL;
}

int vm_chain_verify(struct vm_stage_run *r, const Godwit__VmMoveDisk *d, const char *path)
{
    Godwit__VmDiskFacts f = GODWIT__VM_DISK_FACTS__INIT;
    image_chain(path, d->format, &f);
    bool good = f.n_images == d->n_bases + 1;
    for (size_t i = 0; i < f.n_images; i++) {
        const Godwit__VmMoveBase *b =
            i > 0 && i <= d->n_bases ? base_of(r->plan, d->bases[i - 1]) : NULL;
        good = good && !*f.images[i]->trouble &&
               (i == 0 || (b && strcmp(b->path, f.images[i]->path) == 0));
        (void)image_free(f.images[i]);
    }
    free(f.images);
    return good ? 0 : -EBADMSG;
}
