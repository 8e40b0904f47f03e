/* test_vm_look: what is told of one machine, and whether another host could take it: by a fake that
 * can fail at each call. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/vm.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define UUID "1f0b7c54-6a3c-4b1e-9a51-0f8f6d1d2c11"
#define XML                                                                                        \
    "<domain type='qemu'><name>web1</name><uuid>" UUID "</uuid><os><type arch='x86_64' "           \
    "machine='pc'>hvm</type></os><cpu mode='custom'><model>qemu64</model></cpu><devices>%s"        \
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/>"        \
    "<target dev='vda'/></disk></devices></domain>"

static char folder[] = "/tmp/gw-look-XXXXXX";

struct fake {
    struct virt base;
    const char *fail; /* the call that does */
    char *xml;        /* of the only machine; NULL: none is here */
    const char *network;
    int cpu; /* what compare_cpu() says */
};

static struct fake *of(struct virt *v)
{
    return (struct fake *)v;
}

static int fails(struct virt *v, const char *call, struct fault *reterr)
{
    if (!of(v)->fail || strcmp(of(v)->fail, call) != 0)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EIO, "%s failed", call);
}

static int fake_host(struct virt *v, Godwit__VmHost *ret, struct fault *reterr)
{
    ret->hostname = xstrdup("kvm1");
    ret->pools = xcalloc(1, sizeof(void *));
    ret->pools[0] = xcalloc(1, sizeof *ret->pools[0]);
    godwit__vm_pool__init(ret->pools[0]);
    ret->pools[0]->name = xstrdup("images");
    ret->pools[0]->path = xstrdup(folder);
    ret->pools[0]->active = true;
    ret->n_pools = 1;
    ret->networks = xcalloc(1, sizeof(void *));
    ret->networks[0] = xcalloc(1, sizeof *ret->networks[0]);
    godwit__vm_network__init(ret->networks[0]);
    ret->networks[0]->name = xstrdup(of(v)->network ? of(v)->network : "default");
    ret->networks[0]->active = true;
    ret->n_networks = 1;
    return fails(v, "host", reterr);
}

static int fake_find(struct virt *v, const char *word, struct virt_domain *ret,
                     struct fault *reterr)
{
    int rc = fails(v, "find", reterr);
    if (rc < 0 || !of(v)->xml)
        return rc < 0 ? rc : fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no %s", word);
    *ret = (struct virt_domain){.name = xstrdup("web1"),
                                .uuid = xstrdup(UUID),
                                .xml = xstrdup(of(v)->xml),
                                .state = GODWIT__VM_DOMAIN__STATE__RUNNING};
    return 0;
}

static int fake_domains(struct virt *v, int (*take)(void *arg, struct virt_domain *d), void *arg,
                        struct fault *reterr)
{
    struct virt_domain d = {.name = NULL};
    int rc = fails(v, "domains", reterr);
    if (rc == 0 && of(v)->xml && fake_find(v, "", &d, reterr) == 0)
        rc = take(arg, &d);
    virt_domain_done(&d);
    return rc;
}

static int fake_disk_size(struct virt *v, const char *uuid, const char *target,
                          uint64_t *retvirtual, uint64_t *retreal)
{
    (void)uuid;
    (void)target;
    *retvirtual = *retreal = 4096;
    return fails(v, "disk_size", NULL) < 0 ? -EIO : 0;
}

static int fake_sight(struct virt *v, const char *uuid, struct virt_sight *ret,
                      struct fault *reterr)
{
    (void)uuid;
    *ret = (struct virt_sight){.is = of(v)->xml ? VIRT_RUNNING : VIRT_ABSENT};
    return fails(v, "sight", reterr);
}

static int fake_definition(struct virt *v, const char *uuid, unsigned flags, char **ret,
                           struct fault *reterr)
{
    (void)uuid;
    int rc = fails(v, flags & VIRT_XML_KEPT ? "kept" : "now", reterr);
    if (rc == 0)
        *ret = xstrdup(of(v)->xml);
    return rc;
}

static int fake_compare(struct virt *v, const struct virt_kind *k, const char *cpu,
                        struct fault *reterr)
{
    assert_string_equal(k->arch, "x86_64");
    assert_non_null(strstr(cpu, "qemu64"));
    if (of(v)->cpu == 0)
        (void)fault_set(reterr, FAULT_STOP_JOB, EOPNOTSUPP, "missing features: svm");
    int rc = fails(v, "compare_cpu", reterr);
    return rc < 0 ? rc : of(v)->cpu;
}

