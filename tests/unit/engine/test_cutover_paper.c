/* test_cutover_paper: the commands that a person would type, and the identity before and after. */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/cutover_report.h"
#include "orchestrator/workload/cutover_runbook.h"
#include "orchestrator/workload/cutover_table.h"
#include "tests/unit/test.h"

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

#define PLAN                                                                                       \
    "'plan':{'method':1,'domain':%s,'dc':'dc1.lab.test','ou':'CN=Computers,DC=lab','old':{'host':" \
    "'fs1','netbios':'FS1','aliases':['FILES'],'dns_names':['fs1.lab.test','f.lab.test']},"        \
    "'source_new':{'host':'fs1-old','netbios':'FS1-OLD','aliases':[],'dns_names':[]},"             \
    "'destination_old':{'host':'new1','netbios':'NEW1','aliases':[],'dns_names':[]},"              \
    "'shares':[{'name':'data','path':'/srv/b'}],'moves':[{'from_mac':'52:54:00:00:00:01',"         \
    "'to_mac':'52:54:00:00:00:02','source_keeps':'192.0.2.77/24','addresses':[{'address':"         \
    "'192.0.2.7/24'}],'gives_up':[],'routes':['default via 192.0.2.1','x; reboot']}]}"
#define NICS(name, mac, address)                                                                   \
    "'interfaces':[{'name':'" name "','mac':'52:54:00:00:00:0" mac                                 \
    "','manager':'networkd','addresses':[{'address':'" address "'}]}]"

static json_t *facts_of(bool domain, const char *more)
{
    char text[4096];
    (void)snprintf(text, sizeof text,
                   "{" PLAN
                   ",'source':{" NICS("eth0", "1", "192.0.2.7/24") "},'destination':{" NICS(
                       "en s1", "2", "192.0.2.8/24") "}%s}",
                   domain ? "true" : "false", more);
    return read_json(text);
}

/* All commands of a row for a host, one a line; malloc'd. */
static char *typed(const json_t *facts, const char *row, const char *host)
{
    const struct runbook b = {.facts = facts,
                              .source_host = "fs1",
                              .destination_host = "new1",
                              .source = "/srv/my data",
                              .destination = "/srv/a"};
    json_t *list = runbook_commands(&b, cutover_find(row)), *one;
    char *all = xstrdup("");
    size_t i;
    json_array_foreach(list, i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "on")), host) != 0)
            continue;
        char *more = xasprintf("%s%s\n", all, json_string_value(json_object_get(one, "command")));
        free(all);
        all = more;
    }
    json_decref(list);
    return all;
}

static void words_of_a_shell_stay_words(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"fs1.lab.test", "fs1.lab.test"},
        {"",             "''"          },
        {"a b",          "'a b'"       },
        {"it's",         "'it'\\''s'"  },
        {"$(reboot)",    "'$(reboot)'" },
        {"x\nreboot",    "'x?reboot'"  },
        {"-rf",          "-rf"         },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(mem_free) char *word = runbook_word(cases[i].text);
        assert_string_equal(word, cases[i].word);
    }
}

