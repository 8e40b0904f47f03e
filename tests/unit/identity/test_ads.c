/* test_ads: what `net`, `dig` and a credential's file say, read; what is written for others. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/ads.h"
#include "agent/identity/check.h"
#include "agent/identity/dns.h"
#include "agent/identity/rights.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static void credentials(void **state)
{
    static const struct {
        const char *text, *user, *domain, *password; /* user NULL: refused */
    } cases[] = {
        {"username = joiner\npassword = a b=c \ndomain = EX\n", "joiner",        "EX", "a b=c "},
        {"password=x\r\n  username=EX\\joiner\r\n",             "joiner",        "EX", "x"     },
        {"username=joiner@EX.ORG\npassword=x",                  "joiner@EX.ORG", "",   "x"     },
        {"username=joiner\n",                                   NULL,            NULL, NULL    },
        {"password=x\n",                                        NULL,            NULL, NULL    },
        {"username=joiner\npassword=\n",                        NULL,            NULL, NULL    },
        {"username=-joiner\npassword=x\n",                      NULL,            NULL, NULL    },
        {"username=a)(b\npassword=x\n",                         NULL,            NULL, NULL    },
        {"usernames=joiner\npassword=x\n",                      NULL,            NULL, NULL    },
        {"",                                                    NULL,            NULL, NULL    },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(credential_free) struct credential *c = NULL;
        int rc = credential_parse(cases[i].text, &c);
        assert_int_equal(rc, cases[i].user ? 0 : -EBADMSG);
        if (!cases[i].user)
            continue;
        assert_string_equal(c->user, cases[i].user);
        assert_string_equal(c->domain, cases[i].domain);
        assert_string_equal(c->password, cases[i].password);
    }
}

