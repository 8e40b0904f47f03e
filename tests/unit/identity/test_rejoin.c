/* test_rejoin: leaving and joining against a directory of the test's own: a program `net` that
 * keeps the account in a file, and does what the test lets it do. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/identity/keytab.h"
#include "agent/identity/stage.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/identity/own_host.h"
#include "tests/unit/test.h"

#define PASSWORD "Very-Secret-1"
#define SID "S-1-5-21-1-2-3-1107"
#define SECRETS "var/lib/samba/private/secrets.tdb"

/* The key that counts is in @/ad.key, the machine's in its secrets.tdb; disabled: @/ad.off. Each
 * call is told to @/calls. */
static const char net[] =
    "#!/bin/sh\necho \"$*\" >>@/calls\n"
    "d=@/" SECRETS "\n"
    "case \"$1 $2 $3\" in\n"
    "'ads kerberos kinit') [ -e $d ] && [ ! -e @/ad.off ] && cmp -s $d @/ad.key ;;\n"
    "'ads leave --keep-account') [ ! -e @/no-leave ] && touch @/ad.off && rm -f $d ;;\n"
    "'ads join createcomputer=Servers') [ ! -e @/no-join ] || exit 1\n"
    "  echo new-key$$ >@/ad.key; cp @/ad.key $d; rm -f @/ad.off; touch @/ad.there;;\n"
    "'ads search '*) case $3 in *FS1*|*NEW1*) ;; *sAMAccountName=joiner*) "
    "echo 'distinguishedName: CN=joiner,DC=x'; exit;; *) [ -e @/ad.there ] || exit 0 ;; esac\n"
    "  echo 'distinguishedName: CN=FS1,OU=Servers,DC=lab,DC=test'\n"
    "  [ -e @/ad.off ] && echo 'userAccountControl: 4098' || echo 'userAccountControl: 4096'\n"
    "  cat @/ad.text ;;\n"
    "'ads dn '*) cat @/ad.container ;;\n"
    "'ads keytab create') [ ! -e @/no-keytab ] && echo made >@/etc/krb5.keytab ;;\n"
    "'ads setspn add') echo \"servicePrincipalName: $5\" >>@/ad.text ;;\n"
    "'rpc user delete') rm -f @/ad.there ;;\n"
    "'setlocalsid '*) echo $2 >@/local ;;\n"
    "*) exit 1 ;;\nesac\n";
static const char may_all[] = "objectSid: " SID "\nmemberOf: CN=g,DC=x\n"
                              "servicePrincipalName: HOST/FS1\n"
                              "allowedAttributesEffective: unicodePwd\n"
                              "allowedAttributesEffective: userAccountControl\n"
                              "allowedAttributesEffective: servicePrincipalName\n"
                              "allowedAttributesEffective: dNSHostName\n";

static int begin(void **state)
{
    (void)state;
    host_begin();
    host_program("net", net);
    host_program("ldapsearch", "#!/bin/sh\ncase \"$*\" in *MAMCAQQ=*) ;; *) exit 1 ;; esac\n"
                               "echo 'dn: CN=FS1'\necho 'nTSecurityDescriptor:: AQAEhA=='\n");
    host_program("ldapadd", "#!/bin/sh\necho \"ldapadd $*\" >>@/calls\ncat >@/added\n"
                            "[ ! -e @/no-add ] && touch @/ad.there\n");
    host_put("etc/samba/smb.conf", "[global]\n   netbios name = FS1\n", 0644);
    host_put("etc/godwit/cutover.cred", "username=joiner\npassword=" PASSWORD "\n", 0600);
    host_put("etc/krb5.keytab", "keys of fs1", 0600);
    host_put(SECRETS, "key of fs1", 0600);
    host_put("ad.key", "key of fs1", 0600);
    host_put("ad.text", may_all, 0600);
    host_put("ad.container",
             "distinguishedName: OU=Servers,DC=lab,DC=test\n"
             "allowedChildClassesEffective: computer\n",
             0600);
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_end();
    return 0;
}

static int given_up; /* readable: nobody waits for what is done here */
static const char *new_name = "OLD9";
static size_t warned; /* checks of the last order that are no pass */