static void each_stage_has_its_commands(void **state)
{
    static const struct {
        const char *row, *host, *part;
    } cases[] = {
        {"source.addresses",      "fs1",  "ip address add 192.0.2.77/24 dev eth0\n"               },
        {"source.addresses",      "fs1",  "ip address del 192.0.2.7/24 dev eth0\n"                },
        {"source.addresses",      "fs1",  "Address='192.0.2.7/24'$|d' $(networkctl --no-pager"    },
        {"destination.addresses", "new1", "arping -D -c 2 -w 2 -I 'en s1' 192.0.2.7 && ip address"},
        {"destination.addresses", "new1", "ip route replace default via 192.0.2.1 dev 'en s1'\n"  },
        {"source.names",          "fs1",  "hostnamectl set-hostname fs1-old\n"                    },
        {"destination.names",     "new1", "netbios aliases = 'FILES'/"                            },
        {"destination.names",     "new1", "additional dns hostnames = 'f.lab.test'/"              },
        {"stop",                  "fs1",  "systemctl mask smbd.service"                           },
        {"last",                  "fs1",  "rsync -aHAXS --numeric-ids '/srv/my data/' root@new1:" },
        {"destination.start",     "new1", "systemctl start winbind.service smbd.service"          },
        {"destination.commit",    "new1", "net ads changetrustpw -S dc1.lab.test"                 },
        {"source.join",           "fs1",  "-A /etc/godwit/cutover.cred"                           },
        {"source.join",           "fs1",  "createcomputer=Computers --no-dns-updates"             },
        {"source.staged",         "fs1",  "'dn: CN=FS1-OLD,CN=Computers,DC=lab'"                  },
        {"source.close",          "fs1",  "exportfs -ra"                                          },
        {"destination.dns",       "new1", "# the names stand for what they stood for before"      },
    };
    (void)state;
    json_t *facts = facts_of(true, "");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(mem_free) char *all = typed(facts, cases[i].row, cases[i].host);
        if (!strstr(all, cases[i].part))
            fail_msg("%s: no \"%s\" in\n%s", cases[i].row, cases[i].part, all);
    }
    static const struct {
        const char *row, *host;
    } keys[] = {
        {"bundle",           "fs1" },
        {"destination.join", "new1"},
        {"source.commit",    "fs1" },
    };
    for (int with = 0; with < 2; with++) {
        (void)json_object_set_new(json_object_get(facts, "plan"), "ssh_keys", json_boolean(with));
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
            CLEANUP(mem_free) char *all = typed(facts, keys[i].row, keys[i].host);
            assert_int_equal(strstr(all, "etc/ssh/ssh_host_*") != NULL, with);
        }
    }
    /* What a host says is no command: a route that is none is left out. */
    CLEANUP(mem_free) char *routes = typed(facts, "destination.addresses", "new1");
    assert_null(strstr(routes, "reboot"));
    json_decref(facts);
}

/* The manager's own file, where one address stands in the place of another. */
static void files_of_other_managers_are_edited(void **state)
{
    static const struct {
        const char *manager, *row, *host, *part;
    } cases[] = {
        {"ifupdown", "source.addresses",      "fs1",
         "F=$(grep -lsE '^[[:space:]]*iface[[:space:]]+eth0[[:space:]]' /etc/network/interfaces "
         "/etc/network/interfaces.d/* | head -1); sed -i -E 's#^([[:space:]]*address[[:space:]]+)"
         "192\\.0\\.2\\.7(/[0-9]+)?[[:space:]]*$#\\1192.0.2.77/24#' $F\n"                                                              },
        {"netplan",  "source.addresses",      "fs1",
         "F=$(grep -lsE '^[[:space:]]+eth0:' /etc/netplan/*.yaml | tail -1); sed -i -E "
         "'s#(^|[^0-9.:a-fA-F])192\\.0\\.2\\.7/24([^0-9]|$)#\\1192.0.2.77/24\\2#' $F && netplan"                                       },
        {"ifupdown", "destination.addresses", "new1", /* none is given up: one more */
         "printf '\\niface eth0 inet static\\n    address 192.0.2.7/24\\n' >>$F\n"},
        {"netplan",  "destination.addresses", "new1", "# write 192.0.2.7/24 below addresses:"                                          },
        {"none",     "source.addresses",      "fs1",  "# none has eth0: take away 192.0.2.7/24"                                        },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *facts = facts_of(true, "");
        static const char *const sides[] = {"source", "destination"};
        for (size_t k = 0; k < 2; k++) {
            json_t *nic =
                json_array_get(json_object_get(json_object_get(facts, sides[k]), "interfaces"), 0);
            (void)json_object_set_new(nic, "manager", json_string(cases[i].manager));
            (void)json_object_set_new(nic, "name", json_string("eth0"));
        }
        CLEANUP(mem_free) char *all = typed(facts, cases[i].row, cases[i].host);
        if (!strstr(all, cases[i].part))
            fail_msg("%zu: no \"%s\" in\n%s", i, cases[i].part, all);
        json_decref(facts);
    }
}

