/* test_dns: what a cutover by name only changes in DNS, against a name server of the test's own: a
 * file of records, which programs `dig` and `nsupdate` read and write. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/stage.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/identity/own_host.h"
#include "tests/unit/test.h"

/* dig … @DC NAME TYPE */
static const char dig[] = "#!/bin/sh\nfor a; do name=$type; type=$a; done\n"
                          "case \"$*\" in *+authority*) cat @/authority; exit ;; esac\n"
                          "awk -v n=\"$name.\" -v t=\"$type\" '$1 == n && $4 == t' @/zone\n";
/* Who asks is in the ticket: `net ads kerberos kinit`. The machine may write unless @/closed. */
static const char nsupdate[] =
    "#!/bin/sh\nread -r who <\"${KRB5CCNAME#FILE:}\"\n"
    "echo \"nsupdate as $who\" >>@/calls\n"
    "[ $who = person ] || [ ! -e @/closed ] || { echo 'update failed: REFUSED' >&2; exit 2; }\n"
    "while read -r word verb name rest; do case \"$verb\" in\n"
    "delete) awk -v n=\"$name\" -v t=\"$rest\" '$1 != n || $4 != t' @/zone >@/zone.new\n"
    "  mv @/zone.new @/zone ;;\n"
    "add) echo \"$name ${rest%% *} IN ${rest#* }\" >>@/zone ;;\nesac; done\n"
    "[ ! -e @/unsigned ] || { echo 'tsig verify failure' >&2; exit 2; }\n";
static const char net[] =
    "#!/bin/sh\ncase \"$*\" in\n"
    "'ads kerberos kinit'*) case \"$*\" in *-A*) who=person ;; *) who=machine ;; "
    "esac\n  [ \"$KRB5CCNAME\" = MEMORY:godwit ] || echo $who "
    ">\"${KRB5CCNAME#FILE:}\" ;;\n"
    "*) exit 1 ;;\nesac\n";
static const char ip[] =
    "#!/bin/sh\ncase \"$*\" in *address*) ;; *) echo '[]'; exit ;; esac\n"
    "echo '[{\"ifname\":\"eth0\",\"address\":\"52:54:00:00:00:01\",\"mtu\":1500,\"addr_info\":"
    "[{\"local\":\"198.51.100.8\",\"prefixlen\":24,\"scope\":\"global\"}]}]'\n";
static const char zone[] = "fs1.lab.test. 3600 IN A 192.0.2.7\n"
                           "docs.lab.test. 900 IN A 192.0.2.7\n"
                           "files.lab.test. 30 IN A 192.0.2.7\n"
                           "www.lab.test. 3600 IN CNAME fs1.lab.test.\n"
                           "new1.lab.test. 3600 IN A 198.51.100.8\n";

static int begin(void **state)
{
    (void)state;
    host_begin();
    host_program("dig", dig);
    host_program("nsupdate", nsupdate);
    host_program("net", net);
    host_program("ip", ip);
    host_program("ldapsearch", "#!/bin/sh\necho \"look $*\" >>@/calls\necho 'dn: DC=x'\n");
    host_program("ldapdelete", "#!/bin/sh\necho \"drop $*\" >>@/calls\n");
    host_put("zone", zone, 0600);
    host_put("authority", "", 0600);
    host_put("calls", "", 0600);
    host_put("etc/godwit/cutover.cred", "username=joiner\npassword=x\n", 0600);
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_end();
    return 0;
}

#define SOURCE GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE
#define DESTINATION GODWIT__IDENTITY_ROLE__IDENTITY_DESTINATION
#define DO GODWIT__IDENTITY_ACTION__IDENTITY_DO
#define PROBE GODWIT__IDENTITY_ACTION__IDENTITY_PROBE
#define UNDO GODWIT__IDENTITY_ACTION__IDENTITY_UNDO

