/* test_ads: what `net`, `dig` and a credential's file say, read; what is written for others. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/ads.h"
#include "agent/identity/check.h"
#include "agent/identity/dns.h"
#include "agent/identity/rehearse.h"
#include "agent/identity/rights.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sid.h"
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
    "allowedAttributesEffective: userAccountControl\n";

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

/* A descriptor with these entries in its DACL. */
struct ace {
    uint8_t type, flags;
    uint32_t mask;
    const char *sid;
    const uint8_t *object, *inherited; /* NULL: none */
};

static const uint8_t on_reset[16] = {0x70, 0x95, 0x29, 0x00, 0x6d, 0x24, 0xd0, 0x11,
                                     0xa7, 0x68, 0x00, 0xaa, 0x00, 0x6e, 0x05, 0x29};
static const uint8_t on_other[16] = {0x53};
static const uint8_t computers[16] = {0x86, 0x7a, 0x96, 0xbf, 0xe6, 0x0d, 0xd0, 0x11,
                                      0xa2, 0x85, 0x00, 0xaa, 0x00, 0x30, 0x49, 0xe2};

static size_t put_ace(uint8_t *p, const struct ace *a)
{
    struct sid sid;
    uint8_t bytes[SID_BYTES_MAX];
    bool object = a->type >= 5;
    size_t n = object ? 12 : 8;
    assert_int_equal(sid_parse(a->sid, strlen(a->sid), &sid), 0);
    memset(p, 0, n);
    p[0] = a->type;
    p[1] = a->flags;
    p[4] = (uint8_t)a->mask;
    p[5] = (uint8_t)(a->mask >> 8);
    p[6] = (uint8_t)(a->mask >> 16);
    if (object)
        p[8] = (uint8_t)((a->object ? 1 : 0) | (a->inherited ? 2 : 0));
    if (a->object) {
        memcpy(p + n, a->object, 16);
        n += 16;
    }
    if (a->inherited) {
        memcpy(p + n, a->inherited, 16);
        n += 16;
    }
    size_t len = sid_pack(&sid, bytes);
    memcpy(p + n, bytes, len);
    n += len;
    p[2] = (uint8_t)n;
    return n;
}

static size_t descriptor(const struct ace *list, size_t n, uint8_t sd[1024])
{
    size_t at = 28;
    memset(sd, 0, 28);
    sd[0] = 1;
    sd[16] = 20;
    for (size_t i = 0; i < n; i++)
        at += put_ace(sd + at, &list[i]);
    sd[22] = (uint8_t)(at - 20);
    sd[23] = (uint8_t)((at - 20) >> 8);
    sd[24] = (uint8_t)n;
    return at;
}

#define ME "S-1-5-21-1"
#define GROUP "S-1-5-21-2"
#define STRANGER "S-1-5-21-3"

static void who_may_reset_a_password(void **state)
{
    static const struct {
        struct ace list[2];
        size_t n;
        bool may;
    } cases[] = {
        {{{5, 0, 0x100, ME, on_reset, NULL}},                                       1, true },
        {{{5, 0, 0x100, GROUP, on_reset, NULL}},                                    1, true },
        {{{5, 0, 0x100, STRANGER, on_reset, NULL}},                                 1, false},
        {{{5, 0, 0x100, ME, on_other, NULL}},                                       1, false},
        {{{5, 0, 0x30, ME, on_reset, NULL}},                                        1, false},
        {{{0, 0, 0xf01ff, ME, NULL, NULL}},                                         1, true },
        {{{5, 0x12, 0x100, ME, NULL, computers}},                                   1, true },
        {{{5, 0x12, 0x100, ME, NULL, on_other}},                                    1, false},
        {{{5, 0x12, 0x100, ME, on_reset, computers}},                               1, true },
        {{{5, 0x1a, 0x100, ME, on_reset, NULL}},                                    1, false}, /* for those below alone */
        {{{6, 0, 0x100, GROUP, on_reset, NULL}, {5, 0, 0x100, ME, on_reset, NULL}}, 2, false},
        {{{6, 0, 0x100, GROUP, on_other, NULL}, {5, 0, 0x100, ME, on_reset, NULL}}, 2, true },
        {{{0}},                                                                     0, false},
    };
    char me[] = ME, group[] = GROUP, *sids[] = {me, group};
    uint8_t sd[1024];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t n = descriptor(cases[i].list, cases[i].n, sd);
        if (rights_may_reset(sd, n, sids, 2) != cases[i].may)
            fail_msg("case %zu", i);
        for (size_t k = 0; k < n && cases[i].n == 1; k++)
            assert_false(rights_may_reset(sd, k, sids, 2)); /* cut short */
    }
}