static int order(Godwit__IdentityRole role, const char *stage, Godwit__IdentityAction action,
                 bool *is)
{
    Godwit__IdentityOrder o = GODWIT__IDENTITY_ORDER__INIT;
    Godwit__IdentityPlan p = GODWIT__IDENTITY_PLAN__INIT;
    Godwit__IdentityNames new1 = GODWIT__IDENTITY_NAMES__INIT, fs1 = new1, later = new1;
    Godwit__IdentityDomain account = GODWIT__IDENTITY_DOMAIN__INIT;
    Godwit__IdentityResult *r = xmalloc(sizeof *r);
    struct fault why = {.err = 0};
    char *groups[] = {host_text("CN=g,DC=x")},
         *spns[] = {host_text("HOST/FS1"), host_text("nfs/fs1.lab.test")};
    fs1.netbios = host_text("FS1");
    new1.netbios = host_text("NEW1");
    later.netbios = host_text("FS1-7C2D");
    bool own = strcmp(stage, "join") == 0 || strcmp(stage, "staged") == 0;
    if (own && role == GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE)
        later.netbios = host_text(new_name);
    char *full[] = {host_text("old9.lab.test")};
    later.dns_names = full;
    later.n_dns_names = 1;
    account.account_sid = host_text(SID);
    account.groups = groups;
    account.n_groups = 1;
    account.spns = spns;
    account.n_spns = 2;
    p.method = GODWIT__IDENTITY_METHOD__IDENTITY_REJOIN;
    p.domain = true;
    p.old = &fs1;
    p.source_new = &later;
    p.destination_old = &new1;
    p.account = &account;
    p.ou = host_text("OU=Servers,DC=lab,DC=test");
    p.dc = host_text("dc1.lab.test");
    p.local_sid = host_text("S-1-5-21-7-8-9");
    o.cutover = host_text("0123456789abcdef.1");
    o.role = role;
    o.stage = host_text(stage);
    o.action = action;
    o.plan = strcmp(stage, "") != 0 ? &p : NULL; /* the timer's own has none */
    godwit__identity_result__init(r);
    const struct site host = {.root = host_root, .search = host_bin, .cancel_fd = given_up};
    int rc = stage_do(host_home, &host, &o, r, &why);
    if (is)
        *is = r->is;
    warned = 0;
    for (size_t i = 0; i < r->n_checks; i++)
        warned += strcmp(r->checks[i]->result, "pass") != 0;
    godwit__identity_result__free_unpacked(r, NULL);
    if (rc < 0)
        assert_true(why.err > 0 && why.text[0] && !strstr(why.text, PASSWORD));
    return rc;
}

#define SOURCE GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE
#define DESTINATION GODWIT__IDENTITY_ROLE__IDENTITY_DESTINATION
#define DO GODWIT__IDENTITY_ACTION__IDENTITY_DO
#define PROBE GODWIT__IDENTITY_ACTION__IDENTITY_PROBE
#define UNDO GODWIT__IDENTITY_ACTION__IDENTITY_UNDO

static void a_host_leaves_and_comes_back(void **state)
{
    (void)state;
    bool is = true;
    assert_int_equal(order(SOURCE, "leave", PROBE, &is), 0);
    assert_false(is);
    assert_int_equal(order(SOURCE, "leave", DO, NULL), 0);
    host_assert_file("ad.off", "");
    host_assert_file(SECRETS, "(none)");
    host_assert_file("etc/krb5.keytab", "(none)");
    assert_int_equal(order(SOURCE, "leave", PROBE, &is), 0);
    assert_true(is);
    assert_int_equal(order(SOURCE, "leave", DO, NULL), 0); /* again */
    assert_int_equal(order(SOURCE, "", UNDO, NULL), 0);    /* without a plan: by the notes alone */
    host_assert_file("ad.off", "(none)");
    host_assert_file("etc/krb5.keytab", "keys of fs1");
    assert_true(
        host_called("ads join createcomputer=Servers --no-dns-updates -S dc1.lab.test -A "));
    assert_int_equal(order(SOURCE, "leave", UNDO, NULL), 0);
    assert_false(host_called(PASSWORD));
}

