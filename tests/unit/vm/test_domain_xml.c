/* test_domain_xml: what a machine's definition says, and what is none. */
#include <errno.h>
#include <string.h>

#include "agent/vm/domain_xml.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define HEAD "<domain type='kvm'><name>web1</name><uuid>1f0b7c54-6a3c-4b1e-9a51-0f8f6d1d2c11</uuid>"

static Godwit__VmDomain *read_it(const char *xml)
{
    Godwit__VmDomain *d = NULL;
    assert_int_equal(domain_xml_read(xml, strlen(xml), &d), 0);
    return d;
}

static void the_whole_of_a_machine_is_read(void **state)
{
    (void)state;
    CLEANUP(domain_free)
    Godwit__VmDomain *d = read_it(
        HEAD "<title>The web</title><memory unit='MiB'>512</memory>"
             "<currentMemory unit='KiB'>262144</currentMemory><memoryBacking><hugepages/>"
             "</memoryBacking><vcpu cpuset='0-1'>2</vcpu>"
             "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
             "<loader type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>"
             "<nvram>/var/lib/libvirt/qemu/nvram/web1.fd</nvram></os>"
             "<cpu mode='custom'><model>qemu64</model></cpu>"
             "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>"
             "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>"
             "<source file='/images/web1.qcow2'/><backingStore type='file'><format type='qcow2'/>"
             "<source file='/images/base2.qcow2'/><backingStore type='file'>"
             "<source file='/images/base1.raw'/></backingStore></backingStore>"
             "<target dev='vda' bus='virtio'/></disk>"
             "<disk type='volume' device='disk'><source pool='fast' volume='data'/>"
             "<target dev='vdb'/><shareable/></disk>"
             "<disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>"
             "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/>"
             "<model type='virtio'/><mtu size='9000'/></interface>"
             "<interface type='bridge'><source bridge='br1'/>"
             "<mtu size='99999999999999999999999999'/></interface>"
             "<hostdev type='pci'><source><address domain='0x0000' bus='0x01' slot='0x00' "
             "function='0x1'/></source></hostdev>"
             "<filesystem type='mount'><source dir='/srv/shared'/><target dir='data'/></filesystem>"
             "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
             "</devices></domain>");
    assert_string_equal(d->name, "web1");
    assert_string_equal(d->title, "The web");
    assert_string_equal(d->hypervisor, "kvm");
    assert_string_equal(d->machine_type, "pc-q35-7.2");
    assert_string_equal(d->firmware, "uefi");
    assert_string_equal(d->nvram, "/var/lib/libvirt/qemu/nvram/web1.fd");
    assert_string_equal(d->tpm, "emulator");
    assert_string_equal(d->cpu_mode, "custom");
    assert_string_equal(d->cpu_model, "qemu64");
    assert_true(d->memory_bytes == 512ULL << 20 && d->memory_now_bytes == 256ULL << 20);
    assert_true(d->huge_pages && d->pinned && d->cpus == 2 && !d->more);
    assert_int_equal(d->n_disks, 3);
    assert_int_equal(d->disks[0]->storage, GODWIT__VM_DISK__STORAGE__FILE);
    assert_string_equal(d->disks[0]->source, "/images/web1.qcow2");
    assert_string_equal(d->disks[0]->cache, "none");
    assert_int_equal(d->disks[0]->n_chain, 2);
    assert_string_equal(d->disks[0]->chain[0], "/images/base2.qcow2");
    assert_string_equal(d->disks[0]->chain[1], "/images/base1.raw");
    assert_string_equal(d->disks[1]->source, "fast/data");
    assert_int_equal(d->disks[1]->storage, GODWIT__VM_DISK__STORAGE__VOLUME);
    assert_true(d->disks[1]->shareable);
    assert_int_equal(d->disks[2]->device, GODWIT__VM_DISK__DEVICE__CDROM);
    assert_string_equal(d->disks[2]->source, "");
    assert_true(d->disks[2]->read_only);
    assert_string_equal(d->interfaces[0]->source, "br0");
    assert_int_equal(d->interfaces[0]->mtu, 9000);
    assert_true(d->interfaces[1]->mtu == UINT32_MAX);
    assert_string_equal(d->host_devices[0], "pci 0000:01:00.1");
    assert_string_equal(d->file_systems[0], "/srv/shared as data");
}