/* The stanza that asked says what the host keeps, and asks no more. */
static void who_asked_by_dhcp_asks_no_more(void **state)
{
    (void)state;
    json_t *facts = facts_of(true, "");
    json_t *nic =
        json_array_get(json_object_get(json_object_get(facts, "source"), "interfaces"), 0);
    json_t *move = json_array_get(json_object_get(json_object_get(facts, "plan"), "moves"), 0);
    (void)json_object_set_new(nic, "manager", json_string("ifupdown"));
    (void)json_object_set_new(json_array_get(json_object_get(move, "addresses"), 0), "dynamic",
                              json_true());
    (void)json_object_set_new(move, "source_routes", json_pack("[s]", "default via 192.0.2.1"));
    CLEANUP(mem_free) char *all = typed(facts, "source.addresses", "fs1");
    assert_non_null(strstr(all, "kill $(cat /run/dhclient.eth0.pid); F=$(grep -lsE "));
    assert_non_null(strstr(all, "sed -i -E 's#^([[:space:]]*iface[[:space:]]+eth0[[:space:]]+inet"
                                "[[:space:]]+)dhcp#\\1static\\n    address 192.0.2.77/24\\n"
                                "    gateway 192.0.2.1#' $F\n"));
    assert_null(strstr(all, ">>$F")); /* once */
    (void)json_object_set_new(move, "source_routes", json_pack("[s]", "default via x#;reboot"));
    CLEANUP(mem_free) char *bad = typed(facts, "source.addresses", "fs1");
    assert_null(strstr(bad, "reboot"));
    (void)json_object_set_new(nic, "manager", json_string("networkd"));
    (void)json_object_set_new(move, "source_routes", json_pack("[s]", "default via 192.0.2.1"));
    CLEANUP(mem_free) char *unit = typed(facts, "source.addresses", "fs1");
    /* The way out is the plan's: that of the lease has gone with the address. */
    const char *const order[] = {"ip address del 192.0.2.7/24 dev eth0\n", "DHCP=no",
                                 "s/^DOMAINNAME=/Domains=/p", "&\\nGateway=192.0.2.1|",
                                 "networkctl reload\n"};
    const char *at = unit;
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        const char *next = strstr(at, order[i]);
        if (!next)
            fail_msg("no \"%s\" in\n%s", order[i], at);
        at = next;
    }
    json_decref(facts);
}

/* Into the file as well, in the words of its manager. */
static void routes_stand_in_the_managers_file(void **state)
{
    static const struct {
        const char *manager, *whole, *other;
    } cases[] = {
        {"networkd",       "&\\nGateway=192.0.2.1|",
         "printf '\\n[Route]\\nDestination=203.0.113.0/24\\nGateway=192.0.2.2\\n' >>$F\n"                                                                                    },
        {"ifupdown",
         "s#^[[:space:]]*address[[:space:]]+192\\.0\\.2\\.7/24$#&\\n    gateway 192.0.2.1#' $F\n", "&\\n    up ip route replace 203.0.113.0/24 via 192.0.2.2 dev eth0#' $F\n"},
        {"NetworkManager", "device show eth0)\" ipv4.gateway '192.0.2.1'\n",
         "device show eth0)\" +ipv4.routes '203.0.113.0/24 192.0.2.2'\n"                                                                                                     },
        {"netplan",
         "# write into the network file of eth0: routes: [{to: default, via: "
         "192.0.2.1}]\n",                                                                          "routes: [{to: 203.0.113.0/24, via: 192.0.2.2}]\n"                        },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *facts = facts_of(true, "");
        json_t *host = json_object_get(facts, "destination");
        json_t *nic = json_array_get(json_object_get(host, "interfaces"), 0);
        json_t *move = json_array_get(json_object_get(json_object_get(facts, "plan"), "moves"), 0);
        (void)json_object_set_new(nic, "name", json_string("eth0"));
        (void)json_object_set_new(nic, "manager", json_string(cases[i].manager));
        (void)json_object_set_new(move, "routes",
                                  json_pack("[s,s,s]", "default via 192.0.2.1",
                                            "203.0.113.0/24 via 192.0.2.2", "x via $(reboot)"));
        CLEANUP(mem_free) char *all = typed(facts, "destination.addresses", "new1");
        if (!strstr(all, cases[i].whole) || !strstr(all, cases[i].other) ||
            !strstr(all, "ip route replace 203.0.113.0/24 via 192.0.2.2 dev eth0\n"))
            fail_msg("%s: no \"%s\" or no \"%s\" in\n%s", cases[i].manager, cases[i].whole,
                     cases[i].other, all);
        assert_null(strstr(all, "reboot"));
        json_decref(facts);
    }
}