/* Killed before the directory was asked: the account counts all the time, no join is made. */
static void nothing_is_joined_where_nobody_left(void **state)
{
    (void)state;
    host_put("no-leave", "", 0600);
    assert_int_equal(order(SOURCE, "leave", DO, NULL), -EIO);
    assert_int_equal(order(SOURCE, "leave", UNDO, NULL), 0);
    host_assert_file(SECRETS, "key of fs1");
    assert_false(host_called("ads join"));
}

static void the_destination_joins_as_the_source(void **state)
{
    (void)state;
    host_put(SECRETS, "key of new1", 0600);
    host_put("ad.off", "", 0600);
    bool is = true;
    assert_int_equal(order(DESTINATION, "join", PROBE, &is), 0);
    assert_false(is);
    assert_int_equal(order(DESTINATION, "join", DO, NULL), 0);
    assert_true(host_called("setspn add FS1 nfs/fs1.lab.test"));
    host_assert_file("local", "S-1-5-21-7-8-9\n");
    assert_int_equal(order(DESTINATION, "join", PROBE, &is), 0);
    assert_true(is);
    host_put("calls", "", 0600);
    assert_int_equal(order(DESTINATION, "join", DO, NULL), 0);
    assert_false(host_called("ads join"));
    assert_int_equal(order(DESTINATION, "join", UNDO, NULL), 0);
    host_assert_file(SECRETS, "key of new1");
    assert_false(host_called("rpc user delete"));
}

static int make_keytab(void)
{
    CLEANUP(mem_free) char *folder = stage_folder(host_home, "0123456789abcdef.1");
    struct fault why = {.err = 0};
    struct stage_run r = {
        .site = {.root = host_root, .search = host_bin, .folder = folder},
          .reterr = &why
    };
    return keytab_make(&r);
}

/* Samba reads it beside its own secrets, and is served without it; most of a join is writing it. */
static void the_keytab_is_made_when_users_are_served(void **state)
{
    static const char conf[] = "[global]\n   netbios name = FS1\n   kerberos method = ";
    static const char *const others[] = {"system keytab\n", "secrets only\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(others) + 1; i++) {
        bool both = i == ARRAY_SIZE(others);
        CLEANUP(mem_free)
        char *text = xasprintf("%s%s", conf, both ? "secrets and keytab\n" : others[i]);
        host_put("etc/samba/smb.conf", text, 0644);
        host_put(SECRETS, "key of new1", 0600);
        host_put("ad.off", "", 0600);
        host_put("calls", "", 0600);
        assert_int_equal(order(DESTINATION, "join", DO, NULL), 0);
        assert_int_equal(host_called("--option=kerberos method=secrets only"), both);
        assert_int_equal(host_called("ads keytab"), false);
        if (!both) {
            assert_int_equal(make_keytab(), 0);
            assert_int_equal(order(DESTINATION, "join", UNDO, NULL), 0);
        }
    }
    host_put("no-keytab", "", 0600);
    assert_int_equal(make_keytab(), -EIO);
    CLEANUP(mem_free) char *no = xasprintf("%s/no-keytab", host_root);
    assert_int_equal(unlink(no), 0);
    assert_int_equal(make_keytab(), 1); /* it was due still */
    assert_true(host_called("ads keytab create -S dc1.lab.test -P"));
    host_assert_file("etc/krb5.keytab", "made\n");
    assert_int_equal(make_keytab(), 0);
    assert_int_equal(order(DESTINATION, "join", UNDO, NULL), 0);
    host_assert_file("etc/krb5.keytab", "keys of fs1");
}

