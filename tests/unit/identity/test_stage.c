/* test_stage: orders on a host of the test's own: a folder, and programs that say what they are
 * asked. Each stage is done, done again, undone: all files are as before, byte for byte. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/bundle.h"
#include "agent/identity/guard.h"
#include "agent/identity/identity.h"
#include "agent/identity/stage.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/identity/own_host.h"
#include "tests/unit/test.h"

static bool domain;   /* the servers are members of one */
static bool source;   /* this host is the one that lets go */
static bool ssh_keys; /* the host keys move as well */

static const char ip[] =
    "#!/bin/sh\nif [ \"$1\" = -batch ]; then cat >>@/batch; cat @/after >@/links; exit; fi\n"
    "case \"$*\" in *address*) cat @/links ;; *) echo '[]' ;; esac\n";
static const char systemctl[] =
    "#!/bin/sh\necho \"$*\" >>@/units\n[ \"$1\" = show ] || exit 0\n"
    "printf 'Id=smbd.service\\nLoadState=loaded\\nActiveState=active\\n'\n";
static const char conf[] = "[global]\n   netbios name = NEW1\n[data]\n   path = /srv\n";
static const char net_file[] = "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.8/24\n";

static char *links_of(const char *address)
{
    return xasprintf("[{\"ifname\":\"eth0\",\"address\":\"52:54:00:00:00:01\",\"mtu\":1500,"
                     "\"addr_info\":[{\"local\":\"%s\",\"prefixlen\":24,\"scope\":\"global\"}]}]",
                     address);
}

static int begin(void **state)
{
    (void)state;
    host_begin();
    CLEANUP(mem_free) char *before = links_of("192.0.2.8");
    CLEANUP(mem_free) char *after = links_of("192.0.2.7");
    host_program("ip", ip);
    host_program("systemctl", systemctl);
    host_program("networkctl", "#!/bin/sh\n");
    host_put("links", before, 0600);
    host_put("after", after, 0600);
    host_put("etc/samba/smb.conf", conf, 0644);
    host_put("etc/hostname", "new1\n", 0644);
    host_put("etc/hosts", "127.0.0.1 localhost\n192.0.2.8 new1\n", 0644);
    host_put("etc/systemd/network/a.network", net_file, 0640);
    host_put("sys/class/net/eth0/ifindex", "2\n", 0644);
    host_put("run/systemd/netif/links/2",
             "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/a.network\n", 0644);
    return 0;
}

static int end(void **state)
{
    (void)state;
    domain = source = ssh_keys = false;
    host_end();
    return 0;
}

static int order(const char *stage, Godwit__IdentityAction action, bool *sprung)
{
    Godwit__IdentityOrder o = GODWIT__IDENTITY_ORDER__INIT;
    Godwit__IdentityPlan p = GODWIT__IDENTITY_PLAN__INIT;
    Godwit__IdentityNames new1 = GODWIT__IDENTITY_NAMES__INIT, fs1 = GODWIT__IDENTITY_NAMES__INIT;
    Godwit__IdentityMove m = GODWIT__IDENTITY_MOVE__INIT, *moves[] = {&m};
    Godwit__IdentityAddress in = GODWIT__IDENTITY_ADDRESS__INIT, *ins[] = {&in};
    Godwit__IdentityAddress out = GODWIT__IDENTITY_ADDRESS__INIT, *outs[] = {&out};
    Godwit__IdentityResult *r = xmalloc(sizeof *r);
    struct fault why = {.err = 0};
    char *aliases[] = {host_text("FSALIAS")};
    in.address = host_text("192.0.2.7/24");
    out.address = host_text("192.0.2.8/24");
    m.to_mac = host_text("52:54:00:00:00:01");
    m.from_mac = m.to_mac;
    m.source_keeps = host_text("192.0.2.77/24");
    m.addresses = ins;
    m.n_addresses = 1;
    m.gives_up = outs;
    m.n_gives_up = 1;
    new1.host = host_text("new1");
    fs1.host = host_text("fs1");
    fs1.netbios = host_text("FS1");
    fs1.aliases = aliases;
    fs1.n_aliases = 1;
    p.old = &fs1;
    p.destination_old = &new1;
    p.domain = domain;
    p.ssh_keys = ssh_keys;
    p.moves = moves;
    p.n_moves = 1;
    o.cutover = host_text("0123456789abcdef.1");
    o.role = source ? GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE
                    : GODWIT__IDENTITY_ROLE__IDENTITY_DESTINATION;
    o.stage = host_text(stage);
    o.action = action;
    o.plan = &p;
    o.silence_s = 60;
    godwit__identity_result__init(r);
    const struct site host = {.root = host_root, .search = host_bin};
    int rc = stage_do(host_home, &host, &o, r, &why);
    if (sprung)
        *sprung = r->sprung;
    godwit__identity_result__free_unpacked(r, NULL);
    if (rc < 0)
        assert_true(why.err > 0 && why.text[0]);
    return rc;
}