static void without_a_plan_nothing_is_typed(void **state)
{
    (void)state;
    json_t *facts = read_json("{}");
    for (unsigned i = 0; i < CUTOVER_ROWS; i++) {
        CLEANUP(mem_free) char *a = typed(facts, cutover_rows[i].id, "fs1");
        CLEANUP(mem_free) char *b = typed(facts, cutover_rows[i].id, "new1");
        assert_string_equal(a, "");
        assert_string_equal(b, "");
    }
    json_decref(facts);
}

/* ── the identity ── */

#define DOMAIN(kvno, spns)                                                                         \
    "'domain':{'realm':'LAB','account_dn':'CN=FS1','account_sid':'S-1-5-21-1','spns':[" spns       \
    "],'groups':['CN=a'],'acl_digest':'ff','key_version':" kvno ",'trusted':true}"
#define NAMES(host) "'names':{'host':'" host "','netbios':'" host "','aliases':[],'dns_names':[]}"
#define SHARES(path) "'shares':[{'name':'data','path':'" path "','missing':false}]"
#define BEFORE                                                                                     \
    ",'source':{" NAMES("fs1") ",'local_sid':'S-1-5-21-9'," SHARES("/srv/b") "," DOMAIN(           \
        "2", "'a/x','b/y'") "," NICS("eth0", "1", "192.0.2.7/24") "}"
#define AFTER(kvno, spns, sid)                                                                     \
    "'destination':{" NAMES("fs1") ",'local_sid':'" sid "'," SHARES("/srv/a") "," DOMAIN(          \
        kvno, spns) "," NICS("ens1", "2", "192.0.2.7/24") "},'source':{" NAMES("fs1-old") "}"

static const char *judged(const json_t *lines, const char *on, const char *what)
{
    size_t i;
    const json_t *one;
    json_array_foreach(lines, i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "what")), what) == 0 &&
            strcmp(json_string_value(json_object_get(one, "on")), on) == 0)
            return json_string_value(json_object_get(one, "judged"));
    }
    fail_msg("no line %s of %s", what, on);
    return "";
}

static json_t *compared(const char *after)
{
    char text[8192];
    (void)snprintf(text, sizeof text, "{" PLAN BEFORE ",'after':{%s}}", "true", after);
    json_t *facts = read_json(text), *lines = cutover_compare(facts);
    json_decref(facts);
    return lines;
}

