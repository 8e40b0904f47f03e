/* test_vm_look: what is told of one machine, and whether another host could take it: by a fake that
 * can fail at each call. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/vm.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/vm/fake_virt.h"

#define UUID "1f0b7c54-6a3c-4b1e-9a51-0f8f6d1d2c11"
#define XML                                                                                        \
    "<domain type='qemu'><name>web1</name><uuid>" UUID "</uuid><os><type arch='x86_64' "           \
    "machine='pc'>hvm</type></os><cpu mode='custom'><model>qemu64</model></cpu><devices>%s"        \
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/>"        \
    "<target dev='vda'/></disk></devices></domain>"

static char folder[] = "/tmp/gw-look-XXXXXX";

/* A host with the machine, or without it. */
static struct fake_host with(const char *devices, const char *disk)
{
    struct fake_host h = {.pool = folder};
    CLEANUP(mem_free) char *xml = devices ? xasprintf(XML, devices, disk) : NULL;
    if (!xml)
        return h;
    struct fake_machine *m = fake_define(&h, UUID, xml);
    m->is = VIRT_RUNNING;
    (void)snprintf(m->name, sizeof m->name, "web1");
    return h;
}

static char *disk_path(void)
{
    return xasprintf("%s/web1.qcow2", folder);
}

static Godwit__VmLook *look_at(struct fake_host *h, int want)
{
    struct fault why = {.err = 0};
    Godwit__VmLookOrder o = GODWIT__VM_LOOK_ORDER__INIT;
    Godwit__VmLook *l = xcalloc(1, sizeof *l);
    CLEANUP(virt_close) struct virt *v = fake_virt(h);
    godwit__vm_look__init(l);
    o.machine = (char *)(uintptr_t) "web1";
    assert_int_equal(vm_look_at(v, &o, l, &why), want);
    return l;
}

static void a_machine_is_told_with_its_images(void **state)
{
    CLEANUP(mem_free) char *disk = disk_path();
    struct fake_host f = with("", disk);
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
    fake_done(&f);
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
        struct fake_host f = with("", "/nonexistent");
        f.fail_named = cases[i].call;
        godwit__vm_look__free_unpacked(look_at(&f, cases[i].rc), NULL);
        fake_done(&f);
    }
    struct fake_host none = with(NULL, "");
    Godwit__VmLook *l = look_at(&none, 0);
    assert_null(l->machine);
    assert_int_equal(l->sight->is, GODWIT__VM_MOVE_SIGHT__IS__ABSENT);
    godwit__vm_look__free_unpacked(l, NULL);
}

/* A machine that hangs answers nothing about itself. */
static void where_it_is_is_told_alone(void **state)
{
    static const char *const asked[] = {"find", "kept", "now"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
        struct fault why = {.err = 0};
        struct fake_host f = with("", "/nonexistent");
        Godwit__VmLookOrder o = GODWIT__VM_LOOK_ORDER__INIT;
        Godwit__VmLook *l = xcalloc(1, sizeof *l);
        CLEANUP(virt_close) struct virt *v = fake_virt(&f);
        godwit__vm_look__init(l);
        f.fail_named = asked[i];
        o.machine = (char *)(uintptr_t) "web1";
        o.sight_only = true;
        assert_int_equal(vm_look_at(v, &o, l, &why), 0);
        assert_int_equal(l->sight->is, GODWIT__VM_MOVE_SIGHT__IS__RUNNING);
        assert_null(l->machine);
        godwit__vm_look__free_unpacked(l, NULL);
        fake_done(&f);
    }
}

/* A host that refuses is on, and cannot be gone to; one where somebody listens can. */
static void other_hosts_are_tried(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    char endpoint[64], *endpoints[] = {endpoint};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", ntohs(at.sin_port));
    for (int listens = 0; listens < 2; listens++) {
        Godwit__VmLookOrder o = GODWIT__VM_LOOK_ORDER__INIT;
        Godwit__VmLook *l = xcalloc(1, sizeof *l);
        godwit__vm_look__init(l);
        o.n_reach = 1;
        o.reach = endpoints;
        assert_int_equal(listens ? listen(fd, 1) : 0, 0);
        vm_reach(&o, -1, l);
        assert_int_equal(l->n_reaches, 1);
        assert_string_equal(l->reaches[0]->endpoint, endpoint);
        assert_true(l->reaches[0]->on);
        assert_string_equal(l->reaches[0]->why, listens ? "" : "Connection refused");
        godwit__vm_look__free_unpacked(l, NULL);
    }
    (void)close(fd);
}

/* Where nothing takes packets the kernel refuses them, which says that they arrived; who takes them
 * says nothing. That large ones are swallowed is tests/scenario/vmbad.sh. */