static int act(const char *stage)
{
    return order(stage, GODWIT__IDENTITY_ACTION__IDENTITY_DO, NULL);
}

static int undo(const char *stage)
{
    return order(stage, GODWIT__IDENTITY_ACTION__IDENTITY_UNDO, NULL);
}

static void names(void **state)
{
    (void)state;
    assert_int_equal(act("names"), 0);
    assert_int_equal(act("names"), 0);
    host_assert_file("etc/hostname", "fs1\n");
    host_assert_file("etc/hosts", "127.0.0.1 localhost\n192.0.2.7\tfs1\n");
    host_assert_file("etc/samba/smb.conf", "[global]\n   netbios name = FS1\n   netbios aliases = "
                                           "FSALIAS\n[data]\n   path = /srv\n");
    assert_int_equal(undo("names"), 0);
    host_assert_file("etc/hostname", "new1\n");
    host_assert_file("etc/hosts", "127.0.0.1 localhost\n192.0.2.8 new1\n");
    host_assert_file("etc/samba/smb.conf", conf);
    assert_int_equal(undo("names"), 0); /* again, and what never began */
    assert_int_equal(undo("addresses"), 0);
}

/* Killed behind the first file: the note has what was, and all of it comes back. */
static void half_done(void **state)
{
    (void)state;
    host_program("testparm", "#!/bin/sh\necho SOMETHING-ELSE\n");
    assert_int_equal(act("names"), -EINVAL); /* Samba does not read it as meant */
    host_assert_file("etc/samba/smb.conf", conf);
    host_assert_file("etc/hostname", "fs1\n");
    assert_int_equal(undo("names"), 0);
    host_assert_file("etc/hostname", "new1\n");
}

static void addresses(void **state)
{
    (void)state;
    assert_int_equal(act("addresses"), 0);
    host_assert_file("batch", "address add 192.0.2.7/24 broadcast + dev eth0\n"
                              "address del 192.0.2.8/24 dev eth0\n");
    host_assert_file("etc/systemd/network/a.network",
                     "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.7/24\n");
    assert_int_equal(act("addresses"), 0);
    CLEANUP(mem_free) char *links = links_of("192.0.2.8");
    host_put("after", links, 0600);
    host_put("batch", "", 0600);
    assert_int_equal(undo("addresses"), 0);
    host_assert_file("batch", "address add 192.0.2.8/24 broadcast + dev eth0\n"
                              "address del 192.0.2.7/24 dev eth0\n");
    host_assert_file("etc/systemd/network/a.network", net_file);
}

/* The manager adds it at the same time: the first try fails, and then it is so. */
static void settles(void **state)
{
    (void)state;
    host_program("ip", "#!/bin/sh\nif [ \"$1\" = -batch ]; then cat @/after >@/links; exit 1; fi\n"
                       "case \"$*\" in *address*) cat @/links ;; *) echo '[]' ;; esac\n");
    assert_int_equal(act("addresses"), 0);
}

static void stop(void **state)
{
    (void)state;
    assert_int_equal(act("stop"), 0);
    assert_int_equal(undo("stop"), 0);
    CLEANUP(mem_free) char *units = host_get("units");
    assert_non_null(strstr(units, "mask --quiet smbd.service"));
    assert_non_null(strstr(units, "\nstop smbd.service nmbd.service winbind.service\n"));
    assert_non_null(strstr(units, "\nunmask --quiet smbd.service\nstart smbd.service\n"));
}

/* A power cut from here on: it comes up without what its successor may have by then. */
static void stays_away(void **state)
{
    (void)state;
    static const char mine[] = "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.7/24\n";
    CLEANUP(mem_free) char *links = links_of("192.0.2.7");
    source = true;
    host_put("links", links, 0600);
    host_put("after", links, 0600);
    host_put("etc/systemd/network/a.network", mine, 0644);
    assert_int_equal(act("stop"), 0);
    host_assert_file("etc/systemd/network/a.network",
                     "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.77/24\n");
    host_assert_file("batch", "(none)"); /* it has it still */
    assert_int_equal(undo("stop"), 0);
    host_assert_file("etc/systemd/network/a.network", mine);
}