static void base64(void **state)
{
    (void)state;
    CLEANUP(mem_free) uint8_t *out = NULL;
    size_t n = 0;
    assert_int_equal(ads_base64("aGVsbG8=", 8, &out, &n), 0);
    assert_int_equal(n, 5);
    assert_memory_equal(out, "hello", 5);
    assert_int_equal(ads_base64("a b=", 4, &out, &n), -EBADMSG);
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

static void shares_in_a_list(void **state)
{
    static const char list[] = "Disk|data|\nDisk|data2|x\nIPC|IPC$|y\nPrinter|lp|\n";
    (void)state;
    assert_true(rehearse_lists(list, "data"));
    assert_true(rehearse_lists(list, "data2"));
    assert_false(rehearse_lists(list, "dat"));
    assert_false(rehearse_lists(list, "lp"));
    assert_false(rehearse_lists("", "data"));
}

/* Of its own zone alone: what a forwarder said of 10.in-addr.arpa is no place to write. */
static void reverse_zones_that_a_server_has(void **state)
{
    static const struct {
        const char *said;
        bool has;
    } cases[] = {
        {";; flags: qr aa rd ra; QUERY: 1\n2.0.192.in-addr.arpa. 3600 IN SOA dc1.lab.test. h. 1\n",
         true                                                                                            },
        {";; flags: qr aa; QUERY: 1\n2.0.192.IN-ADDR.arpa 3600 IN SOA dc1.lab.test. h. 1\n",        true },
        {";; flags: qr rd ra; QUERY: 1\n2.0.192.in-addr.arpa. 3600 IN SOA dc1.lab.test. h. 1\n",
         false                                                                                           },
        {";; flags: qr aa rd ra; QUERY: 1\n3.0.192.in-addr.arpa. 3600 IN SOA dc1.lab.test. h. 1\n",
         false                                                                                           },
        {";; flags: qr aa rd ra; QUERY: 1\n",                                                       false},
        {";; flags: qr aaa; QUERY: 1\n2.0.192.in-addr.arpa. 3600 IN SOA x. h. 1\n",                 false},
        {";; flags: qr aa; QUERY: 1\n. 3600 IN SOA x. h. 1\n",                                      false},
        {"",                                                                                        false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(dns_is_zone(cases[i].said, "7.2.0.192.in-addr.arpa"), cases[i].has);
}

static void who_ends_the_agent(void **state)
{
    static const struct {
        const char *text, *held;
    } cases[] = {
        {"Requires=system.slice sysinit.target\nBindsTo=\nRestart=on-failure\n", NULL             },
        {"Requires=system.slice\nBindsTo=winbind.service\n",                     "winbind.service"},
        {"PartOf=a.service smbd.service\n",                                      "smbd.service"   },
        {"Wants=smbd.service\nAfter=winbind.service\n",                          NULL             },
        {"",                                                                     NULL             },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *held = check_holds_agent(cases[i].text);
        assert_true(!held == !cases[i].held);
        if (held)
            assert_string_equal(held, cases[i].held);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reverse_zones_that_a_server_has),
        cmocka_unit_test(who_ends_the_agent),
        cmocka_unit_test(credentials),
        cmocka_unit_test(a_file_that_others_may_read_is_refused),
        cmocka_unit_test(accounts),
        cmocka_unit_test(places),
        cmocka_unit_test(who_may_reset_a_password),
        cmocka_unit_test(base64),
        cmocka_unit_test(records),
        cmocka_unit_test(reverse_names),
        cmocka_unit_test(clocks),
        cmocka_unit_test(shares_in_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