static void packets_are_tried_for_a_plan_alone(void **state)
{
    static const struct {
        const char *address;
        bool takes, sight_only;
        int want;
    } cases[] = {
        {"127.0.0.1", false, false, GODWIT__VM_REACH__PATH__WHOLE },
        {"::1",       false, false, GODWIT__VM_REACH__PATH__WHOLE },
        {"127.0.0.1", true,  false, GODWIT__VM_REACH__PATH__SILENT},
        {"127.0.0.1", false, true,  0                             },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool v6 = strchr(cases[i].address, ':') != NULL;
        struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        struct sockaddr_in *old = (struct sockaddr_in *)&at;
        socklen_t len = v6 ? sizeof at : sizeof *old;
        char endpoint[64], *endpoints[] = {endpoint};
        Godwit__VmLookOrder o = GODWIT__VM_LOOK_ORDER__INIT;
        Godwit__VmLook *l = xcalloc(1, sizeof *l);
        godwit__vm_look__init(l);
        if (!v6)
            *old = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int udp = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (v6 && bind(fd, (struct sockaddr *)&at, len) < 0)
            len = 0; /* none here */
        else if (!v6)
            assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
        if (len > 0) {
            assert_int_equal(listen(fd, 1), 0);
            assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
            if (cases[i].takes)
                assert_int_equal(bind(udp, (struct sockaddr *)&at, len), 0);
            (void)snprintf(endpoint, sizeof endpoint, v6 ? "[%s]:%u" : "%s:%u", cases[i].address,
                           ntohs(v6 ? at.sin6_port : old->sin_port));
            o.n_reach = 1;
            o.reach = endpoints;
            o.sight_only = cases[i].sight_only;
            vm_reach(&o, -1, l);
            assert_string_equal(l->reaches[0]->why, "");
            assert_int_equal(l->reaches[0]->path, cases[i].want);
            assert_int_equal(l->reaches[0]->packet > 1000, cases[i].want != 0);
        }
        (void)close(udp);
        (void)close(fd);
        godwit__vm_look__free_unpacked(l, NULL);
    }
}

/* ── may it come here? ── */

static Godwit__VmCheck *check_at(struct fake_host *here, Godwit__VmLook *l, const char *pool)
{
    struct fault why = {.err = 0};
    Godwit__VmCheckOrder o = GODWIT__VM_CHECK_ORDER__INIT;
    Godwit__VmCheck *k = xcalloc(1, sizeof *k);
    CLEANUP(virt_close) struct virt *v = fake_virt(here);
    godwit__vm_check__init(k);
    o.machine = l->machine;
    o.pool = (char *)(uintptr_t)pool;
    assert_int_equal(vm_check(v, &o, k, &why), 0);
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
        struct fake_host there = with(cases[i].devices, disk);
        struct fake_host here = with(cases[i].other ? "" : NULL, disk);
        assert_int_equal(file_write(disk, 0600, "x", 1), 0);
        Godwit__VmLook *l = look_at(&there, 0);
        if (!cases[i].lies)
            assert_int_equal(unlink(disk), 0);
        here.poor_cpu = !cases[i].cpu;
        here.fail_named = cases[i].fail;
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
        fake_done(&there);
        fake_done(&here);
    }
}

/* "lo" carries 65,536 bytes everywhere. given: to its interface; carried: at the source. */
static void packets_have_to_fit(void **state)
{
    enum { PASS = 1, WARN, UNKNOWN, FAIL };
    static const struct {
        const char *kind, *source;
        uint32_t given, carried;
        int want;
    } cases[] = {
        {"direct",  "lo",         0,          0,     PASS},
        {"direct",  "lo",         0,          65536, PASS},
        {"direct",  "lo",         0,          65537, FAIL},
        {"direct",  "lo",         1500,       65537, PASS},
        {"direct",  "lo",         UINT32_MAX, 1500,  FAIL},
        {"network", "lan",        0,          65537, FAIL},
        {"direct",  "no-such",    0,          1500,  WARN},
        {"bridge",  "../net/lo",  0,          1500,  WARN},
        {"network", "nobody-has", 0,          1500,  WARN},
        {"user",    "",           0,          0,     PASS},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(mem_free)
        char *net =
            xasprintf("<interface type='%s'><mac address='52:54:00:00:00:01'/><source "
                      "%s='%s'/><mtu size='%u'/></interface>",
                      cases[i].kind, strcmp(cases[i].kind, "direct") == 0 ? "dev" : cases[i].kind,
                      cases[i].source, cases[i].given);
        struct fake_host there = with(net, "/nonexistent"), here = with(NULL, "");
        here.network = "lan";
        here.bridge = "lo";
        Godwit__VmLook *l = look_at(&there, 0);
        assert_int_equal(l->machine->domain->interfaces[0]->link_mtu,
                         strcmp(cases[i].source, "lo") == 0 ? 65536 : 0);
        l->machine->domain->interfaces[0]->link_mtu = cases[i].carried;
        Godwit__VmCheck *k = check_at(&here, l, "");
        if (worst(k, "mtu") != cases[i].want)
            print_message("case %zu: %d\n", i, worst(k, "mtu"));
        assert_int_equal(worst(k, "mtu"), cases[i].want);
        godwit__vm_check__free_unpacked(k, NULL);
        godwit__vm_look__free_unpacked(l, NULL);
        fake_done(&there);
        fake_done(&here);
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
        cmocka_unit_test(where_it_is_is_told_alone),
        cmocka_unit_test(other_hosts_are_tried),
        cmocka_unit_test(packets_are_tried_for_a_plan_alone),
        cmocka_unit_test(what_is_missing_here_is_found),
        cmocka_unit_test(packets_have_to_fit),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