/* Half of its time is gone. */
static void spend(const char *folder)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/guard", folder);
    CLEANUP(mem_free) char *text = NULL;
    struct guard g;
    size_t len = 0;
    assert_int_equal(file_read(path, 256, &text, &len), 0);
    assert_int_equal(guard_parse(text, &g), 0);
    free(text);
    text = xasprintf("%lld %lld %lld %s\n", (long long)g.until_wall_ms,
                     (long long)g.until_boot_ms - 30000, (long long)g.silence_ms, g.boot);
    assert_int_equal(file_write(path, 0600, text, strlen(text)), 0);
    assert_in_range(guard_left_s(folder), 1, 31);
}

/* Before the swap, and when users are served again; in between, and on a source, it runs. */
static void held(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *folder = stage_folder(host_home, "0123456789abcdef.1");
    CLEANUP(mem_free) char *start = xasprintf("%s/start.note", folder);
    CLEANUP(mem_free) char *fence = xasprintf("%s/fence.note", folder);
    assert_int_equal(act("guard"), 0);
    spend(folder);
    stage_hold(host_home, "0123456789abcdef.1");
    assert_in_range(guard_left_s(folder), 32, 60);
    assert_int_equal(act("names"), 0);
    spend(folder);
    stage_hold(host_home, "0123456789abcdef.1");
    assert_in_range(guard_left_s(folder), 1, 31);
    assert_int_equal(file_write(start, 0600, "", 0), 0);
    assert_int_equal(file_write(fence, 0600, "", 0), 0);
    stage_hold(host_home, "0123456789abcdef.1");
    assert_in_range(guard_left_s(folder), 1, 31);
    assert_int_equal(unlink(fence), 0);
    stage_hold(host_home, "0123456789abcdef.1");
    assert_in_range(guard_left_s(folder), 32, 60);
}

/* As if the timer had been set before the host's start. */
static void restart(const char *folder)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/guard", folder);
    CLEANUP(mem_free)
    char *guard = xasprintf("%lld 9999999999999 99999999999 another\n",
                            (long long)clock_wall_ms() + 99999999000LL);
    assert_int_equal(file_write(path, 0600, guard, strlen(guard)), 0);
}

static void boot(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *folder = stage_folder(host_home, "0123456789abcdef.1");
    CLEANUP(mem_free) char *fence = xasprintf("%s/fence.note", folder);
    assert_int_equal(identity_boot(host_root, host_root), 0); /* no cutover ever */
    assert_int_equal(act("guard"), 0);
    assert_int_equal(act("stop"), 0);
    restart(folder);
    assert_int_equal(identity_boot(host_root, host_root), 0);
    assert_false(guard_sprung(folder)); /* it was nobody else yet */
    assert_int_equal(act("addresses"), 0);
    assert_int_equal(act("names"), 0);
    assert_int_equal(identity_boot(host_root, host_root), 0); /* the orders came since the start */
    assert_false(guard_sprung(folder));
    restart(folder);
    assert_int_equal(file_write(fence, 0600, "", 0), 0);
    assert_int_equal(identity_boot(host_root, host_root), 0); /* a source keeps away by itself */
    host_assert_file("etc/hostname", "fs1\n");
    assert_int_equal(unlink(fence), 0);
    assert_int_equal(identity_boot(host_root, host_root), 0);
    assert_true(guard_sprung(folder));
    host_assert_file("etc/hostname", "new1\n");
    host_assert_file("etc/samba/smb.conf", conf);
    host_assert_file("etc/systemd/network/a.network", net_file);
    assert_int_equal(identity_boot(host_root, host_root),
                     0); /* a second start before the agent's */
    host_assert_file("etc/hostname", "new1\n");
    assert_true(stage_must_go_back(folder));
    assert_int_equal(undo(""), 0); /* the agent's watch */
    assert_false(stage_must_go_back(folder));
}

/* What cannot be read may be anything: Samba stays shut. */
static void boot_unreadable(void **state)
{
    (void)state;
    char to[16] = "";
    CLEANUP(mem_free) char *folder = stage_folder(host_home, "0123456789abcdef.1");
    CLEANUP(mem_free) char *note = xasprintf("%s/names.note", folder);
    CLEANUP(mem_free) char *mask = xasprintf("%s/run/systemd/system/smbd.service", host_root);
    CLEANUP(mem_free) char *data = NULL;
    size_t len = 0;
    assert_int_equal(act("guard"), 0);
    assert_int_equal(act("names"), 0);
    assert_int_equal(file_read(note, 1 << 20, &data, &len), 0);
    data[40] = (char)(data[40] + 1);
    assert_int_equal(file_write(note, 0600, data, len), 0);
    restart(folder);
    assert_int_equal(identity_boot(host_root, host_root), 1);
    assert_true(readlink(mask, to, sizeof to - 1) > 0);
    assert_string_equal(to, "/dev/null");
    assert_true(guard_sprung(folder));
}

