/* fake_virt: see fake_virt.h. */
#include "tests/unit/vm/fake_virt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"

struct fake {
    struct virt base;
    struct fake_host *host;
};

static struct fake_host *host_of(struct virt *v)
{
    return ((struct fake *)v)->host;
}

struct fake_machine *fake_machine(struct fake_host *h, const char *uuid)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->machines[i].uuid, uuid) == 0)
            return &h->machines[i];
    return NULL;
}

struct fake_machine *fake_define(struct fake_host *h, const char *uuid, const char *xml)
{
    struct fake_machine *m = fake_machine(h, uuid);
    if (!m && h->n == FAKE_MACHINES_MAX)
        return NULL;
    if (!m) {
        m = &h->machines[h->n++];
        *m = (struct fake_machine){.is = VIRT_OFF};
        (void)snprintf(m->uuid, sizeof m->uuid, "%s", uuid);
    }
    free(m->xml);
    m->xml = xstrdup(xml);
    m->defined = true;
    return m;
}

void fake_done(struct fake_host *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->machines[i].xml);
    *h = (struct fake_host){.n = 0};
}

/* Does this act fail? Then it does nothing, or all the same. */
static bool fails(struct fake_host *h, const char *name)
{
    h->calls++;
    return h->calls == h->fail_at || (h->fail_named && strcmp(h->fail_named, name) == 0);
}

/* What only reads is no act: it fails by its name alone. */
static int cannot(struct virt *v, const char *name, struct fault *reterr)
{
    const char *bad = host_of(v)->fail_named;
    if (!bad || strcmp(bad, name) != 0)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EIO, "%s fails here", name);
}

/* One act on a machine: rc 0, or the failure that was asked for. */
#define ACT(h, name, reterr, what)                                                                 \
    do {                                                                                           \
        bool bad = fails(h, name);                                                                 \
        if (!bad || (h)->done_anyway) {                                                            \
            what;                                                                                  \
        }                                                                                          \
        if (bad)                                                                                   \
            return fault_set(reterr, FAULT_STOP_JOB, EIO, "%s fails here", name);                  \
    } while (0)

static struct fake_machine *need(struct fake_host *h, const char *uuid, struct fault *reterr)
{
    struct fake_machine *m = fake_machine(h, uuid);
    if (!m)
        (void)fault_set(reterr, FAULT_STOP_JOB, ENOENT, "no such machine");
    return m;
}

static const struct fake_machine *named(const struct fake_host *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (*name && strcmp(h->machines[i].name, name) == 0)
            return &h->machines[i];
    return NULL;
}

static int fake_sight(struct virt *v, const char *uuid, struct virt_sight *ret,
                      struct fault *reterr)
{
    struct fake_machine *own = fake_machine(host_of(v), uuid);
    if (own && own->falls && --own->falls == 0)
        own->is = VIRT_OFF;
    const struct fake_machine *m = own ? own : named(host_of(v), uuid);
    *ret = (struct virt_sight){.is = m ? m->is : VIRT_ABSENT, .defined = m && m->defined};
    (void)snprintf(ret->job, sizeof ret->job, "%s", m && m->falls ? "a job" : "");
    (void)snprintf(ret->reason, sizeof ret->reason, "%s", m && m->reason ? m->reason : "");
    return cannot(v, "sight", reterr);
}

static int fake_find(struct virt *v, const char *word, struct virt_domain *ret,
                     struct fault *reterr)
{
    const struct fake_machine *m = named(host_of(v), word);
    int rc = cannot(v, "find", reterr);
    if (rc == 0 && !m)
        m = need(host_of(v), word, reterr);
    if (rc < 0 || !m)
        return rc < 0 ? rc : -ENOENT;
    *ret = (struct virt_domain){.name = xstrdup(m->name),
                                .uuid = xstrdup(m->uuid),
                                .xml = xstrdup(m->xml),
                                .state = m->is == VIRT_RUNNING ? GODWIT__VM_DOMAIN__STATE__RUNNING
                                                               : GODWIT__VM_DOMAIN__STATE__OFF,
                                .autostart = m->autostart,
                                .persistent = m->defined};
    return 0;
}

static int fake_definition(struct virt *v, const char *uuid, unsigned flags, char **ret,
                           struct fault *reterr)
{
    const struct fake_machine *m = need(host_of(v), uuid, reterr);
    if (!m)
        return -ENOENT;
    int rc = cannot(v, flags & VIRT_XML_KEPT ? "kept" : "now", reterr);
    if (rc == 0)
        *ret = xstrdup(m->xml);
    return rc;
}

static int fake_domains(struct virt *v, int (*take)(void *arg, struct virt_domain *d), void *arg,
                        struct fault *reterr)
{
    struct fake_host *h = host_of(v);
    int rc = cannot(v, "domains", reterr);
    for (size_t i = 0; rc == 0 && i < h->n; i++) {
        struct virt_domain d = {.name = NULL};
        rc = fake_find(v, h->machines[i].uuid, &d, reterr);
        if (rc == 0)
            rc = take(arg, &d);
        virt_domain_done(&d);
    }
    return rc;
}

/* ── the host ── */

