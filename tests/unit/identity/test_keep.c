/* test_keep: files of networkd, ifupdown, NetworkManager and netplan with other addresses; which
 * manager has an interface. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/keep.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "tests/unit/test.h"

typedef int (*edit_fn)(const char *text, const struct net_want *w, char **ret, struct fault *why);

static const struct {
    edit_fn edit;
    const char *add, *drop, *route, *before, *after; /* after NULL: refused */
} cases[] = {
    {keep_networkd, "192.0.2.7/24",   "192.0.2.8/24", NULL,
     "[Match]\nName=eth0\n[Network]\nAddress = 192.0.2.8/24 \nGateway=192.0.2.1\nDNS=192.0.2.3\n",                    "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.7/24\nGateway=192.0.2.1\nDNS=192.0.2.3\n"},
    {keep_networkd, "192.0.2.7/24",   "192.0.2.8/24", "default via 192.0.2.254",
     "[Network]\nAddress=192.0.2.8/24\nGateway=192.0.2.1\nGateway=fe80::1\n",                                         "[Network]\nAddress=192.0.2.7/24\nGateway=192.0.2.254\nGateway=fe80::1\n"                },
    {keep_networkd, "192.0.2.7/24",   "192.0.2.8/24", NULL,
     "[Network]\nDHCP=no\n[Address]\nAddress=192.0.2.8/24\nLabel=x\n[Route]\nGateway=192.0.2.1\n",                    "[Network]\nAddress=192.0.2.7/24\nDHCP=no\n[Route]\nGateway=192.0.2.1\n"                 },
    {keep_networkd, "192.0.2.7/24",   "192.0.2.8/24", "default via 192.0.2.1",
     "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n",                                                                    "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.7/24\nGateway=192.0.2.1\nDHCP=no\n"      },
    {keep_networkd, "192.0.2.7/24",   "192.0.2.8/24", NULL,                      "[Network]\nAddress=192.0.2.7/24\n",
     "[Network]\nAddress=192.0.2.7/24\n"                                                                                                                                                                       },
    {keep_networkd, "2001:db8::7/64", NULL,           NULL,                      "[Match]\nName=eth0\n",
     "[Match]\nName=eth0\n[Network]\nAddress=2001:db8::7/64\n"                                                                                                                                                 },

    {keep_ifupdown, "192.0.2.7/24",   "192.0.2.8/24", NULL,
     "auto eth0\niface eth0 inet static\n\taddress 192.0.2.8/24\n\tgateway 192.0.2.1\n\tup true\n"
     "auto eth1\niface eth1 inet static\n address 192.0.2.8/24\n",                                                    "auto eth0\niface eth0 inet static\n    address 192.0.2.7/24\n\tgateway 192.0.2.1\n\tup true\n"
     "auto eth1\niface eth1 inet static\n address 192.0.2.8/24\n"                                                                            },
    {keep_ifupdown, "192.0.2.7/24",   "192.0.2.8/24", "default via 192.0.2.254",
     "iface eth0 inet static\n address 192.0.2.8\n netmask 255.255.255.0\n gateway 192.0.2.1\n",                      "iface eth0 inet static\n    address 192.0.2.7/24\n    gateway 192.0.2.254\n"            },
    {keep_ifupdown, "192.0.2.7/24",   "192.0.2.8/24", "default via 192.0.2.1",
     "allow-hotplug eth0\niface eth0 inet dhcp\n",                                                                    "allow-hotplug eth0\niface eth0 inet static\n    address 192.0.2.7/24\n    gateway "
     "192.0.2.1\n"                                                                                                                                           },
    {keep_ifupdown, NULL,             "192.0.2.8/24", NULL,
     "iface eth0 inet static\n address 192.0.2.9/24\niface eth0 inet static\n address "
     "192.0.2.8/24\n",                                                                                                "iface eth0 inet static\n address 192.0.2.9/24\n"                                        },
    {keep_ifupdown, NULL,             "192.0.2.8/24", NULL,
     "iface eth0 inet static\n address 192.0.2.8/24\n post-up /usr/local/bin/x\n",                                    NULL                                                                                     },
    {keep_ifupdown, "2001:db8::7/64", NULL,           NULL,                      "iface eth0 inet dhcp\n",
     "iface eth0 inet dhcp\niface eth0 inet6 static\n    address 2001:db8::7/64\n"                                                                                                                             },
};

static struct net_want want_of(size_t i, char **lists)
{
    lists[0] = (char *)(uintptr_t)cases[i].add;
    lists[1] = (char *)(uintptr_t)cases[i].drop;
    lists[2] = (char *)(uintptr_t)cases[i].route;
    return (struct net_want){.name = "eth0",
                             .mac = "",
                             .add = &lists[0],
                             .nadd = lists[0] != NULL,
                             .drop = &lists[1],
                             .ndrop = lists[1] != NULL,
                             .routes = &lists[2],
                             .nroutes = lists[2] != NULL};
}