static void no_keytab_is_due_where_the_join_was_taken_back(void **state)
{
    (void)state;
    host_put("etc/samba/smb.conf",
             "[global]\n   netbios name = FS1\n   kerberos method = secrets and keytab\n", 0644);
    host_put(SECRETS, "key of new1", 0600);
    host_put("ad.off", "", 0600);
    assert_int_equal(order(DESTINATION, "join", DO, NULL), 0);
    assert_int_equal(order(DESTINATION, "join", UNDO, NULL), 0);
    assert_int_equal(make_keytab(), 0);
    /* Who has left comes back with a key of its own: then there is one to be made again. */
    host_put(SECRETS, "key of fs1", 0600);
    host_put("ad.key", "key of fs1", 0600);
    assert_int_equal(order(SOURCE, "leave", DO, NULL), 0);
    assert_int_equal(order(SOURCE, "leave", UNDO, NULL), 0);
    assert_true(host_called("--option=kerberos method=secrets only"));
    assert_int_equal(make_keytab(), 1);
}

/* The source's order runs beside this one: two that have joined by one name would both be it. */
static void the_destination_waits_until_the_source_has_left(void **state)
{
    (void)state;
    host_put(SECRETS, "key of new1", 0600);
    pid_t pid = fork();
    if (pid == 0) {
        CLEANUP(mem_free) char *path = xasprintf("%s/calls", host_root);
        CLEANUP(mem_free) char *off = xasprintf("%s/ad.off", host_root);
        struct stat st;
        while (stat(path, &st) < 0 || st.st_size < 600) /* it has asked, and asked again */
            (void)poll(NULL, 0, 5);
        _exit(host_called("ads join") || file_write(off, 0600, "", 0) < 0);
    }
    assert_int_equal(order(DESTINATION, "join", DO, NULL), 0);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(host_called("ads join"));
}

/* The source could not leave: whoever goes back is not to wait for that. */
static void a_destination_that_is_told_so_waits_no_longer(void **state)
{
    (void)state;
    int both[2];
    assert_int_equal(pipe(both), 0);
    host_put(SECRETS, "key of new1", 0600);
    given_up = both[0];
    assert_int_equal(write(both[1], "\n", 1), 1);
    assert_int_equal(order(DESTINATION, "join", DO, NULL), -ECANCELED); /* not -ETIMEDOUT */
    assert_false(host_called("ads join"));
    host_assert_file(SECRETS, "key of new1");
    host_put("ad.off", "", 0600); /* it need not wait: then it does what it was told */
    assert_int_equal(order(DESTINATION, "join", DO, NULL), 0);
    given_up = 0;
    (void)close(both[0]);
    (void)close(both[1]);
}

/* The trap: a join by one who may not reset the password can delete the account. */
static void no_call_is_made_without_the_rights(void **state)
{
    static const char *const lacking[] = {"unicodePwd", "userAccountControl",
                                          "servicePrincipalName", "dNSHostName"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lacking); i++) {
        CLEANUP(mem_free) char *line = xasprintf("allowedAttributesEffective: %s\n", lacking[i]);
        CLEANUP(mem_free) char *less = xstrdup(may_all);
        char *at = strstr(less, line);
        memmove(at, at + strlen(line), strlen(at + strlen(line)) + 1);
        host_put("ad.text", less, 0600);
        host_put("calls", "", 0600);
        assert_int_equal(order(SOURCE, "leave", DO, NULL), -EACCES);
        host_put(SECRETS, "key of new1", 0600);
        assert_int_equal(order(DESTINATION, "join", DO, NULL), -EACCES);
        assert_false(host_called("ads join") || host_called("ads leave"));
        host_put(SECRETS, "key of fs1", 0600);
    }
}

static void another_account_is_not_taken(void **state)
{
    (void)state;
    host_put(SECRETS, "key of new1", 0600);
    host_put("ad.text", "objectSid: S-1-5-21-1-2-3-9\n", 0600);
    assert_int_equal(order(DESTINATION, "join", DO, NULL), -ESTALE);
    host_put("etc/godwit/cutover.cred", "username=joiner\npassword=x\n", 0644);
    assert_int_equal(order(DESTINATION, "join", DO, NULL), -EPERM);
    assert_false(host_called("ads join"));
}