static Godwit__IdentityResult *order(Godwit__IdentityRole role, const char *stage,
                                     Godwit__IdentityAction action)
{
    Godwit__IdentityOrder o = GODWIT__IDENTITY_ORDER__INIT;
    Godwit__IdentityPlan p = GODWIT__IDENTITY_PLAN__INIT;
    Godwit__IdentityNames fs1 = GODWIT__IDENTITY_NAMES__INIT, new1 = fs1, later = fs1;
    Godwit__IdentityResult *r = xmalloc(sizeof *r);
    struct fault why = {.err = 0};
    char *old[] = {host_text("fs1.lab.test"), host_text("docs.lab.test"),
                   host_text("www.lab.test")},
         *other[] = {host_text("new1.lab.test")}, *next[] = {host_text("fs1-old.lab.test")},
         *aliases[] = {host_text("FILES"), host_text("NOWHERE")};
    fs1.host = host_text("fs1");
    fs1.dns_names = old;
    fs1.n_dns_names = 3;
    fs1.aliases = aliases;
    fs1.n_aliases = 2;
    new1.host = host_text("new1");
    new1.dns_names = other;
    new1.n_dns_names = 1;
    later.dns_names = next;
    later.n_dns_names = 1;
    p.domain = true;
    p.old = &fs1;
    p.destination_old = &new1;
    p.source_new = &later;
    p.dc = host_text("dc1.lab.test");
    o.cutover = host_text("0123456789abcdef.1");
    o.role = role;
    o.stage = host_text(stage);
    o.action = action;
    o.plan = action == UNDO ? NULL : &p;
    godwit__identity_result__init(r);
    const struct site host = {.root = host_root, .search = host_bin};
    int rc = stage_do(host_home, &host, &o, r, &why);
    if (rc < 0)
        fail_msg("%s: %s", stage, why.text);
    return r;
}

/* Does the probe hold, or what was said afterwards. */
static bool act(Godwit__IdentityRole role, const char *stage, Godwit__IdentityAction action)
{
    Godwit__IdentityResult *r = order(role, stage, action);
    bool is = r->is;
    godwit__identity_result__free_unpacked(r, NULL);
    return is;
}

static bool has(const char *line)
{
    CLEANUP(mem_free) char *all = host_get("zone");
    return strstr(all, line) != NULL;
}

/* The same records, in whatever order. */
static void assert_as_before(void)
{
    CLEANUP(mem_free) char *all = host_get("zone");
    assert_int_equal(strlen(all), strlen(zone));
    for (const char *at = zone; *at; at += strcspn(at, "\n") + 1) {
        CLEANUP(mem_free) char *line = xmemdup(at, strcspn(at, "\n") + 1);
        if (!strstr(all, line))
            fail_msg("no %s", line);
    }
}

static void names_move_to_the_destination_and_back(void **state)
{
    (void)state;
    assert_false(act(DESTINATION, "dns", PROBE));
    assert_as_before();
    assert_true(act(DESTINATION, "dns", DO));
    assert_true(has("fs1.lab.test. 3600 IN A 198.51.100.8\n"));
    assert_true(has("docs.lab.test. 900 IN A 198.51.100.8\n"));
    assert_true(has("files.lab.test. 30 IN A 198.51.100.8\n"));
    assert_true(has("www.lab.test. 3600 IN CNAME fs1.lab.test.\n"));
    assert_false(has("nowhere") || has("NOWHERE") || has("192.0.2.7"));
    assert_true(act(DESTINATION, "dns", PROBE));
    assert_true(act(DESTINATION, "tidy", DO));
    assert_false(has("new1"));
    assert_true(act(DESTINATION, "tidy", UNDO));
    assert_true(act(DESTINATION, "dns", UNDO));
    assert_as_before();
}

/* A record that others made, as of a name that an administrator added. */
static void where_the_machine_may_not_a_person_may(void **state)
{
    (void)state;
    host_put("closed", "", 0600);
    assert_true(act(DESTINATION, "dns", DO));
    assert_true(has("docs.lab.test. 900 IN A 198.51.100.8\n"));
    assert_true(host_called("nsupdate as machine") && host_called("nsupdate as person"));
    assert_true(act(DESTINATION, "dns", UNDO));
    assert_as_before();
}

