/* test_cutover_plan: what moves where, and what stops a cutover before it begins. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/cutover_parity.h"
#include "orchestrator/workload/cutover_plan.h"
#include "orchestrator/workload/json_message.h"
#include "proto/identity.pb-c.h"
#include "tests/unit/test.h"

#define SOURCE                                                                                     \
    "{'machine_id':'a','samba_version':'4.17','samba_role':'ROLE_STANDALONE',"                     \
    "'names':{'host':'fs1','netbios':'FS1','aliases':['FILES'],'dns_names':['fs1.example.org']},"  \
    "'domain':{'joined':false},'shares':[{'name':'data','missing':false},{'name':'gone',"          \
    "'missing':true}],'interfaces':[{'name':'eth0','mac':'52:54:00:00:00:01','addresses':["        \
    "{'address':'192.0.2.7/24'},{'address':'2001:db8::7/64'},{'address':'fe80::1/64'}]}]}"
#define DESTINATION                                                                                \
    "{'machine_id':'b','samba_version':'4.17','samba_role':'ROLE_STANDALONE',"                     \
    "'names':{'host':'new1','netbios':'NEW1','aliases':[],'dns_names':[]},"                        \
    "'domain':{'joined':false},'shares':[],'interfaces':[{'name':'ens1',"                          \
    "'mac':'52:54:00:00:00:02','addresses':[{'address':'192.0.2.8/24'},{'address':"                \
    "'2001:db8::8/64'}]}]}"

static json_t *read_json(const char *text)
{
    CLEANUP(mem_free) char *copy = xstrdup(text);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_error_t err;
    json_t *j = json_loads(copy, 0, &err);
    if (!j)
        fail_msg("%s", err.text);
    return j;
}

static json_t *plan(const char *from, const char *to, const char *settings, struct fault *reterr)
{
    json_t *s = read_json(from), *d = read_json(to), *o = read_json(settings);
    json_t *checks = json_array();
    json_t *p = cutover_plan(s, d, o, checks, reterr);
    assert_true(json_array_size(checks) > 0);
    json_decref(s);
    json_decref(d);
    json_decref(o);
    json_decref(checks);
    return p;
}

static void addresses_go_to_the_interface_in_their_network(void **state)
{
    (void)state;
    struct fault why = {.err = 0};
    json_t *p =
        plan(SOURCE, DESTINATION, "{'new_name':'FS1-OLD','source_address':'192.0.2.77/24'}", &why);
    if (!p)
        fail_msg("%s", why.text);
    Godwit__IdentityPlan *m =
        (Godwit__IdentityPlan *)(void *)json_message(&godwit__identity_plan__descriptor, p);
    assert_int_equal(m->method, GODWIT__IDENTITY_METHOD__IDENTITY_TRANSPLANT);
    assert_false(m->domain);
    assert_int_equal(m->n_moves, 1);
    assert_string_equal(m->moves[0]->from_mac, "52:54:00:00:00:01");
    assert_string_equal(m->moves[0]->to_mac, "52:54:00:00:00:02");
    assert_int_equal(m->moves[0]->n_addresses, 2);
    assert_string_equal(m->moves[0]->addresses[1]->address, "2001:db8::7/64");
    assert_string_equal(m->moves[0]->source_keeps, "192.0.2.77/24");
    assert_int_equal(m->moves[0]->n_gives_up, 0);
    assert_string_equal(m->old->netbios, "FS1");
    assert_string_equal(m->old->aliases[0], "FILES");
    assert_string_equal(m->source_new->netbios, "FS1-OLD");
    assert_string_equal(m->source_new->host, "fs1-old");
    assert_string_equal(m->source_new->dns_names[0], "fs1-old.example.org");
    assert_string_equal(m->destination_old->host, "new1");
    assert_int_equal(m->n_shares, 1);
    protobuf_c_message_free_unpacked(&m->base, NULL);
    json_decref(p);
}

static void an_address_of_its_own_may_stay(void **state)
{
    (void)state;
    struct fault why = {.err = 0};
    json_t *p =
        plan(SOURCE, DESTINATION,
             "{'new_name':'FS1-OLD','source_address':'2001:db8::7/64','method':'rejoin'}", &why);
    assert_non_null(p);
    const json_t *move = json_array_get(json_object_get(p, "moves"), 0);
    assert_int_equal(json_array_size(json_object_get(move, "addresses")), 1);
    assert_string_equal(json_string_value(json_object_get(move, "source_keeps")), "");
    assert_int_equal(json_integer_value(json_object_get(p, "method")), 2);
    json_decref(p);
    /* Of a workgroup nobody would find it. */
    p = plan(SOURCE, DESTINATION, "{'new_name':'X','name_only':true}", &why);
    assert_null(p);
    assert_non_null(strstr(why.text, "go on asking the source's address"));
}