static int fake_host(struct virt *v, Godwit__VmHost *ret, struct fault *reterr)
{
    const struct fake_host *h = host_of(v);
    ret->hostname = xstrdup("kvm1");
    ret->pools = xcalloc(1, sizeof(void *));
    ret->pools[0] = xcalloc(1, sizeof *ret->pools[0]);
    godwit__vm_pool__init(ret->pools[0]);
    ret->pools[0]->name = xstrdup("images");
    ret->pools[0]->path = xstrdup(h->pool ? h->pool : "/nonexistent");
    ret->pools[0]->active = true;
    ret->n_pools = 1;
    ret->networks = xcalloc(1, sizeof(void *));
    ret->networks[0] = xcalloc(1, sizeof *ret->networks[0]);
    godwit__vm_network__init(ret->networks[0]);
    ret->networks[0]->name = xstrdup(h->network ? h->network : "default");
    ret->networks[0]->bridge = xstrdup(h->bridge ? h->bridge : "");
    ret->networks[0]->active = true;
    ret->n_networks = 1;
    return cannot(v, "host", reterr);
}

static int fake_disk_size(struct virt *v, const char *uuid, const char *target,
                          uint64_t *retvirtual, uint64_t *retreal)
{
    struct fault unused = {.err = 0};
    (void)uuid;
    (void)target;
    *retvirtual = *retreal = 4096;
    return cannot(v, "disk_size", &unused);
}

static int fake_compare(struct virt *v, const struct virt_kind *k, const char *cpu,
                        struct fault *reterr)
{
    int rc = cannot(v, "compare_cpu", reterr);
    (void)k;
    (void)cpu;
    if (rc == 0 && host_of(v)->poor_cpu)
        (void)fault_set(reterr, FAULT_STOP_JOB, EOPNOTSUPP, "missing features: svm");
    return rc < 0 ? rc : !host_of(v)->poor_cpu;
}

static int fake_capabilities(struct virt *v, const struct virt_kind *k, char **ret,
                             struct fault *reterr)
{
    int rc = cannot(v, "capabilities", reterr);
    (void)k;
    if (rc == 0)
        *ret = xstrdup("<domainCapabilities/>");
    return rc;
}

static int act_define(struct virt *v, const char *xml, struct fault *reterr)
{
    const char *at = strstr(xml, "<uuid>");
    char uuid[40] = "";
    if (at)
        (void)snprintf(uuid, sizeof uuid, "%.36s", at + 6);
    ACT(host_of(v), "define", reterr, (void)fake_define(host_of(v), uuid, xml));
    return 0;
}

static int act_undefine(struct virt *v, const char *uuid, struct fault *reterr)
{
    struct fake_machine *m = need(host_of(v), uuid, reterr);
    if (!m)
        return -ENOENT;
    ACT(
        host_of(v), "undefine", reterr, m->defined = false; if (m->is != VIRT_RUNNING) {
            free(m->xml);
            struct fake_host *h = host_of(v);
            *m = h->machines[--h->n];
        });
    return 0;
}

static int become(struct virt *v, const char *uuid, const char *name, enum virt_is is,
                  struct fault *reterr)
{
    struct fake_machine *m = need(host_of(v), uuid, reterr);
    if (!m)
        return -ENOENT;
    ACT(host_of(v), name, reterr, m->is = is);
    return 0;
}

static int act_start(struct virt *v, const char *uuid, struct fault *reterr)
{
    return become(v, uuid, "start", VIRT_RUNNING, reterr);
}

static int act_shutdown(struct virt *v, const char *uuid, struct fault *reterr)
{
    return become(v, uuid, "shutdown", VIRT_OFF, reterr);
}

static int act_destroy(struct virt *v, const char *uuid, struct fault *reterr)
{
    return become(v, uuid, "destroy", VIRT_OFF, reterr);
}

static int act_suspend(struct virt *v, const char *uuid, struct fault *reterr)
{
    return become(v, uuid, "suspend", VIRT_PAUSED, reterr);
}

static int act_resume(struct virt *v, const char *uuid, struct fault *reterr)
{
    return become(v, uuid, "resume", VIRT_RUNNING, reterr);
}

static int act_autostart(struct virt *v, const char *uuid, bool on, struct fault *reterr)
{
    struct fake_machine *m = need(host_of(v), uuid, reterr);
    if (!m)
        return -ENOENT;
    ACT(host_of(v), "autostart", reterr, m->autostart = on);
    return 0;
}

static int act_snapshots(struct virt *v, const char *uuid,
                         int (*take)(void *arg, const char *xml, bool current), void *arg,
                         struct fault *reterr)
{
    (void)uuid;
    (void)take;
    (void)arg;
    (void)v;
    (void)reterr;
    return 0;
}

static int act_put_snapshot(struct virt *v, const char *uuid, const char *xml, bool current,
                            struct fault *reterr)
{
    struct fake_machine *m = need(host_of(v), uuid, reterr);
    (void)xml;
    (void)current;
    if (!m)
        return -ENOENT;
    ACT(host_of(v), "put_snapshot", reterr, m->snapshots++);
    return 0;
}