static void the_source_gets_an_account_of_its_own(void **state)
{
    (void)state;
    host_put("etc/samba/smb.conf", "[global]\n   netbios name = OLD9\n", 0644);
    host_put("ad.key", "key that the destination has", 0600);
    assert_int_equal(order(SOURCE, "join", DO, NULL), 0);
    host_assert_file("ad.there", "");
    assert_false(host_called("setlocalsid"));
    assert_int_equal(order(SOURCE, "join", UNDO, NULL), 0);
    host_assert_file("ad.there", "(none)");
    host_assert_file(SECRETS, "key of fs1");
    /* Somebody else's of that name stays whose it is. */
    host_put("ad.there", "", 0600);
    assert_int_equal(order(SOURCE, "join", DO, NULL), -EEXIST);
    assert_int_equal(order(SOURCE, "join", UNDO, NULL), 0);
    host_assert_file("ad.there", "");
}

#define NOTE GODWIT__IDENTITY_ACTION__IDENTITY_NOTE

/* A person leaves and joins: what was is noted before, counts when it is so, and comes back. */
static void a_person_leaves_and_joins(void **state)
{
    (void)state;
    bool is = true;
    assert_int_equal(order(SOURCE, "leave", NOTE, NULL), 0);
    assert_false(host_called("ads leave"));
    assert_int_equal(order(SOURCE, "leave", PROBE, &is), 0);
    assert_false(is);
    host_put("ad.off", "", 0600); /* net ads leave --keep-account */
    CLEANUP(mem_free) char *secrets = xasprintf("%s/" SECRETS, host_root);
    assert_int_equal(unlink(secrets), 0);
    assert_int_equal(order(SOURCE, "leave", PROBE, &is), 0);
    assert_true(is);
    assert_int_equal(order(SOURCE, "leave", DO, NULL), 0);
    assert_false(host_called("ads leave"));
    assert_int_equal(order(SOURCE, "leave", UNDO, NULL), 0);
    host_assert_file("ad.off", "(none)");

    host_put(SECRETS, "key of new1", 0600);
    host_put("ad.off", "", 0600);
    host_put("calls", "", 0600);
    assert_int_equal(order(DESTINATION, "join", NOTE, NULL), 0);
    assert_false(host_called("ads join"));
    assert_int_equal(order(DESTINATION, "join", PROBE, &is), 0);
    assert_false(is);
    host_put(SECRETS, "by hand", 0600); /* net ads join */
    host_put("ad.key", "by hand", 0600);
    CLEANUP(mem_free) char *off = xasprintf("%s/ad.off", host_root);
    assert_int_equal(unlink(off), 0);
    assert_int_equal(order(DESTINATION, "join", PROBE, &is), 0);
    assert_true(is);
    assert_int_equal(order(DESTINATION, "join", DO, NULL), 0); /* what was forgotten */
    assert_false(host_called("ads join"));
    assert_true(host_called("setspn add FS1 nfs/fs1.lab.test"));
    host_assert_file("local", "S-1-5-21-7-8-9\n");
    assert_int_equal(order(DESTINATION, "join", UNDO, NULL), 0);
    host_assert_file(SECRETS, "key of new1");
}

/* When the night comes nothing has to be made; where it never comes nothing is left. */
static void an_account_waits_for_the_source(void **state)
{
    (void)state;
    bool is = true;
    host_put("etc/samba/smb.conf", "[global]\n   netbios name = OLD9\n", 0644);
    assert_int_equal(order(SOURCE, "staged", PROBE, &is), 0);
    assert_false(is);
    for (int i = 0; i < 2; i++) /* prepare, and run */
        assert_int_equal(order(SOURCE, "staged", DO, NULL), 0);
    assert_int_equal(warned, 0);
    host_assert_file("added", "dn: CN=OLD9,OU=Servers,DC=lab,DC=test\nobjectClass: computer\n"
                              "sAMAccountName: OLD9$\nuserAccountControl: 4098\n"
                              "servicePrincipalName: HOST/OLD9\n"
                              "servicePrincipalName: RestrictedKrbHost/OLD9\n"
                              "dNSHostName: old9.lab.test\n"
                              "servicePrincipalName: HOST/old9.lab.test\n"
                              "servicePrincipalName: RestrictedKrbHost/old9.lab.test\n");
    assert_int_equal(order(SOURCE, "staged", PROBE, &is), 0);
    assert_true(is);
    host_put("ad.key", "key that the destination has", 0600);
    assert_int_equal(order(SOURCE, "join", DO, NULL), 0);
    assert_true(host_called("ads join createcomputer=Servers"));
    assert_int_equal(order(SOURCE, "", UNDO, NULL), 0);
    host_assert_file("ad.there", "(none)");
    host_put("ad.key", "key of fs1", 0600);
    assert_int_equal(order(SOURCE, "staged", DO, NULL), 0);
    host_assert_file("ad.there", "");
    assert_int_equal(order(SOURCE, "staged", UNDO, NULL), 0); /* never used */
    host_assert_file("ad.there", "(none)");
    assert_int_equal(order(SOURCE, "staged", PROBE, &is), 0);
    assert_false(is);
}