static int fake_capabilities(struct virt *v, const struct virt_kind *k, char **ret,
                             struct fault *reterr)
{
    (void)k;
    int rc = fails(v, "capabilities", reterr);
    if (rc == 0)
        *ret = xstrdup("<domainCapabilities/>");
    return rc;
}

static void fake_close(struct virt *v)
{
    (void)v;
}

static const struct virt_ops ops = {.host = fake_host,
                                    .domains = fake_domains,
                                    .disk_size = fake_disk_size,
                                    .sight = fake_sight,
                                    .find = fake_find,
                                    .definition = fake_definition,
                                    .compare_cpu = fake_compare,
                                    .capabilities = fake_capabilities,
                                    .close = fake_close};

static struct fake with(const char *devices, const char *disk)
{
    return (struct fake){
        .base = {&ops}, .cpu = 1, .xml = devices ? xasprintf(XML, devices, disk) : NULL};
}

static char *disk_path(void)
{
    return xasprintf("%s/web1.qcow2", folder);
}

static Godwit__VmLook *look_at(struct fake *f, int want)
{
    struct fault why = {.err = 0};
    Godwit__VmLookOrder o = GODWIT__VM_LOOK_ORDER__INIT;
    Godwit__VmLook *l = xcalloc(1, sizeof *l);
    godwit__vm_look__init(l);
    o.machine = (char *)(uintptr_t) "web1";
    assert_int_equal(vm_look_at(&f->base, &o, l, &why), want);
    return l;
}

static void a_machine_is_told_with_its_images(void **state)
{
    CLEANUP(mem_free) char *disk = disk_path();
    struct fake f = with("", disk);
    (void)state;
    assert_int_equal(file_write(disk, 0600, "raw bytes", 9), 0);
    Godwit__VmLook *l = look_at(&f, 0);
    assert_int_equal(l->sight->is, GODWIT__VM_MOVE_SIGHT__IS__RUNNING);
    assert_string_equal(l->machine->domain->name, "web1");
    assert_int_equal(strlen(l->machine->digest), 64);
    assert_non_null(strstr(l->machine->cpu, "<model>qemu64</model>"));
    assert_string_equal(l->machine->kept_cpu_mode, "custom");
    assert_int_equal(l->machine->n_disks, 1);
    assert_true(l->machine->disks[0]->images[0]->in_pool);
    assert_true(*l->machine->disks[0]->images[0]->trouble); /* it is no qcow2 */
    godwit__vm_look__free_unpacked(l, NULL);
    (void)unlink(disk);
    free(f.xml);
}

static void each_call_that_fails_fails_the_look(void **state)
{
    static const struct {
        const char *call;
        int rc;
    } cases[] = {
        {"host",      -EIO},
        {"sight",     -EIO},
        {"find",      -EIO},
        {"kept",      -EIO},
        {"now",       -EIO},
        {"disk_size", 0   },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fake f = with("", "/nonexistent");
        f.fail = cases[i].call;
        godwit__vm_look__free_unpacked(look_at(&f, cases[i].rc), NULL);
        free(f.xml);
    }
    struct fake none = with(NULL, "");
    Godwit__VmLook *l = look_at(&none, 0);
    assert_null(l->machine);
    assert_int_equal(l->sight->is, GODWIT__VM_MOVE_SIGHT__IS__ABSENT);
    godwit__vm_look__free_unpacked(l, NULL);
}

/* ── may it come here? ── */

static Godwit__VmCheck *check_at(struct fake *here, Godwit__VmLook *l, const char *pool)
{
    struct fault why = {.err = 0};
    Godwit__VmCheckOrder o = GODWIT__VM_CHECK_ORDER__INIT;
    Godwit__VmCheck *k = xcalloc(1, sizeof *k);
    godwit__vm_check__init(k);
    o.machine = l->machine;
    o.pool = (char *)(uintptr_t)pool;
    assert_int_equal(vm_check(&here->base, &o, k, &why), 0);
    return k;
}

static int worst(const Godwit__VmCheck *k, const char *check)
{
    int w = 0;
    for (size_t i = 0; i < k->n_findings; i++)
        if (strcmp(k->findings[i]->check, check) == 0 && (int)k->findings[i]->result > w)
            w = (int)k->findings[i]->result;
    return w;
}