static char *with(const char *text, const char *what, const char *by)
{
    const char *at = strstr(text, what);
    return xasprintf("%.*s%s%s", (int)(at - text), text, by, at + strlen(what));
}

/* The address moves, not the lease: the source goes on with one of its own, and what came with it.
 */
static void what_came_by_dhcp_is_kept_by_the_destination(void **state)
{
    (void)state;
    struct fault why = {.err = 0};
    CLEANUP(mem_free)
    char *four =
        with(SOURCE, "{'address':'192.0.2.7/24'}", "{'address':'192.0.2.7/24','dynamic':true}");
    CLEANUP(mem_free)
    char *six =
        with(four, "{'address':'2001:db8::7/64'}", "{'address':'2001:db8::7/64','dynamic':true}");
    CLEANUP(mem_free)
    char *from = with(six, "'addresses'",
                      "'routes':['default via 192.0.2.1 metric 1024','198.51.100.0/24 via "
                      "192.0.2.2'],'addresses'");
    json_t *p =
        plan(from, DESTINATION, "{'new_name':'FS1-OLD','source_address':'192.0.2.77/24'}", &why);
    if (!p)
        fail_msg("%s", why.text);
    Godwit__IdentityPlan *m =
        (Godwit__IdentityPlan *)(void *)json_message(&godwit__identity_plan__descriptor, p);
    assert_int_equal(m->n_moves, 1);
    assert_int_equal(m->moves[0]->n_addresses, 1); /* what a router told a card stays with it */
    assert_true(m->moves[0]->addresses[0]->dynamic);
    assert_int_equal(m->moves[0]->n_source_routes, 1);
    assert_string_equal(m->moves[0]->source_routes[0], "default via 192.0.2.1");
    assert_string_equal(m->moves[0]->source_keeps, "192.0.2.77/24");
    protobuf_c_message_free_unpacked(&m->base, NULL);
    json_decref(p);
    p = plan(from, DESTINATION, "{'new_name':'FS1-OLD'}", &why);
    assert_null(p);
    assert_non_null(strstr(why.text, "left without an address"));
}

#define EASY "{'new_name':'FS1-OLD','source_address':'192.0.2.77/24'}"
#define WAYS(ways_) "'routes':[" ways_ "],'addresses'"

