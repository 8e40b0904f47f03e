/* test_net: what `ip` prints, the way from what is to what ought to be, frames of ARP and of
 * neighbours. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "agent/identity/arp.h"
#include "agent/identity/net.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static const char links[] =
    "[{\"ifname\":\"lo\",\"link_type\":\"loopback\",\"addr_info\":[{\"family\":\"inet\",\"local\":"
    "\"127.0.0.1\",\"prefixlen\":8,\"scope\":\"host\"}]},"
    "{\"ifname\":\"eth0\",\"link_type\":\"ether\",\"address\":\"52:54:00:00:00:01\",\"mtu\":1500,"
    "\"addr_info\":[{\"local\":\"192.0.2.7\",\"prefixlen\":24,\"scope\":\"global\",\"dynamic\":"
    "true},"
    "{\"local\":\"fe80::1\",\"prefixlen\":64,\"scope\":\"link\"},"
    "{\"local\":\"2001:db8::7\",\"prefixlen\":64,\"scope\":\"global\"}]}]";
static const char routes[] =
    "[{\"dst\":\"default\",\"gateway\":\"192.0.2.1\",\"dev\":\"eth0\",\"protocol\":\"static\"},"
    "{\"dst\":\"192.0.2.0/24\",\"dev\":\"eth0\",\"protocol\":\"kernel\"},"
    "{\"dst\":\"198.51.100.9\",\"gateway\":\"192.0.2.2\",\"dev\":\"eth0\",\"metric\":50}]";

static void parse(void **state)
{
    (void)state;
    Godwit__UndoNetwork *n = NULL;
    struct fault why = {.err = 0};
    assert_int_equal(net_parse(links, routes, "[]", &n, &why), 0);
    assert_int_equal(n->n_interfaces, 1);
    const Godwit__UndoInterface *i = net_find(n, "52:54:00:00:00:01", "");
    assert_non_null(i);
    assert_ptr_equal(i, net_find(n, "", "eth0"));
    assert_null(net_find(n, "52:54:00:00:00:02", "eth0"));
    assert_int_equal(i->n_addresses, 2);
    assert_string_equal(i->addresses[1], "2001:db8::7/64");
    assert_true(net_leased(i, "192.0.2.7/24"));
    assert_false(net_leased(i, "2001:db8::7/64"));
    assert_true(net_reaches(i, "192.0.2.200/24"));
    assert_true(net_reaches(i, "2001:db8::9:0:0:1/64"));
    assert_false(net_reaches(i, "2001:db8:1::9/64"));
    assert_false(net_reaches(i, "192.0.3.7/24"));
    assert_false(net_reaches(i, "192.0.2.7"));
    i->addresses[0][10] = '1'; /* 192.0.2.7/14: not whole bytes */
    assert_true(net_reaches(i, "192.3.0.1/24"));
    assert_false(net_reaches(i, "192.4.0.1/24"));
    i->addresses[0][10] = '2';
    assert_int_equal(i->n_routes, 2);
    assert_string_equal(i->routes[0], "default via 192.0.2.1");
    assert_string_equal(i->routes[1], "198.51.100.9/32 via 192.0.2.2 metric 50");
    net_free(n);
    assert_int_equal(net_parse("{}", "[]", "[]", &n, &why), -EBADMSG);
    assert_int_equal(net_parse("[", "[]", "[]", &n, &why), -EBADMSG);
}

static const struct {
    const char *add[3], *drop[3], *routes[3];
    unsigned mtu;
    const char *lines;
} cases[] = {
    {{"192.0.2.7/24"},                   {"192.0.2.9/24"}, {"default via 192.0.2.1"}, 0,    ""                                                                                           },
    {{NULL},                             {NULL},           {NULL},                    1500, ""                                                                                           },
    {{NULL},                             {NULL},           {NULL},                    9000, "link set dev eth0 mtu 9000\n"                                                               },
    {{"192.0.2.77/24"},
     {"192.0.2.7/24"},
     {NULL},
     0,                                                                                     "address add 192.0.2.77/24 broadcast + dev eth0\naddress del 192.0.2.7/24 dev eth0\n"
     "route replace default via 192.0.2.1 dev eth0\n"                                                                                                                             },
    {{"192.0.2.7/24", "2001:db8::8/64"},
     {NULL},
     {"default via 192.0.2.254"},
     0,                                                                                     "address add 2001:db8::8/64 dev eth0 nodad\nroute replace default via 192.0.2.254 dev eth0\n"},
    {{NULL},
     {NULL},
     {"default via 2001:db8::1"},
     0,                                                                                     "route replace default via 192.0.2.1 dev eth0\nroute replace ::/0 via 2001:db8::1 dev eth0\n"},
    {{"192.0.2.7/24"},                   {"192.0.2.7/24"}, {NULL},                    0,    ""                                                                                           }, /* to stay wins */
};