static int act_refresh(struct virt *v, const char *pool)
{
    (void)v;
    (void)pool;
    return 0;
}

/* ── memory in files ── */

/* The file is the machine's definition. */
static int act_save(struct virt *v, const char *uuid, const char *path, bool hurry,
                    struct fault *reterr)
{
    struct fake_machine *m = need(host_of(v), uuid, reterr);
    if (!m)
        return -ENOENT;
    bool falls = hurry && host_of(v)->falls > 0;
    ACT(host_of(v), "save", reterr, m->is = falls ? VIRT_PAUSED : VIRT_OFF;
        m->falls = falls ? host_of(v)->falls : 0;
        if (file_write(path, 0600, m->xml, strlen(m->xml)) < 0) return -EIO);
    return 0;
}

static int fake_saved(struct virt *v, const char *path, char **ret, struct fault *reterr)
{
    size_t len = 0;
    (void)v;
    return file_read(path, 1 << 20, ret, &len) < 0
               ? fault_set(reterr, FAULT_STOP_JOB, ENOENT, "no memory was saved")
               : 0;
}

static int act_restore(struct virt *v, const char *path, const char *xml, struct fault *reterr)
{
    CLEANUP(mem_free) char *was = NULL;
    char uuid[40] = "";
    if (fake_saved(v, path, &was, reterr) < 0)
        return -ENOENT;
    const char *at = strstr(was, "<uuid>");
    if (at)
        (void)snprintf(uuid, sizeof uuid, "%.36s", at + 6);
    ACT(host_of(v), "restore", reterr,
        struct fake_machine *m = fake_define(host_of(v), uuid, xml ? xml : was);
        m->is = VIRT_RUNNING; host_of(v)->went_on++);
    return 0;
}

/* ── copies of disks ── */

static int act_mirror(struct virt *v, const char *uuid, const char *target, const char *disk,
                      uint64_t bytes_s, struct fault *reterr)
{
    struct fake_machine *m = need(host_of(v), uuid, reterr);
    const char *file = strstr(disk, "file='");
    (void)target;
    (void)bytes_s;
    if (!m)
        return -ENOENT;
    ACT(host_of(v), "mirror", reterr, m->mirrored = true;
        (void)snprintf(m->mirror_to, sizeof m->mirror_to, "%.*s",
                       file ? (int)strcspn(file + 6, "'") : 0, file ? file + 6 : ""));
    return 0;
}

static int fake_mirrored(struct virt *v, const char *uuid, const char *target,
                         struct virt_mirror *ret)
{
    const struct fake_machine *m = fake_machine(host_of(v), uuid);
    (void)target;
    *ret = (struct virt_mirror){.runs = m && m->mirrored, .total = 1000};
    if (host_of(v)->looks)
        host_of(v)->looks--;
    else
        ret->ready = ret->runs;
    ret->done = 1000 - host_of(v)->looks;
    return 0;
}

static int act_mirror_speed(struct virt *v, const char *uuid, const char *target, uint64_t bytes_s)
{
    (void)v;
    (void)uuid;
    (void)target;
    (void)bytes_s;
    return 0;
}

/* Its only disk is another file from now on. */
static void pivot_to(struct fake_machine *m)
{
    char *at = strstr(m->xml, "<source file=");
    char *end = at ? strstr(at, "/>") : NULL;
    if (!end)
        return;
    char *xml = xasprintf("%.*s<source file='%s'%s", (int)(at - m->xml), m->xml, m->mirror_to, end);
    free(m->xml);
    m->xml = xml;
}

static int act_mirror_end(struct virt *v, const char *uuid, const char *target, bool pivot,
                          struct fault *reterr)
{
    struct fake_machine *m = need(host_of(v), uuid, reterr);
    (void)target;
    if (!m || !m->mirrored)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "nothing is copied");
    ACT(host_of(v), pivot ? "pivot" : "mirror_end", reterr, m->mirrored = false;
        if (pivot) pivot_to(m));
    return 0;
}

static void fake_close(struct virt *v)
{
    free(v);
}

static const struct virt_ops ops = {
    .host = fake_host,
    .disk_size = fake_disk_size,
    .compare_cpu = fake_compare,
    .capabilities = fake_capabilities,
    .sight = fake_sight,
    .find = fake_find,
    .domains = fake_domains,
    .definition = fake_definition,
    .define = act_define,
    .undefine = act_undefine,
    .start = act_start,
    .shutdown = act_shutdown,
    .destroy = act_destroy,
    .suspend = act_suspend,
    .resume = act_resume,
    .autostart = act_autostart,
    .snapshots = act_snapshots,
    .put_snapshot = act_put_snapshot,
    .refresh = act_refresh,
    .save = act_save,
    .saved = fake_saved,
    .restore = act_restore,
    .mirror = act_mirror,
    .mirrored = fake_mirrored,
    .mirror_speed = act_mirror_speed,
    .mirror_end = act_mirror_end,
    .close = fake_close,
};

struct virt *fake_virt(struct fake_host *h)
{
    struct fake *f = xcalloc(1, sizeof *f);
    f->base.ops = &ops;
    f->host = h;
    return &f->base;
}