static void sprung(void **state)
{
    (void)state;
    bool yes = false;
    CLEANUP(mem_free) char *folder = stage_folder(host_home, "0123456789abcdef.1");
    assert_int_equal(act("guard"), 0);
    assert_true(guard_is_set(folder));
    assert_int_equal(act("names"), 0);
    assert_int_equal(guard_spring(folder), 0);
    assert_int_equal(undo(""), 0); /* what the watch does */
    host_assert_file("etc/hostname", "new1\n");
    assert_false(guard_is_set(folder));
    assert_int_equal(order("names", GODWIT__IDENTITY_ACTION__IDENTITY_DO, &yes), -ECANCELED);
    assert_true(yes);
    host_assert_file("etc/hostname", "new1\n");
    assert_int_equal(act("nonsense"), -ENOTSUP);
    assert_int_equal(act("fence"), -ENOTSUP); /* the source's */
    assert_int_equal(undo("names"), 0);
    CLEANUP(mem_free) char *open = stage_open_one(host_home);
    assert_string_equal(open, "");
    assert_int_equal(act("forget"), 0); /* the end of a rollback, however it came about */
    assert_false(guard_sprung(folder));
}

static void databases(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t len = 0;
    struct fault why = {.err = 0};
    const Godwit__IdentityPlan p = GODWIT__IDENTITY_PLAN__INIT;
    const struct site v = {.root = host_root, .search = host_bin, .folder = host_home};
    CLEANUP(mem_free) char *folder = stage_folder(host_home, "0123456789abcdef.1");
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", folder);
    assert_int_equal(bundle_make(&v, &p, &data, &len, &why), -ENOENT);
    host_put("var/lib/samba/private/secrets.tdb", "secret of fs1", 0600);
    host_put("var/lib/samba/private/passdb.tdb", "users of fs1", 0600);
    assert_int_equal(bundle_make(&v, &p, &data, &len, &why), 0);
    host_put("var/lib/samba/private/secrets.tdb", "secret of new1", 0600);
    host_put("var/lib/samba/private/netlogon_creds_cli.tdb", "old", 0600);
    CLEANUP(mem_free) char *gone = xasprintf("%s/var/lib/samba/private/passdb.tdb", host_root);
    assert_int_equal(unlink(gone), 0);
    assert_int_equal(act("join"), -ENOENT); /* nothing came */
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(path, 0600, data, len), 0);
    assert_int_equal(act("join"), 0);
    host_assert_file("var/lib/samba/private/secrets.tdb", "secret of fs1");
    host_assert_file("var/lib/samba/private/passdb.tdb", "users of fs1");
    host_assert_file("var/lib/samba/private/netlogon_creds_cli.tdb", "(none)");
    assert_int_equal(undo("join"), 0);
    host_assert_file("var/lib/samba/private/secrets.tdb", "secret of new1");
    host_assert_file("var/lib/samba/private/passdb.tdb", "(none)");
    assert_int_equal(file_write(path, 0600, data, 7), 0);
    assert_true(act("join") < 0);
    assert_int_equal(undo("bundle"), 0);
    assert_int_equal(access(path, F_OK), -1);
    free(data);
}

/* What came is sshd's to read, and so is what was. */
static void host_keys(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t len = 0;
    struct fault why = {.err = 0};
    Godwit__IdentityPlan p = GODWIT__IDENTITY_PLAN__INIT;
    const struct site v = {.root = host_root, .search = host_bin, .folder = host_home};
    CLEANUP(mem_free) char *folder = stage_folder(host_home, "0123456789abcdef.1");
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", folder);
    host_put("var/lib/samba/private/secrets.tdb", "secret of fs1", 0600);
    host_put("etc/ssh/ssh_host_ed25519_key", "key of fs1", 0600);
    p.ssh_keys = true;
    assert_int_equal(bundle_make(&v, &p, &data, &len, &why), 0);
    host_put("etc/ssh/ssh_host_ed25519_key", "key of new1", 0600);
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(path, 0600, data, len), 0);
    free(data);
    host_put("units", "", 0644);
    ssh_keys = true;
    assert_int_equal(act("join"), 0);
    host_assert_file("etc/ssh/ssh_host_ed25519_key", "key of fs1");
    CLEANUP(mem_free) char *told = host_get("units");
    assert_non_null(strstr(told, "try-reload-or-restart ssh.service sshd.service"));
    host_put("units", "", 0644);
    assert_int_equal(undo("join"), 0);
    host_assert_file("etc/ssh/ssh_host_ed25519_key", "key of new1");
    CLEANUP(mem_free) char *again = host_get("units");
    assert_non_null(strstr(again, "try-reload-or-restart ssh.service sshd.service"));
}