static size_t count(const char *const *list)
{
    size_t n = 0;
    while (n < 3 && list[n])
        n++;
    return n;
}

static void commands(void **state)
{
    (void)state;
    char *addresses[] = {(char *)(uintptr_t) "192.0.2.7/24"},
         *ways[] = {(char *)(uintptr_t) "default via 192.0.2.1"};
    Godwit__UndoInterface now = GODWIT__UNDO_INTERFACE__INIT;
    now.name = (char *)(uintptr_t) "eth0";
    now.addresses = addresses;
    now.n_addresses = 1;
    now.routes = ways;
    now.n_routes = 1;
    now.mtu = 1500;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault why = {.err = 0};
        struct net_want w = {.mac = "",
                             .name = "eth0",
                             .add = (char **)(uintptr_t)cases[i].add,
                             .nadd = count(cases[i].add),
                             .drop = (char **)(uintptr_t)cases[i].drop,
                             .ndrop = count(cases[i].drop),
                             .routes = (char **)(uintptr_t)cases[i].routes,
                             .nroutes = count(cases[i].routes),
                             .mtu = cases[i].mtu};
        assert_int_equal(net_want_valid(&w, &why), 0);
        CLEANUP(mem_free) char *lines = net_commands(&now, &w);
        if (i == 4) /* the other default route is replaced, not kept */
            assert_null(strstr(lines, "192.0.2.1 "));
        assert_string_equal(lines, cases[i].lines);
    }
}

/* On the way back what came with a cutover goes, and what was there takes its own place. */
static void routes_go_back(void **state)
{
    (void)state;
    char *addresses[] = {(char *)(uintptr_t) "192.0.2.8/24"},
         *ways[] = {(char *)(uintptr_t) "default via 192.0.2.1",
                    (char *)(uintptr_t) "198.51.100.0/24 via 192.0.2.2",
                    (char *)(uintptr_t) "203.0.113.0/24 via 192.0.2.3"},
         *had[] = {(char *)(uintptr_t) "default via 192.0.2.1 metric 1024",
                   (char *)(uintptr_t) "203.0.113.0/24 via 192.0.2.4"};
    Godwit__UndoInterface now = GODWIT__UNDO_INTERFACE__INIT;
    now.name = (char *)(uintptr_t) "eth0";
    now.addresses = addresses;
    now.n_addresses = 1;
    now.routes = ways;
    now.n_routes = 3;
    struct net_want w = {.mac = "", .name = "eth0", .routes = had, .nroutes = 2, .exact = true};
    CLEANUP(mem_free) char *lines = net_commands(&now, &w);
    assert_string_equal(lines, "route replace 198.51.100.0/24 via 192.0.2.2 dev eth0\n"
                               "route replace 203.0.113.0/24 via 192.0.2.3 dev eth0\n"
                               "route replace default via 192.0.2.1 metric 1024 dev eth0\n"
                               "route replace 203.0.113.0/24 via 192.0.2.4 dev eth0\n"
                               "route del default via 192.0.2.1 dev eth0\n"
                               "route del 198.51.100.0/24 via 192.0.2.2 dev eth0\n");
    now.routes = had;
    now.n_routes = 2;
    /* What it costs here is this host's own; a router with a longer address is another one. */
    char *cheap[] = {(char *)(uintptr_t) "default via 192.0.2.1"},
         *other[] = {(char *)(uintptr_t) "default via 192.0.2.10 metric 1024"};
    const struct net_want plain = {.mac = "", .name = "eth0", .routes = cheap, .nroutes = 1};
    CLEANUP(mem_free) char *nothing = net_commands(&now, &plain);
    assert_string_equal(nothing, "");
    now.routes = other;
    now.n_routes = 1;
    CLEANUP(mem_free) char *some = net_commands(&now, &plain);
    assert_string_equal(some, "route replace default via 192.0.2.1 dev eth0\n");
    now.routes = had;
    now.n_routes = 2;
    CLEANUP(mem_free) char *again = net_commands(&now, &w);
    assert_string_equal(again, "");
}