static void the_identity_is_judged_line_by_line(void **state)
{
    (void)state;
    json_t *lines = compared(AFTER("2", "'b/y','a/x'", "S-1-5-21-9"));
    static const struct {
        const char *on, *what, *judged;
    } cases[] = {
        {"server", "host name",     "same"    },
        {"server", "address",       "same"    },
        {"server", "machine's SID", "same"    },
        {"server", "service names", "same"    }, /* in whatever order */
        {"server", "key version",   "same"    },
        {"server", "share data",    "expected"},
        {"source", "host name",     "expected"},
        {"source", "addresses",     "expected"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(judged(lines, cases[i].on, cases[i].what), cases[i].judged);
    assert_int_equal(cutover_changed(lines), 0);
    json_decref(lines);
}

static void what_nobody_planned_is_told(void **state)
{
    (void)state;
    json_t *lines = compared(AFTER("3", "'a/x'", "S-1-5-21-8"));
    assert_string_equal(judged(lines, "server", "machine's SID"), "changed");
    assert_string_equal(judged(lines, "server", "service names"), "changed");
    assert_string_equal(judged(lines, "server", "key version"), "changed");
    assert_int_equal(cutover_changed(lines), 3);
    json_decref(lines);
    /* A new key is what commit is for. */
    lines =
        compared(AFTER("2", "'a/x','b/y'", "S-1-5-21-9") ",'committed':{" NAMES("fs1") "," SHARES(
            "/srv/a") ",'local_sid':'S-1-5-21-9'," DOMAIN("3", "'a/x','b/y'") "," NICS("ens1", "2",
                                                                                       "192.0.2.7/"
                                                                                       "24") "}");
    assert_string_equal(judged(lines, "server", "key version"), "expected");
    assert_int_equal(cutover_changed(lines), 0);
    json_decref(lines);
}

/* Who joins anew keeps the SID by which the data name its accounts. */
/* A join writes what smb.conf asks for; of anybody else's name it is no wonder of a join. */
static void service_names_of_aliases_are_expected(void **state)
{
    static const struct {
        int method;
        const char *after, *judged;
    } rows[] = {
        {2, "['a/x','b/y','HOST/FILES','HOST/files.lab.test']", "expected"},
        {1, "['a/x','b/y','HOST/FILES']",                       "changed" },
        {2, "['a/x','HOST/FILES']",                             "changed" },
        {2, "['a/x','b/y','HOST/other']",                       "changed" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[8192];
        (void)snprintf(text, sizeof text,
                       "{" PLAN BEFORE ",'after':{" AFTER("3", "'a/x','b/y'", "S-1-5-21-9") "}}",
                       "true");
        json_t *facts = read_json(text);
        json_t *before = json_object_get(json_object_get(facts, "source"), "names");
        json_t *now = json_object_get(
            json_object_get(json_object_get(facts, "after"), "destination"), "domain");
        (void)json_object_set_new(json_object_get(facts, "plan"), "method",
                                  json_integer(rows[i].method));
        (void)json_object_set_new(before, "aliases", json_pack("[s]", "FILES"));
        (void)json_object_set_new(now, "spns", read_json(rows[i].after));
        json_t *lines = cutover_compare(facts);
        assert_string_equal(judged(lines, "server", "service names"), rows[i].judged);
        json_decref(lines);
        json_decref(facts);
    }
}

static void a_sid_that_was_to_stay_is_expected(void **state)
{
    (void)state;
    static const char *const planned[] = {"S-1-5-21-8", "S-1-5-21-9"};
    for (size_t i = 0; i < ARRAY_SIZE(planned); i++) {
        char text[8192];
        (void)snprintf(text, sizeof text,
                       "{" PLAN BEFORE ",'after':{" AFTER("3", "'b/y','a/x'", "S-1-5-21-8") "}}",
                       "true");
        json_t *facts = read_json(text), *p = json_object_get(facts, "plan");
        (void)json_object_set_new(p, "method", json_integer(2));
        (void)json_object_set_new(p, "local_sid", json_string(planned[i]));
        json_t *lines = cutover_compare(facts);
        assert_string_equal(judged(lines, "server", "machine's SID"), i ? "changed" : "expected");
        json_decref(lines);
        json_decref(facts);
    }
}

static void before_the_end_there_is_no_report(void **state)
{
    (void)state;
    json_t *facts = facts_of(true, "");
    json_t *lines = cutover_compare(facts);
    assert_int_equal(json_array_size(lines), 0);
    json_decref(lines);
    json_decref(facts);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_a_shell_stay_words),
        cmocka_unit_test(each_stage_has_its_commands),
        cmocka_unit_test(files_of_other_managers_are_edited),
        cmocka_unit_test(who_asked_by_dhcp_asks_no_more),
        cmocka_unit_test(routes_stand_in_the_managers_file),
        cmocka_unit_test(without_a_plan_nothing_is_typed),
        cmocka_unit_test(the_identity_is_judged_line_by_line),
        cmocka_unit_test(what_nobody_planned_is_told),
        cmocka_unit_test(a_sid_that_was_to_stay_is_expected),
        cmocka_unit_test(service_names_of_aliases_are_expected),
        cmocka_unit_test(before_the_end_there_is_no_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