static void a_file_that_others_may_read_is_refused(void **state)
{
    (void)state;
    char root[] = "/tmp/identity-ads-XXXXXX";
    static const char text[] = "username=joiner\npassword=x\n";
    struct fault why = {.err = 0};
    assert_non_null(mkdtemp(root));
    const struct site v = {.root = root};
    CLEANUP(mem_free) char *folder = xasprintf("%s/etc/godwit", root);
    CLEANUP(mem_free) char *path = xasprintf("%s/cutover.cred", folder);
    CLEANUP(mem_free) char *etc = xasprintf("%s/etc", root);
    CLEANUP(credential_free) struct credential *c = NULL;
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(credential_read(&v, &c, &why), -ENOKEY);
    assert_int_equal(file_write(path, 0640, text, strlen(text)), 0);
    assert_int_equal(credential_read(&v, &c, &why), -EPERM);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(credential_read(&v, &c, &why), 0);
    assert_string_equal(c->path, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    struct credential *none = NULL;
    assert_int_equal(credential_read(&v, &none, &why), -EPERM);
    (void)unlink(path);
    (void)rmdir(folder);
    (void)rmdir(etc);
    (void)rmdir(root);
}

static const char account[] =
    "Got 1 replies\n\ndistinguishedName: CN=FS1,OU=Servers,DC=lab,DC=test\n"
    "objectSid: S-1-5-21-1-2-3-1107\nuserAccountControl: 4098\nmsDS-KeyVersionNumber: 7\n"
    "servicePrincipalName: HOST/FS1\nservicePrincipalName: cifs/files.lab.test\n"
    "memberOf: CN=fileservers,CN=Users,DC=lab,DC=test\ndNSHostName: fs1.lab.test\n"
    "allowedAttributesEffective: userAccountControl\n"
    "-------------- Security Descriptor (revision: 1, type: 0x8c14)\nowner SID: S-1-5-32-544\n";

static void accounts(void **state)
{
    (void)state;
    size_t n = 0;
    CLEANUP(ads_account_free) struct ads_account *c = ads_parse(account, &n);
    assert_int_equal(n, 1);
    assert_string_equal(c->dn, "CN=FS1,OU=Servers,DC=lab,DC=test");
    assert_string_equal(c->sid, "S-1-5-21-1-2-3-1107");
    assert_int_equal(c->control, 4098);
    assert_int_equal(c->key_version, 7);
    assert_true(ads_has(c->spns, c->nspns, "CIFS/files.lab.test"));
    assert_int_equal(c->nspns, 2);
    assert_int_equal(c->ngroups, 1);
    assert_true(ads_has(c->writable, c->nwritable, "useraccountcontrol"));
    assert_non_null(strstr(c->acl, "owner SID"));
    CLEANUP(ads_account_free) struct ads_account *none = ads_parse("Got 0 replies\n\n", &n);
    assert_int_equal(n, 0);
    assert_null(none->dn);
    CLEANUP(ads_account_free)
    struct ads_account *two = ads_parse("distinguishedName: a=b\ndistinguishedName: c=d\n", &n);
    assert_int_equal(n, 2);
}

static void places(void **state)
{
    static const struct {
        const char *dn, *words;
    } cases[] = {
        {"CN=Computers,DC=lab,DC=test",       "Computers"   },
        {"OU=Servers,DC=lab,DC=test",         "Servers"     },
        {"OU=Unix,OU=Servers,DC=lab,DC=test", "Servers/Unix"},
        {"OU=a\\,b,DC=lab,DC=test",           NULL          },
        {"OU=a/b,DC=lab,DC=test",             NULL          },
        {"CN=Other,DC=lab,DC=test",           NULL          },
        {"OU=x",                              NULL          },
        {"",                                  NULL          },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(mem_free) char *words = ads_ou_words(cases[i].dn);
        if (cases[i].words)
            assert_string_equal(words, cases[i].words);
        else
            assert_null(words);
    }
    CLEANUP(mem_free) char *safe = ads_escape("a(b)*\\c");
    assert_string_equal(safe, "a\\28b\\29\\2a\\5cc");
}

#define ACE(type, flags, mask, sid, more)                                                          \
    "------- ACE (type: " type ", flags: " flags ", size: 0x38, mask: " mask ", object flags: "    \
    "0x1)\naccess SID:  " sid "\naccess type: X\n" more
#define ON_RESET                                                                                   \
    "Object type: SEC_ACE_OBJECT_TYPE_PRESENT\n"                                                   \
    "Object GUID: 00299570-246d-11d0-a768-00aa006e0529 (Reset Password)\n"
#define ON_OTHER                                                                                   \
    "Object type: SEC_ACE_OBJECT_TYPE_PRESENT\n"                                                   \
    "Object GUID: ab721a53-1e2f-11d0-9819-00aa0040529b (Change Password)\n"
#define INHERITED                                                                                  \
    "Object type: SEC_ACE_OBJECT_INHERITED_TYPE_PRESENT\n"                                         \
    "Object GUID: bf967a86-0de6-11d0-a285-00aa003049e2 (computer)\n"

static void who_may_reset_a_password(void **state)
{
    static const struct {
        const char *acl;
        bool may;
    } cases[] = {
        {ACE("0x05",    "0x00",        "0x100", "S-1-5-21-1", ON_RESET), true},
        {ACE("0x05", "0x00",     "0x100", "S-1-5-21-2", ON_RESET), true}, /* a group's */
        {ACE("0x05",             "0x00",                 "0x100", "S-1-5-21-3", ON_RESET), false},
        {ACE("0x05",      "0x00",   "0x100", "S-1-5-21-1", ON_OTHER), false},
        {ACE("0x05",         "0x00",                      "0x30", "S-1-5-21-1", ON_RESET), false},
        {ACE("0x00","0x00","0xf01ff", "S-1-5-21-1", ""), true},
        {ACE("0x05",    "0x12",            "0x100", "S-1-5-21-1", INHERITED), true},
        {ACE("0x05",    "0x1a",      "0x100", "S-1-5-21-1", ON_RESET), false}, /* for those below alone */
        {ACE("0x06", "0x00",     "0x100", "S-1-5-21-2", ON_RESET)
             ACE("0x05", "0x00", "0x100", "S-1-5-21-1", ON_RESET),
         false},
        {ACE("0x06",             "0x00",                 "0x100", "S-1-5-21-2", ON_OTHER)
             ACE("0x05", "0x00", "0x100", "S-1-5-21-1", ON_RESET),
         true},
        {"------- ACE (type: nonsense\n",       false},
        {"",        false                    },
    };
    char me[] = "S-1-5-21-1", group[] = "S-1-5-21-2", *sids[] = {me, group};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (rights_may_reset(cases[i].acl, sids, 2) != cases[i].may)
            fail_msg("case %zu", i);
}

static void records(void **state)
{
    (void)state;
    Godwit__UndoDns a, b;
    dns_parse("fs1.lab.test.\t\t900 IN A 192.0.2.7\nfs1.lab.test. 900 IN A 192.0.2.8\n"
              "other.lab.test. 900 IN A 192.0.2.9\nfs1.lab.test. 900 IN A not;one\n"
              "fs1.lab.test. 900 IN TXT x\n",
              "fs1.lab.test", "A", &a);
    assert_int_equal(a.n_values, 2);
    assert_int_equal(a.ttl, 900);
    a.dc = xstrdup("dc1.lab.test");
    CLEANUP(mem_free) char *script = dns_script(&a);
    assert_string_equal(script, "server dc1.lab.test\nupdate delete fs1.lab.test. A\n"
                                "update add fs1.lab.test. 900 A 192.0.2.7\n"
                                "update add fs1.lab.test. 900 A 192.0.2.8\nsend\n");
    dns_parse("fs1.lab.test. 60 IN A 192.0.2.8\nFS1.lab.test. 60 IN A 192.0.2.7\n", "fs1.lab.test",
              "A", &b);
    assert_true(dns_same(&a, &b));
    b.n_values--;
    assert_false(dns_same(&a, &b));
    b.n_values++;
    free(b.values[0]);
    b.values[0] = xstrdup("192.0.2.8\nupdate delete x. A");
    b.dc = xstrdup("dc1.lab.test");
    assert_null(dns_script(&b));
    dns_done(&a);
    dns_done(&b);
    dns_parse("7.2.0.192.in-addr.arpa. 60 IN PTR fs1.lab.test.\n", "7.2.0.192.in-addr.arpa", "PTR",
              &a);
    a.dc = xstrdup("dc1.lab.test");
    CLEANUP(mem_free) char *ptr = dns_script(&a);
    assert_non_null(strstr(ptr, "PTR fs1.lab.test.\n"));
    dns_done(&a);
}

static void reverse_names(void **state)
{
    static const char six[] = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.";
    (void)state;
    CLEANUP(mem_free) char *a = dns_reverse("192.0.2.7/24");
    CLEANUP(mem_free) char *b = dns_reverse("2001:db8::7/64");
    assert_string_equal(a, "7.2.0.192.in-addr.arpa");
    assert_int_equal(strncmp(b, six, sizeof six - 1), 0);
    assert_string_equal(b + sizeof six - 1, "ip6.arpa");
    assert_null(dns_reverse("x"));
}

static void clocks(void **state)
{
    long skew = 0;
    (void)state;
    assert_int_equal(check_offset("Realm: X\nServer time offset: -12\n", &skew), 0);
    assert_int_equal(skew, -12);
    assert_int_equal(check_offset("Server time offset: x\n", &skew), -ENODATA);
    assert_int_equal(check_offset("", &skew), -ENODATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials),
        cmocka_unit_test(a_file_that_others_may_read_is_refused),
        cmocka_unit_test(accounts),
        cmocka_unit_test(places),
        cmocka_unit_test(who_may_reset_a_password),
        cmocka_unit_test(records),
        cmocka_unit_test(reverse_names),
        cmocka_unit_test(clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
