/* test_vm_inventory: what an inventory makes of machines, by a fake that can fail at each call, and
 * by libvirt's own test driver, which needs no daemon. */
#include <errno.h>
#include <string.h>

#include "agent/vm/virt_libvirt_priv.h"
#include "agent/vm/vm.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define UUID "1f0b7c54-6a3c-4b1e-9a51-0f8f6d1d2c11"
#define XML                                                                                        \
    "<domain type='kvm'><name>web1</name><uuid>" UUID "</uuid><devices><disk type='file'>"         \
    "<source file='/images/web1.qcow2'/><target dev='vda'/></disk></devices></domain>"

struct fake {
    struct virt base;
    const char *fail;  /* the call that does */
    unsigned machines; /* that it has */
    const char *xml;
};

static int fails(struct virt *v, const char *call, struct fault *reterr)
{
    const struct fake *f = (const struct fake *)v;
    if (!f->fail || strcmp(f->fail, call) != 0)
        return 0;
    return reterr ? fault_set(reterr, FAULT_STOP_JOB, EIO, "%s failed", call) : -EIO;
}

static int fake_host(struct virt *v, Godwit__VmHost *ret, struct fault *reterr)
{
    ret->hostname = xstrdup("kvm1");
    return fails(v, "host", reterr);
}

static int fake_domains(struct virt *v, int (*take)(void *arg, struct virt_domain *d), void *arg,
                        struct fault *reterr)
{
    const struct fake *f = (const struct fake *)v;
    int rc = fails(v, "domains", reterr);
    for (unsigned i = 0; rc == 0 && i < f->machines; i++) {
        struct virt_domain d = {.name = xstrdup("web1"),
                                .uuid = xstrdup(UUID),
                                .xml = xstrdup(f->xml),
                                .state = GODWIT__VM_DOMAIN__STATE__RUNNING,
                                .snapshots = 2,
                                .persistent = true};
        rc = take(arg, &d);
        virt_domain_done(&d);
    }
    return rc;
}

static int fake_disk_size(struct virt *v, const char *uuid, const char *target,
                          uint64_t *retvirtual, uint64_t *retreal)
{
    assert_string_equal(uuid, UUID);
    assert_string_equal(target, "vda");
    *retvirtual = 4 << 20;
    *retreal = 1 << 20;
    return fails(v, "disk_size", NULL);
}

static void fake_close(struct virt *v)
{
    (void)v;
}

static const struct virt_ops fake_ops = {
    .host = fake_host, .domains = fake_domains, .disk_size = fake_disk_size, .close = fake_close};

static void a_machine_is_what_its_definition_and_its_host_say(void **state)
{
    struct fake f = {.base = {&fake_ops}, .machines = 1, .xml = XML};
    struct fault why = {.err = 0};
    (void)state;
    CLEANUP(vm_inventory_free) Godwit__VmInventory *i = NULL;
    assert_int_equal(vm_look(&f.base, &i, &why), 0);
    assert_string_equal(i->host->hostname, "kvm1");
    assert_int_equal(i->n_domains, 1);
    assert_int_equal(i->domains[0]->state, GODWIT__VM_DOMAIN__STATE__RUNNING);
    assert_int_equal(i->domains[0]->snapshots, 2);
    assert_true(i->domains[0]->disks[0]->virtual_bytes == 4 << 20);
    assert_string_equal(i->domains[0]->trouble, "");
    assert_false(i->more);
}

static void each_call_that_fails_costs_what_it_asked_for(void **state)
{
    static const struct {
        const char *call;
        int rc;
    } cases[] = {
        {"host",      -EIO},
        {"domains",   -EIO},
        {"disk_size", 0   }, /* that disk's size alone */
    };
    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
        struct fake f = {.base = {&fake_ops}, .fail = cases[k].call, .machines = 1, .xml = XML};
        struct fault why = {.err = 0};
        CLEANUP(vm_inventory_free) Godwit__VmInventory *i = NULL;
        assert_int_equal(vm_look(&f.base, &i, &why), cases[k].rc);
        assert_true(cases[k].rc == 0 ? i != NULL : i == NULL && *why.text);
    }
}

static void a_machine_that_cannot_be_read_is_listed_with_its_trouble(void **state)
{
    static const char *const xmls[] = {NULL, "<domain", "<pool/>"};
    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(xmls); k++) {
        struct fake f = {.base = {&fake_ops}, .machines = 1, .xml = xmls[k]};
        struct fault why = {.err = 0};
        CLEANUP(vm_inventory_free) Godwit__VmInventory *i = NULL;
        assert_int_equal(vm_look(&f.base, &i, &why), 0);
        assert_int_equal(i->n_domains, 1);
        assert_string_equal(i->domains[0]->name, "web1");
        assert_true(*i->domains[0]->trouble);
    }
}