#define FS1 "   netbios name = FS1\n   netbios aliases = FSALIAS\n"
#define DATA "[data]\n   path = /srv\n"

/* Nobody changes the machine's password until commit; then as its administrators want it. */
static void password_timeout(void **state)
{
    (void)state;
    domain = true;
    host_program("net", "#!/bin/sh\necho \"net $*\" >>@/units\n");
    host_put(
        "etc/samba/smb.conf",
        "[global]\n   netbios name = NEW1\n   Machine Password timeout = 86400\n[data]\n   path = "
        "/srv\n",
        0644);
    assert_int_equal(act("names"), 0);
    host_assert_file("etc/samba/smb.conf",
                     "[global]\n" FS1 "   machine password timeout = 0\n" DATA);
    assert_int_equal(act("commit"), 0);
    host_assert_file("etc/samba/smb.conf",
                     "[global]\n   machine password timeout = 86400\n" FS1 DATA);
    CLEANUP(mem_free) char *units = host_get("units");
    assert_non_null(strstr(units, "net ads changetrustpw"));
    assert_int_equal(act("commit"), 0); /* the notes are gone: it stays */
    host_assert_file("etc/samba/smb.conf",
                     "[global]\n   machine password timeout = 86400\n" FS1 DATA);
}

static void password_timeout_of_nobody(void **state)
{
    (void)state;
    domain = true;
    host_program("net", "#!/bin/sh\nexit 0\n");
    assert_int_equal(act("names"), 0);
    assert_int_equal(act("commit"), 0);
    host_assert_file("etc/samba/smb.conf", "[global]\n" FS1 DATA);
}

/* A person does it: what was is noted before, and comes back. */
static void by_hand(void **state)
{
    (void)state;
    assert_int_equal(order("names", GODWIT__IDENTITY_ACTION__IDENTITY_NOTE, NULL), 0);
    host_assert_file("etc/hostname", "new1\n"); /* nothing is done for them */
    assert_int_equal(order("addresses", GODWIT__IDENTITY_ACTION__IDENTITY_NOTE, NULL), 0);
    host_assert_file("batch", "(none)");
    host_put("etc/hostname", "fs1\n", 0644);
    host_put("etc/hosts", "127.0.0.1 localhost\n192.0.2.7 fs1\n", 0644);
    host_put("etc/systemd/network/a.network", "[Network]\nAddress=192.0.2.7/24\n", 0640);
    assert_int_equal(act("names"), 0); /* the first note counts */
    assert_int_equal(undo("names"), 0);
    assert_int_equal(undo("addresses"), 0);
    host_assert_file("etc/hostname", "new1\n");
    host_assert_file("etc/hosts", "127.0.0.1 localhost\n192.0.2.8 new1\n");
    host_assert_file("etc/samba/smb.conf", conf);
    host_assert_file("etc/systemd/network/a.network", net_file);
    assert_int_equal(order("join", GODWIT__IDENTITY_ACTION__IDENTITY_NOTE, NULL), -ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names, begin, end),
        cmocka_unit_test_setup_teardown(half_done, begin, end),
        cmocka_unit_test_setup_teardown(addresses, begin, end),
        cmocka_unit_test_setup_teardown(settles, begin, end),
        cmocka_unit_test_setup_teardown(stop, begin, end),
        cmocka_unit_test_setup_teardown(stays_away, begin, end),
        cmocka_unit_test_setup_teardown(held, begin, end),
        cmocka_unit_test_setup_teardown(boot, begin, end),
        cmocka_unit_test_setup_teardown(boot_unreadable, begin, end),
        cmocka_unit_test_setup_teardown(by_hand, begin, end),
        cmocka_unit_test_setup_teardown(sprung, begin, end),
        cmocka_unit_test_setup_teardown(databases, begin, end),
        cmocka_unit_test_setup_teardown(host_keys, begin, end),
        cmocka_unit_test_setup_teardown(password_timeout, begin, end),
        cmocka_unit_test_setup_teardown(password_timeout_of_nobody, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