static void files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *lists[3];
        struct net_want w = want_of(i, lists);
        struct fault why = {.err = 0};
        CLEANUP(mem_free) char *once = NULL;
        CLEANUP(mem_free) char *twice = NULL;
        int rc = cases[i].edit(cases[i].before, &w, &once, &why);
        if (!cases[i].after) {
            assert_int_equal(rc, -EOPNOTSUPP);
            continue;
        }
        if (rc < 0)
            fail_msg("case %zu: %s", i, why.text);
        assert_string_equal(once, cases[i].after);
        assert_int_equal(cases[i].edit(once, &w, &twice, &why), 0);
        assert_string_equal(twice, once); /* again changes nothing */
    }
}

/* Whatever has moved. */
static void ways_are_there_after_a_restart(void **state)
{
    static const char before[] = "iface eth0 inet static\n address 192.0.2.8/24\n";
    char four[] = "192.0.2.7/24", more[] = "192.0.2.9/24", six[] = "2001:db8::7/64",
         gate[] = "default via 192.0.2.1", way[] = "198.51.100.0/24 via 192.0.2.2 metric 9";
    char *add[] = {four, more, six}, *routes[] = {gate, way};
    const struct net_want w = {.name = "eth0",
                               .mac = "",
                               .add = add,
                               .nadd = ARRAY_SIZE(add),
                               .routes = routes,
                               .nroutes = 2};
    CLEANUP(mem_free) char *once = NULL;
    CLEANUP(mem_free) char *twice = NULL;
    (void)state;
    assert_int_equal(keep_ifupdown(before, &w, &once, NULL), 0);
    assert_string_equal(once, "iface eth0 inet static\n address 192.0.2.8/24\n"
                              "iface eth0 inet static\n    address 192.0.2.7/24\n"
                              "    gateway 192.0.2.1\n"
                              "    up ip route replace 198.51.100.0/24 via 192.0.2.2 dev eth0\n"
                              "iface eth0 inet static\n    address 192.0.2.9/24\n"
                              "iface eth0 inet6 static\n    address 2001:db8::7/64\n");
    assert_int_equal(keep_ifupdown(once, &w, &twice, NULL), 0);
    assert_string_equal(twice, once);
    CLEANUP(mem_free) char *unit = NULL;
    CLEANUP(mem_free) char *again = NULL;
    assert_int_equal(
        keep_networkd("[Network]\nAddress=192.0.2.8/24\n[Route]\nDestination=10.0.0.0/8\n"
                      "Gateway=192.0.2.2\n",
                      &w, &unit, NULL),
        0);
    assert_string_equal(unit, "[Network]\nAddress=192.0.2.7/24\nAddress=192.0.2.9/24\n"
                              "Address=2001:db8::7/64\nGateway=192.0.2.1\nAddress=192.0.2.8/24\n"
                              "[Route]\nDestination=10.0.0.0/8\nGateway=192.0.2.2\n"
                              "[Route]\nDestination=198.51.100.0/24\nGateway=192.0.2.2\n");
    assert_int_equal(keep_networkd(unit, &w, &again, NULL), 0);
    assert_string_equal(again, unit);
}

/* Who does not ask any more has what the answer was. */
static void names_outlive_the_lease(void **state)
{
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"[Network]\nDHCP=yes\n",
         "[Network]\nAddress=192.0.2.77/24\nGateway=192.0.2.1\nDHCP=no\nDNS=192.0.2.3 "
         "2001:db8::3\nDomains=lab.test\n"},
        {"[Network]\nDHCP=ipv4\nDNS=192.0.2.9\n",
         "[Network]\nAddress=192.0.2.77/24\nGateway=192.0.2.1\nDHCP=no\nDomains=lab.test\n"
         "DNS=192.0.2.9\n"                },
    };
    char keeps[] = "192.0.2.77/24", had[] = "192.0.2.7/24", gate[] = "default via 192.0.2.1";
    char *add[] = {keeps}, *drop[] = {had}, *routes[] = {gate};
    const struct net_want w = {.name = "eth0",
                               .mac = "",
                               .add = add,
                               .nadd = 1,
                               .drop = drop,
                               .ndrop = 1,
                               .routes = routes,
                               .nroutes = 1,
                               .dns = "192.0.2.3 2001:db8::3",
                               .domain = "lab.test"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(mem_free) char *once = NULL;
        CLEANUP(mem_free) char *twice = NULL;
        assert_int_equal(keep_networkd(rows[i].before, &w, &once, NULL), 0);
        assert_string_equal(once, rows[i].after);
        assert_int_equal(keep_networkd(once, &w, &twice, NULL), 0);
        assert_string_equal(twice, once);
    }
}