static void another_new_name_gets_another_account(void **state)
{
    (void)state;
    host_put("etc/samba/smb.conf", "[global]\n   netbios name = OLD9\n", 0644);
    assert_int_equal(order(SOURCE, "staged", DO, NULL), 0);
    new_name = "OLD8";
    assert_int_equal(order(SOURCE, "staged", DO, NULL), 0);
    assert_true(host_called("rpc user delete OLD9$"));
    CLEANUP(mem_free) char *text = host_get("added");
    assert_non_null(strstr(text, "CN=OLD8,"));
    assert_int_equal(order(SOURCE, "staged", UNDO, NULL), 0);
    assert_true(host_called("rpc user delete OLD8$"));
    new_name = "OLD9";
}

/* It is no reason to stop: the source makes it when it joins, or stays outside. */
static void what_cannot_be_made_is_told_and_not_removed(void **state)
{
    (void)state;
    host_put("no-add", "", 0600);
    assert_int_equal(order(SOURCE, "staged", DO, NULL), 0);
    assert_int_equal(warned, 1);
    host_put("ad.there", "", 0600); /* somebody's, since */
    assert_int_equal(order(SOURCE, "staged", DO, NULL), 0);
    assert_int_equal(warned, 1);
    assert_int_equal(order(SOURCE, "staged", UNDO, NULL), 0);
    host_assert_file("ad.there", "");
    host_put("ad.container", "distinguishedName: OU=Servers,DC=lab,DC=test\n", 0600);
    host_put("calls", "", 0600);
    CLEANUP(mem_free) char *there = xasprintf("%s/ad.there", host_root);
    assert_int_equal(unlink(there), 0);
    assert_int_equal(order(SOURCE, "staged", DO, NULL), 0);
    assert_int_equal(warned, 1);
    assert_false(host_called("ldapadd"));
    assert_false(host_called(PASSWORD));
}

static void without_a_credential_it_says_so(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *path = xasprintf("%s/etc/godwit/cutover.cred", host_root);
    host_put("etc/samba/smb.conf", "[global]\n   netbios name = OLD9\n", 0644);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(order(SOURCE, "join", DO, NULL), -ENOKEY);
    host_assert_file(SECRETS, "key of fs1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_host_leaves_and_comes_back, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_joined_where_nobody_left, begin, end),
        cmocka_unit_test_setup_teardown(the_destination_joins_as_the_source, begin, end),
        cmocka_unit_test_setup_teardown(the_keytab_is_made_when_users_are_served, begin, end),
        cmocka_unit_test_setup_teardown(no_keytab_is_due_where_the_join_was_taken_back, begin, end),
        cmocka_unit_test_setup_teardown(the_destination_waits_until_the_source_has_left, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_destination_that_is_told_so_waits_no_longer, begin, end),
        cmocka_unit_test_setup_teardown(no_call_is_made_without_the_rights, begin, end),
        cmocka_unit_test_setup_teardown(another_account_is_not_taken, begin, end),
        cmocka_unit_test_setup_teardown(the_source_gets_an_account_of_its_own, begin, end),
        cmocka_unit_test_setup_teardown(a_person_leaves_and_joins, begin, end),
        cmocka_unit_test_setup_teardown(an_account_waits_for_the_source, begin, end),
        cmocka_unit_test_setup_teardown(another_new_name_gets_another_account, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_made_is_told_and_not_removed, begin, end),
        cmocka_unit_test_setup_teardown(without_a_credential_it_says_so, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
