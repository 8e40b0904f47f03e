/* test_keep: files of networkd and ifupdown with other addresses. */
#include <errno.h>
#include <string.h>

#include "agent/identity/keep.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
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
        assert_int_equal(rc, 0);
        assert_string_equal(once, cases[i].after);
        assert_int_equal(cases[i].edit(once, &w, &twice, &why), 0);
        assert_string_equal(twice, once); /* again changes nothing */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