#define NET                                                                                        \
    "<interface type='network'><mac address='52:54:00:00:00:01'/><source "                         \
    "network='lan'/></interface>"
#define BRIDGE                                                                                     \
    "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source "                          \
    "bridge='no-such-br'/></interface>"
#define ISO                                                                                        \
    "<disk type='file' device='cdrom'><source file='/nonexistent/x.iso'/><target "                 \
    "dev='sda'/></disk>"
#define TPM "<tpm model='tpm-crb'><backend type='passthrough'/></tpm>"

static void what_is_missing_here_is_found(void **state)
{
    enum { PASS = 1, WARN, UNKNOWN, FAIL };
    static const struct {
        const char *devices, *network, *fail, *pool;
        int cpu;
        bool other; /* a machine of its UUID is here */
        bool lies;  /* something lies where its disk would be */
        const char *check;
        int want;
    } cases[] = {
        {"",     NULL,  NULL,           "",       1, false, false, "machine-type", PASS   },
        {"",     NULL,  "capabilities", "",       1, false, false, "machine-type", FAIL   },
        {"",     NULL,  NULL,           "",       1, false, false, "cpu",          PASS   },
        {"",     NULL,  NULL,           "",       0, false, false, "cpu",          FAIL   },
        {"",     NULL,  NULL,           "",       0, false, false, "cpu-start",    FAIL   },
        {"",     NULL,  "compare_cpu",  "",       1, false, false, "cpu",          UNKNOWN},
        {NET,    "lan", NULL,           "",       1, false, false, "networks",     PASS   },
        {NET,    "wan", NULL,           "",       1, false, false, "networks",     FAIL   },
        {BRIDGE, NULL,  NULL,           "",       1, false, false, "networks",     FAIL   },
        {"",     NULL,  NULL,           "",       1, false, false, "absent",       PASS   },
        {"",     NULL,  NULL,           "",       1, true,  false, "absent",       FAIL   },
        {"",     NULL,  "domains",      "",       1, false, false, "absent",       UNKNOWN},
        {"",     NULL,  NULL,           "",       1, false, false, "folder",       PASS   },
        {"",     NULL,  NULL,           "",       1, false, true,  "disk-absent",  FAIL   },
        {"",     NULL,  NULL,           "images", 1, false, false, "pool",         PASS   },
        {"",     NULL,  NULL,           "slow",   1, false, false, "pool",         FAIL   },
        {ISO,    NULL,  NULL,           "",       1, false, false, "media",        WARN   },
        {"",     NULL,  NULL,           "",       1, false, false, "media",        PASS   },
        {TPM,    NULL,  NULL,           "",       1, false, false, "tpm",          FAIL   },
        {"",     NULL,  NULL,           "",       1, false, false, "tpm",          PASS   },
        {"",     NULL,  NULL,           "",       1, false, false, "firmware",     PASS   },
        {"",     NULL,  NULL,           "",       1, false, false, "pages",        PASS   },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(mem_free) char *disk = disk_path();
        struct fake there = with(cases[i].devices, disk);
        struct fake here = with(cases[i].other ? "" : NULL, disk);
        assert_int_equal(file_write(disk, 0600, "x", 1), 0);
        Godwit__VmLook *l = look_at(&there, 0);
        if (!cases[i].lies)
            assert_int_equal(unlink(disk), 0);
        here.cpu = cases[i].cpu;
        here.fail = cases[i].fail;
        here.network = cases[i].network;
        if (cases[i].lies) { /* another one: by its inode */
            CLEANUP(mem_free) char *aside = xasprintf("%s.aside", disk);
            assert_int_equal(rename(disk, aside), 0);
            assert_int_equal(file_write(disk, 0600, "y", 1), 0);
            (void)unlink(aside);
        }
        Godwit__VmCheck *k = check_at(&here, l, cases[i].pool);
        if (worst(k, cases[i].check) != cases[i].want)
            print_message("case %zu: %s is %d\n", i, cases[i].check, worst(k, cases[i].check));
        assert_int_equal(worst(k, cases[i].check), cases[i].want);
        godwit__vm_check__free_unpacked(k, NULL);
        godwit__vm_look__free_unpacked(l, NULL);
        (void)unlink(disk);
        free(there.xml);
        free(here.xml);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_is_told_with_its_images),
        cmocka_unit_test(each_call_that_fails_fails_the_look),
        cmocka_unit_test(what_is_missing_here_is_found),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