static void a_small_machine_is_bios_and_has_nothing(void **state)
{
    (void)state;
    CLEANUP(domain_free) Godwit__VmDomain *d = read_it(HEAD "<memory>1024</memory></domain>");
    assert_string_equal(d->firmware, "bios");
    assert_true(d->memory_bytes == 1024ULL << 10); /* KiB where nobody says */
    assert_int_equal(d->n_disks + d->n_interfaces + d->n_host_devices, 0);
    assert_string_equal(d->nvram, "");
}

static void memory_of_a_snapshot_in_a_file_is_found(void **state)
{
    static const struct {
        const char *xml, *file;
    } cases[] = {
        {"<domainsnapshot><memory snapshot='external' file='/s/web.mem'/></domainsnapshot>",
         "/s/web.mem"                                                                            },
        {"<domainsnapshot><memory snapshot='internal'/></domainsnapshot>",                   NULL},
        {"<domainsnapshot><memory snapshot='no'/></domainsnapshot>",                         NULL},
        {"<domain><memory snapshot='external' file='/s/web.mem'/></domain>",                 NULL},
        {"<domainsnapshot",                                                                  NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(mem_free)
        char *file = domain_xml_snapshot_memory(cases[i].xml, strlen(cases[i].xml));
        assert_int_equal(file != NULL, cases[i].file != NULL);
        if (cases[i].file)
            assert_string_equal(file, cases[i].file);
    }
}

static void what_is_no_definition_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "<domain",
        "<pool type='dir'><name>x</name></pool>",
        "<domain><name>x</name></domain>", /* no uuid */
        "<domain><uuid>1</uuid></domain>",
        "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" HEAD
        "<title>&x;</title></domain>",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Godwit__VmDomain *d = NULL;
        assert_int_equal(domain_xml_read(bad[i], strlen(bad[i]), &d), -EBADMSG);
        assert_null(d);
    }
}

static void lists_end_and_say_so(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *xml = xstrdup(HEAD "<devices>");
    for (int i = 0; i < DOMAIN_DISKS_MAX + 1; i++) {
        char *more = xasprintf("%s<disk type='file'><target dev='vd'/></disk>", xml);
        free(xml);
        xml = more;
    }
    CLEANUP(mem_free) char *whole = xasprintf("%s</devices></domain>", xml);
    CLEANUP(domain_free) Godwit__VmDomain *d = read_it(whole);
    assert_int_equal(d->n_disks, DOMAIN_DISKS_MAX);
    assert_true(d->more);
}

static void where_a_tpm_keeps_its_state_is_read(void **state)
{
#define TPM(type, more)                                                                            \
    HEAD "<devices><tpm><backend type='" type "'>" more "</backend></tpm></devices></domain>"
    static const char *const cases[][2] = {
        {TPM("emulator",                         ""),                            ""},
        {TPM("emulator",                                      "<source type='dir' path='/shared'/>"),                                                       "/shared"},
        {TPM("external",                             "<source type='unix' path='/sock'/>"),     ""},
        {"<domainsnapshot/>",""},
        {"<domain",                    ""                                                                           },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(mem_free) char *path = domain_xml_tpm_place(cases[i][0], strlen(cases[i][0]));
        assert_string_equal(path, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_a_tpm_keeps_its_state_is_read),
        cmocka_unit_test(the_whole_of_a_machine_is_read),
        cmocka_unit_test(a_small_machine_is_bios_and_has_nothing),
        cmocka_unit_test(memory_of_a_snapshot_in_a_file_is_found),
        cmocka_unit_test(what_is_no_definition_is_refused),
        cmocka_unit_test(lists_end_and_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