/* The server did it, and its answer was not understood. */
static void what_is_so_counts(void **state)
{
    (void)state;
    host_put("unsigned", "", 0600);
    assert_true(act(DESTINATION, "dns", DO));
    assert_true(has("docs.lab.test. 900 IN A 198.51.100.8\n"));
    assert_false(host_called("nsupdate as person"));
    assert_true(act(DESTINATION, "dns", UNDO));
    assert_as_before();
}

/* What the directory keeps of a name that was made and taken back would keep others from it. */
static void a_name_that_was_made_goes_without_a_mark(void **state)
{
    (void)state;
    host_put("authority",
             ";; flags: qr aa rd; QUERY: 1\n100.51.198.in-addr.arpa. 3600 IN SOA d. h. 1\n", 0600);
    assert_true(act(SOURCE, "dns", DO));
    assert_true(has("fs1-old.lab.test. 3600 IN A 198.51.100.8\n"));
    assert_true(has("8.100.51.198.in-addr.arpa. 3600 IN PTR fs1-old.lab.test.\n"));
    assert_true(act(SOURCE, "dns", UNDO));
    assert_as_before();
    assert_true(
        host_called("drop -Q -Y GSSAPI -H ldap://dc1.lab.test "
                    "DC=fs1-old,DC=lab.test,CN=MicrosoftDNS,DC=DomainDnsZones,DC=lab,DC=test"));
    assert_false(host_called("DC=fs1,DC=lab.test"));
}

static void a_person_changes_them(void **state)
{
    (void)state;
    Godwit__IdentityResult *r = order(DESTINATION, "dns", GODWIT__IDENTITY_ACTION__IDENTITY_NOTE);
    godwit__identity_result__free_unpacked(r, NULL);
    assert_as_before();
    r = order(DESTINATION, "dns", GODWIT__IDENTITY_ACTION__IDENTITY_PROBE);
    assert_false(r->is);
    godwit__identity_result__free_unpacked(r, NULL);
    assert_true(act(DESTINATION, "dns", DO)); /* as the person would */
    assert_true(has("fs1.lab.test. 3600 IN A 198.51.100.8\n"));
    r = order(DESTINATION, "dns", GODWIT__IDENTITY_ACTION__IDENTITY_PROBE);
    assert_true(r->is);
    godwit__identity_result__free_unpacked(r, NULL);
    assert_true(act(DESTINATION, "dns", UNDO)); /* by the note that was first */
    assert_as_before();
}

static void names_are_remembered_for_a_minute_until_it_is_over(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) { /* prepare, and run */
        Godwit__IdentityResult *r = order(SOURCE, "ttl", DO);
        assert_int_equal(r->n_records, 2);
        assert_string_equal(r->records[0]->name, "fs1.lab.test");
        assert_int_equal(r->records[0]->ttl, 3600);
        assert_int_equal(r->records[1]->ttl, 900);
        assert_int_equal(r->n_checks, i == 0);
        godwit__identity_result__free_unpacked(r, NULL);
        assert_true(has("fs1.lab.test. 60 IN A 192.0.2.7\n"));
        assert_true(has("docs.lab.test. 60 IN A 192.0.2.7\n"));
        assert_true(has("files.lab.test. 30 IN A 192.0.2.7\n"));
    }
    assert_true(act(DESTINATION, "dns", DO));
    assert_true(has("fs1.lab.test. 60 IN A 198.51.100.8\n"));
    assert_true(act(DESTINATION, "dns", UNDO));
    assert_true(act(SOURCE, "ttl", UNDO));
    assert_as_before();
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(names_move_to_the_destination_and_back),
        CASE(where_the_machine_may_not_a_person_may),
        CASE(what_is_so_counts),
        CASE(a_name_that_was_made_goes_without_a_mark),
        CASE(a_person_changes_them),
        CASE(names_are_remembered_for_a_minute_until_it_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