static void words(void **state)
{
    (void)state;
    static const char *const good[] = {"192.0.2.7/24", "2001:db8::/0x"};
    assert_true(net_address_valid(good[0]));
    static const char *const bad[] = {
        "",           "192.0.2.7", "192.0.2.7/33", "192.0.2.7/",       "/24",  "192.0.2.7/24\nx",
        "192.0.2/24", "::/129",    "192.0.2.7/0",  "192.0.2.7/24 dev", good[1]};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(net_address_valid(bad[i]));
    assert_true(net_route_valid("default via 192.0.2.1 metric 100"));
    assert_true(net_route_valid("198.51.100.0/24 via 192.0.2.1"));
    static const char *const routes_bad[] = {"",
                                             "default\nlink set lo down",
                                             "default via x",
                                             "default dev eth0",
                                             "default via",
                                             "default via 192.0.2.1 metric 1 metric 2 metric 3",
                                             "default metric x"};
    for (size_t i = 0; i < ARRAY_SIZE(routes_bad); i++)
        assert_false(net_route_valid(routes_bad[i]));
}

static const struct arp_target four = {
    .mac = {2,  0, 0, 0, 0, 1},
      .ip = {192, 0,  2, 7},
      .family = AF_INET
};

/* As arping -U sends it. */
static void arp(void **state)
{
    (void)state;
    static const uint8_t want[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,   1, 8, 6,
                                     0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,   0, 0, 1,
                                     192,  0,    2,    7,    0,    0,    0, 0, 0, 0, 192, 0, 2, 7};
    uint8_t f[ARP_FRAME_MAX], who[6];
    assert_int_equal(arp_frame(&four, ARP_ANNOUNCE, f), 42);
    assert_memory_equal(f, want, 42);
    assert_int_equal(arp_answers(&four, f, 42, who), 0); /* our own */
    f[6] = f[22] = 4;
    assert_int_equal(arp_answers(&four, f, 42, who), 1);
    assert_int_equal(who[0], 4);
    assert_int_equal(arp_answers(&four, f, 41, who), 0);
    f[31]++;
    assert_int_equal(arp_answers(&four, f, 42, who), 0);
    assert_int_equal(arp_frame(&four, ARP_PROBE, f), 42);
    assert_int_equal(f[28] | f[29] | f[30] | f[31], 0); /* who asks has no address yet */
}

static uint16_t sum(const uint8_t *f, size_t n)
{
    uint32_t s = (uint32_t)(n - 54) + 58;
    for (size_t i = 22; i < n; i += 2)
        s += (uint32_t)f[i] << 8 | f[i + 1];
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

static void neighbours(void **state)
{
    (void)state;
    struct arp_target six = {
        .mac = {2, 0, 0, 0, 0, 1},
          .family = AF_INET6
    };
    uint8_t f[ARP_FRAME_MAX], who[6];
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", six.ip), 1);
    assert_int_equal(arp_frame(&six, ARP_ANNOUNCE, f), 86);
    assert_int_equal(sum(f, 86), 0xffff);
    f[6] = 4;
    assert_int_equal(arp_answers(&six, f, 86, who), 1);
    assert_int_equal(arp_answers(&six, f, 70, who), 0);
    assert_int_equal(arp_frame(&six, ARP_PROBE, f), 78);
    assert_int_equal(sum(f, 78), 0xffff);
    static const uint8_t group[6] = {0x33, 0x33, 0xff, 0, 0, 7};
    assert_memory_equal(f, group, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse), cmocka_unit_test(commands), cmocka_unit_test(routes_go_back),
        cmocka_unit_test(words), cmocka_unit_test(arp),      cmocka_unit_test(neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