/* Who answers users behind a router needs the way to them. */
static void ways_out(void **state)
{
    static const struct {
        const char *from, *to, *moves, *told; /* told NULL: nothing is */
    } rows[] = {
        {"'default via 192.0.2.1 metric 100'",      "",                                        "default via 192.0.2.1",        "moves along"          },
        {"'default via 192.0.2.1'",                 "'default via 192.0.2.1'",                 NULL,                           NULL                   },
        {"'default via 192.0.2.1'",                 "'default via 192.0.2.254'",               NULL,                           "by 192.0.2.254"       },
        {"'default via 198.51.100.1'",              "",                                        NULL,                           "by nothing of its own"},
        {"'::/0 via 2001:db8::1 metric 1024'",      "'default via 192.0.2.1'",                 "::/0 via 2001:db8::1",
         "moves along"                                                                                                                                },
        {"'203.0.113.0/24 via 192.0.2.2'",          "",                                        "203.0.113.0/24 via 192.0.2.2", "to 203.0.113.0/24"    },
        {"'203.0.113.0/24 via 192.0.2.2'",          "'203.0.113.0/24 via 192.0.2.9'",          NULL,                           "by 192.0.2.9"         },
        {"'203.0.113.0/24 via 198.51.100.2'",       "",                                        NULL,                           "by nothing of its own"},
        {"'203.0.113.0/24 via 192.0.2.2'",          "'203.0.113.0/24 via 192.0.2.2 metric 5'", NULL,                           NULL                   },
        {"'192.0.2.0/24'",                          "",                                        NULL,                           NULL                   },
        {"'default via 192.0.2.1 dev eth0;reboot'", "",                                        NULL,                           NULL                   },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(mem_free) char *a = xasprintf(WAYS("%s"), rows[i].from);
        CLEANUP(mem_free) char *b = xasprintf(WAYS("%s"), rows[i].to);
        CLEANUP(mem_free) char *from = with(SOURCE, "'addresses'", a);
        CLEANUP(mem_free) char *to = with(DESTINATION, "'addresses'", b);
        json_t *s = read_json(from), *d = read_json(to), *checks = json_array();
        json_t *o = read_json(EASY);
        json_t *p = cutover_plan(s, d, o, checks, NULL);
        CLEANUP(mem_free) char *told = json_dumps(checks, 0);
        const json_t *ways =
            json_object_get(json_array_get(json_object_get(p, "moves"), 0), "routes");
        const char *way = json_string_value(json_array_get(ways, 0));
        assert_non_null(p);
        assert_int_equal(json_array_size(ways), rows[i].moves ? 1 : 0);
        if (rows[i].moves)
            assert_string_equal(way, rows[i].moves);
        assert_int_equal(strstr(told, "\"routes\"") != NULL, rows[i].told != NULL);
        if (rows[i].told && !strstr(told, rows[i].told))
            fail_msg("row %zu: %s", i, told);
        json_decref(s);
        json_decref(d);
        json_decref(o);
        json_decref(p);
        json_decref(checks);
    }
}

static void what_cannot_end_well_is_refused(void **state)
{
    static const struct {
        const char *what, *by; /* replaced in both captures */
        const char *settings, *says;
    } cases[] = {
        {"ROLE_STANDALONE",                           "ROLE_DOMAIN_MEMBER",                     EASY,                                                               "but no controller knows its account"},
        {NULL,                                        NULL,                                     "{'new_name':'FS1-OLD'}",                                           "left without an address"            },
        {NULL,                                        NULL,                                     "{'new_name':'FS1-OLD','source_address':'198.51.100.1/24'}",
         "in none of its networks"                                                                                                                                                                       },
        {NULL,                                        NULL,                                     "{'new_name':'NEW1','source_address':'192.0.2.77/24'}",             "own already"                        },
        {NULL,                                        NULL,                                     "{'new_name':'FILES','source_address':'192.0.2.77/24'}",            "own already"                        },
        {NULL,                                        NULL,                                     "{'new_name':'a.b','source_address':'192.0.2.77/24'}",              "not \"a.b\""                        },
        {NULL,                                        NULL,                                     "{'new_name':'SIXTEENCHARACTER','source_address':'192.0.2.77/24'}", "1 to 15"                            },
        {"192.0.2.8/24'},{'address':'2001:db8::8/64", "198.51.100.8/24",                        EASY,
         "no address of the source"                                                                                                                                                                      },
        {"'samba_version':'4.17'",                    "'samba_version':''",                     EASY,                                                               "there is no Samba"                  },
        {"ROLE_STANDALONE",                           "ROLE_ACTIVE_DIRECTORY_DC",               EASY,                                                               "domain controller"                  },
        {"'machine_id':'b'",                          "'machine_id':'a'",                       EASY,                                                               "copy of the other"                  },
        {"'joined':false},'shares':[{",               "'joined':true,'realm':'A'},'shares':[{", EASY,
         "the destination is not"                                                                                                                                                                        },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *texts[2] = {SOURCE, DESTINATION};
        char *made[2];
        for (int k = 0; k < 2; k++) {
            const char *at = cases[i].what ? strstr(texts[k], cases[i].what) : NULL;
            made[k] = at ? xasprintf("%.*s%s%s", (int)(at - texts[k]), texts[k], cases[i].by,
                                     at + strlen(cases[i].what))
                         : xstrdup(texts[k]);
        }
        struct fault why = {.err = 0};
        json_t *p = plan(made[0], made[1], cases[i].settings, &why);
        if (p || !strstr(why.text, cases[i].says))
            fail_msg("case %zu: %s", i, p ? "taken" : why.text);
        assert_int_equal(why.err, EREMOTEIO);
        free(made[0]);
        free(made[1]);
    }
}