static void an_answer_fits_into_a_message(void **state)
{
    struct fake f = {.base = {&fake_ops}, .machines = VM_DOMAINS_MAX + 1, .xml = XML};
    struct fault why = {.err = 0};
    (void)state;
    CLEANUP(vm_inventory_free) Godwit__VmInventory *i = NULL;
    assert_int_equal(vm_look(&f.base, &i, &why), 0);
    assert_true(i->more && i->n_domains == VM_DOMAINS_MAX);
    assert_true(godwit__vm_inventory__get_packed_size(i) <= VM_ANSWER_MAX);
}

static void libvirt_itself_is_understood(void **state)
{
    struct fault why = {.err = 0};
    (void)state;
    CLEANUP(virt_close) struct virt *v = NULL;
    CLEANUP(vm_inventory_free) Godwit__VmInventory *i = NULL;
    assert_int_equal(virt_open(&v, "test:///default", false, &why), 0);
    assert_int_equal(vm_look(v, &i, &why), 0);
    assert_int_equal(i->n_domains, 1);
    assert_string_equal(i->domains[0]->name, "test");
    assert_string_equal(i->domains[0]->hypervisor, "test");
    assert_int_equal(i->domains[0]->state, GODWIT__VM_DOMAIN__STATE__RUNNING);
    assert_true(i->domains[0]->memory_bytes == 8ULL << 30);
    assert_int_equal(i->host->n_pools, 1);
    assert_string_equal(i->host->pools[0]->name, "default-pool");
    assert_string_equal(i->host->pools[0]->kind, "dir");
    assert_string_equal(i->host->pools[0]->path, "/default-pool");
    assert_string_equal(i->host->networks[0]->forward, "nat");
    assert_true(i->host->libvirt_version >= 9000000);
}

static void machine_types_are_those_of_the_hosts_own_kind(void **state)
{
#define MACHINE(name) "<machine maxCpus='255'>" name "</machine>"
    static const struct {
        const char *xml;
        size_t n;
    } cases[] = {
        {"<arch name='arm'>" MACHINE("virt") "</arch><arch name='x86_64'>" MACHINE("pc-q35-10.0")
             MACHINE("pc") "<domain type='qemu'>" MACHINE(
                 "pc") "</domain></arch><arch name='s390x'>" MACHINE("s390-ccw") "</arch>",
         2                                                                                            },
        {"<arch name='x86_64'>" MACHINE("pc-q35-10.0") MACHINE("") "<machine>pc</arch>",             2},
        {"<arch name='x86_64'><machine",                                                             0},
        {"<arch name='x86_64'><machine</arch>",                                                      0},
        {"<arch name='x86_64'></arch>" MACHINE("pc"),                                                0},
        {"",                                                                                         0},
        {NULL,                                                                                       0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        Godwit__VmHost *h = xcalloc(1, sizeof *h);
        godwit__vm_host__init(h);
        h->arch = xstrdup("x86_64");
        real_take_types(cases[i].xml, h);
        assert_int_equal(h->n_machine_types, cases[i].n);
        if (cases[i].n > 1) {
            assert_string_equal(h->machine_types[0], "pc-q35-10.0");
            assert_string_equal(h->machine_types[1], "pc");
        }
        godwit__vm_host__free_unpacked(h, NULL);
    }
}

static void where_nothing_answers_the_reason_is_told(void **state)
{
    struct fault why = {.err = 0};
    struct virt *v = NULL;
    (void)state;
    assert_int_equal(
        virt_open(&v, "qemu+unix:///system?socket=/nonexistent/libvirt-sock", false, &why),
        -ECONNREFUSED);
    assert_non_null(strstr(why.text, "libvirt does not answer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_is_what_its_definition_and_its_host_say),
        cmocka_unit_test(each_call_that_fails_costs_what_it_asked_for),
        cmocka_unit_test(a_machine_that_cannot_be_read_is_listed_with_its_trouble),
        cmocka_unit_test(an_answer_fits_into_a_message),
        cmocka_unit_test(libvirt_itself_is_understood),
        cmocka_unit_test(machine_types_are_those_of_the_hosts_own_kind),
        cmocka_unit_test(where_nothing_answers_the_reason_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