/* NAME.before becomes NAME.after by what NAME.want says; without an .after it is refused. */
static char *golden(const char *name, const char *end)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s%s", KEEP_FILES, name, end);
    char *text = NULL;
    size_t len = 0;
    return file_read(path, KEEP_FILE_MAX, &text, &len) < 0 ? NULL : text;
}

struct wish {
    char *add[8], *drop[8], *routes[8];
    struct net_want w;
};

static void read_wish(char *text, struct wish *ret)
{
    char *save = NULL;
    *ret = (struct wish){
        .w = {.mac = "", .name = "eth0"}
    };
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (strncmp(l, "add ", 4) == 0)
            ret->add[ret->w.nadd++] = l + 4;
        else if (strncmp(l, "drop ", 5) == 0)
            ret->drop[ret->w.ndrop++] = l + 5;
        else
            ret->routes[ret->w.nroutes++] = l + 6;
    }
    ret->w.add = ret->add;
    ret->w.drop = ret->drop;
    ret->w.routes = ret->routes;
}

static void check_golden(const char *name)
{
    edit_fn edit = strncmp(name, "nm-", 3) == 0 ? keep_networkmanager : keep_netplan;
    CLEANUP(mem_free) char *before = golden(name, ".before");
    CLEANUP(mem_free) char *want = golden(name, ".want");
    CLEANUP(mem_free) char *after = golden(name, ".after");
    CLEANUP(mem_free) char *once = NULL;
    CLEANUP(mem_free) char *twice = NULL;
    struct fault why = {.err = 0};
    struct wish wish;
    assert_non_null(before);
    assert_non_null(want);
    read_wish(want, &wish);
    int rc = edit(before, &wish.w, &once, &why);
    if (!after) {
        assert_int_equal(rc, -EOPNOTSUPP);
        return;
    }
    if (rc < 0)
        fail_msg("%s: %s", name, why.text);
    if (strcmp(once, after) != 0)
        fail_msg("%s is:\n%s", name, once);
    if (edit(once, &wish.w, &twice, &why) < 0)
        fail_msg("%s again: %s", name, why.text);
    assert_string_equal(twice, once);
}

static void golden_files(void **state)
{
    (void)state;
    size_t n = 0;
    DIR *d = opendir(KEEP_FILES);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        const char *end = strstr(e->d_name, ".before");
        if (!end)
            continue;
        CLEANUP(mem_free) char *name = xmemdup(e->d_name, (size_t)(end - e->d_name));
        check_golden(name);
        n++;
    }
    (void)closedir(d);
    assert_true(n >= 19);
}

static char root[] = "/tmp/identity-keep-XXXXXX";

static void put(const char *name, const char *text)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", root, name);
    CLEANUP(mem_free) char *folder = xmemdup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(path, 0600, text, strlen(text)), 0);
}

static void assert_manager(enum keep_manager want, const char *file)
{
    const struct site v = {.root = root};
    CLEANUP(mem_free) char *found = NULL;
    assert_int_equal(keep_find(&v, "eth0", &found), want);
    assert_string_equal(found, file);
}

static void managers(void **state)
{
    static const char yaml[] = "network:\n  ethernets:\n    eth0: {dhcp4: true}\n";
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_manager(KEEP_NONE, "");
    put("sys/class/net/eth0/ifindex", "2\n");
    put("sys/class/net/eth0/address", "52:54:00:00:00:01\n");
    put("run/NetworkManager/devices/2", "[device]\nmanaged=true\nconnection-uuid=u-1\n");
    assert_manager(KEEP_NETWORKMANAGER, "");
    put("etc/netplan/50-a.yaml", yaml);
    put("etc/netplan/60-b.yaml", "network:\n  ethernets:\n    eth1: {}\n");
    put("etc/netplan/00-c.yaml", yaml);
    assert_manager(KEEP_NETPLAN, "/etc/netplan/50-a.yaml");
    put("etc/NetworkManager/system-connections/x.nmconnection", "[connection]\nuuid=u-1\n");
    put("etc/NetworkManager/system-connections/y.nmconnection", "[connection]\nuuid=u-2\n");
    assert_manager(KEEP_NETWORKMANAGER, "/etc/NetworkManager/system-connections/x.nmconnection");
    put("run/systemd/netif/links/2", "ADMIN_STATE=configured\n"
                                     "NETWORK_FILE=/run/systemd/network/10-netplan-eth0.network\n");
    assert_manager(KEEP_NETPLAN, "/etc/netplan/50-a.yaml");
    const char *const argv[] = {"rm", "-rf", "--", root, NULL};
    const struct program_call c = {.argv = argv};
    struct program_output o;
    if (program_run(&c, &o, NULL) == 0)
        program_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files),
                                       cmocka_unit_test(ways_are_there_after_a_restart),
                                       cmocka_unit_test(names_outlive_the_lease),
                                       cmocka_unit_test(golden_files), cmocka_unit_test(managers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