static void ids_in_a_domain_have_to_agree(void **state)
{
    (void)state;
    static const char member[] =
        "{'machine_id':'%s','samba_version':'4','names':{'netbios':'%s'},'domain':{'joined':true,"
        "'realm':'X.Y','trusted':%s,'account_dn':'CN=FS1,OU=Servers,DC=x','dc':'dc1'},'idmap':"
        "['%s'],'interfaces':[]}";
    static const struct {
        const char *trusted, *range, *says;
    } cases[] = {
        {"true",  "1-2", NULL                 },
        {"true",  "1-3", "map users to other" },
        {"false", "1-2", "password does not h"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char a[512], b[512];
        struct fault why = {.err = 0};
        (void)snprintf(a, sizeof a, member, "a", "FS1", cases[i].trusted, "1-2");
        (void)snprintf(b, sizeof b, member, "b", "NEW", "true", cases[i].range);
        json_t *p = plan(a, b, "{'new_name':'Q','name_only':true}", &why);
        assert_int_equal(p == NULL, cases[i].says != NULL);
        if (cases[i].says)
            assert_non_null(strstr(why.text, cases[i].says));
        else
            assert_int_equal(json_array_size(json_object_get(p, "moves")), 0);
        if (p)
            assert_string_equal(json_string_value(json_object_get(p, "ou")), "OU=Servers,DC=x");
        json_decref(p);
    }
}

static void networks_and_names(void **state)
{
    char name[16];
    (void)state;
    assert_true(cutover_same_network("192.0.2.7/24", "192.0.2.200/24"));
    assert_false(cutover_same_network("192.0.2.7/24", "192.0.3.7/24"));
    assert_false(cutover_same_network("192.0.2.7/24", "192.0.2.8/25"));
    assert_true(cutover_same_network("10.1.2.3/13", "10.7.0.1/13"));
    assert_false(cutover_same_network("10.1.2.3/13", "10.8.0.1/13"));
    assert_true(cutover_same_network("2001:db8::1/64", "2001:db8::2/64"));
    assert_false(cutover_same_network("192.0.2.7", "192.0.2.7"));
    assert_false(cutover_same_network("192.0.2.7/33", "192.0.2.7/33"));
    assert_false(cutover_same_network("192.0.2.7/-1", "192.0.2.7/-1"));
    assert_false(cutover_same_network("x/24", "x/24"));
    cutover_new_name("a.very.long-file_server", name);
    assert_int_equal(strlen(name), 15);
    assert_int_equal(cutover_check_name(name), 0);
    cutover_new_name("", name);
    assert_int_equal(cutover_check_name(name), 0);
    assert_int_equal(cutover_check_name("123"), -EINVAL);
    assert_int_equal(cutover_check_name("-a"), -EINVAL);
    assert_int_equal(cutover_check_name(""), -EINVAL);
}

static void exports_have_to_be_where_clients_mount_them(void **state)
{
    (void)state;
    struct fault why = {.err = 0};
    json_t *s = read_json(SOURCE), *d = read_json(DESTINATION), *o = read_json(EASY), *one;
    json_t *checks = json_array();
    size_t i, same = 0, missing = 0;
    (void)json_object_set_new(
        s, "exports",
        json_pack("[s,s,s,i]", "/srv/a *(rw)", "/srv/ab *(ro)", "/srv/b\\x5c040c *(ro)", 7));
    (void)json_object_set_new(d, "exports",
                              json_pack("[s,s]", "/srv/a 10.0.0.0/8(rw)", "/srv/b\\x5c040c *"));
    json_t *p = cutover_plan(s, d, o, checks, &why);
    assert_non_null(p);
    json_array_foreach(checks, i, one)
    {
        const char *id = json_string_value(json_object_get(one, "id"));
        const char *text = json_string_value(json_object_get(one, "text"));
        same += strcmp(id, "exports") == 0 && strncmp(text, "2 NFS", 5) == 0;
        missing += strcmp(id, "export") == 0 && strstr(text, "mount /srv/ab of") != NULL;
    }
    assert_int_equal(same, 1);
    assert_int_equal(missing, 1);
    json_decref(p);
    json_decref(s);
    json_decref(d);
    json_decref(o);
    json_decref(checks);
}

/* ── what both say of themselves ── */

static void what_no_stage_makes_the_same_is_told(void **state)
{
    static const struct {
        const char *source, *destination, *settings, *firewall, *part;
    } cases[] = {
        {"{'settings':['vfs objects = acl_xattr'],'protection':[]}",
         "{'settings':['VFS objects = acl_xattr'],'protection':[]}",         "pass", "pass", ""},
        {"{'settings':['vfs objects = acl_xattr','ntlm auth = yes']}",
         "{'settings':['ntlm auth = no']}",                                  "warn", "pass",
         "only the source has: vfs objects = acl_xattr; ntlm auth = yes. Only the destination has: "
         "ntlm auth = no"                                                                      },
        {"{'settings':['a = b'],'protection':[]}",
         "{'settings':['a = b'],'protection':['firewall nftables']}",        "pass", "warn", ""},
        {"{}",                                                         "{}", NULL,   "pass", ""}, /* an older agent tells nothing */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *a = read_json(cases[i].source), *b = read_json(cases[i].destination), *one;
        json_t *checks = json_array();
        const char *said[2] = {NULL, NULL}, *text = "";
        size_t k;
        cutover_parity(a, b, NULL, checks);
        json_array_foreach(checks, k, one)
        {
            bool settings = strcmp(json_string_value(json_object_get(one, "id")), "settings") == 0;
            said[!settings] = json_string_value(json_object_get(one, "result"));
            text = settings ? json_string_value(json_object_get(one, "text")) : text;
        }
        assert_true(!said[0] == !cases[i].settings);
        if (said[0])
            assert_string_equal(said[0], cases[i].settings);
        assert_string_equal(said[1], cases[i].firewall);
        assert_non_null(strstr(text, cases[i].part));
        json_decref(checks);
        json_decref(a);
        json_decref(b);
    }
}

/* Of the cards between which an address moves, and of no other. */
static void cards_of_other_packets_are_told(void **state)
{
    static const struct {
        const char *source, *destination;
        int told;
    } rows[] = {
        {"'mtu':9000,", "'mtu':1500,", 1},
        {"'mtu':1400,", "'mtu':1500,", 1},
        {"'mtu':1500,", "'mtu':1500,", 0},
        {"",            "'mtu':1500,", 0},
        {"'mtu':9000,", "",            0},
    };
    static const char nics[] = "{'interfaces':[{%s'name':'eth0','mac':'52:54:00:00:00:0%d'},"
                               "{'name':'eth1','mac':'52:54:00:00:00:09','mtu':%d}]}";
    (void)state;
    json_t *moves = read_json("[{'from_mac':'52:54:00:00:00:01','to_mac':'52:54:00:00:00:02'}]");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(mem_free) char *from = xasprintf(nics, rows[i].source, 1, 9000);
        CLEANUP(mem_free) char *to = xasprintf(nics, rows[i].destination, 2, 1500);
        json_t *a = read_json(from), *b = read_json(to), *checks = json_array(), *one;
        size_t k;
        int told = 0;
        cutover_parity(a, b, moves, checks);
        json_array_foreach(checks, k, one)
        {
            told += strcmp(json_string_value(json_object_get(one, "id")), "mtu") == 0 &&
                    strcmp(json_string_value(json_object_get(one, "result")), "warn") == 0;
        }
        assert_int_equal(told, rows[i].told);
        json_decref(checks);
        json_decref(a);
        json_decref(b);
    }
    json_decref(moves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_stage_makes_the_same_is_told),
        cmocka_unit_test(cards_of_other_packets_are_told),
        cmocka_unit_test(addresses_go_to_the_interface_in_their_network),
        cmocka_unit_test(an_address_of_its_own_may_stay),
        cmocka_unit_test(what_came_by_dhcp_is_kept_by_the_destination),
        cmocka_unit_test(ways_out),
        cmocka_unit_test(what_cannot_end_well_is_refused),
        cmocka_unit_test(ids_in_a_domain_have_to_agree),
        cmocka_unit_test(networks_and_names),
        cmocka_unit_test(exports_have_to_be_where_clients_mount_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
