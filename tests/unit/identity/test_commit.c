/* test_commit: the end of a source's part, broken off behind each of its notes and asked for again:
 * what this host has become meanwhile stays, and what it was is gone. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/identity/stage.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/identity/own_host.h"
#include "tests/unit/test.h"

#define CUTOVER "0123456789abcdef.1"
#define SECRETS "var/lib/samba/private/secrets.tdb"
#define OWN "key of FS1-OLD, which it has joined as"

/* As a source in a domain has them at 100 %; in the order in which they go. */
static const char *const notes[] = {"fence", "close", "stop",   "addresses",
                                    "names", "join",  "lockout"};

static void note(const char *stage)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/" CUTOVER "/%s.note", host_home, stage);
    CLEANUP(mem_free) char *conf = xasprintf("%s/etc/samba/smb.conf", host_root);
    CLEANUP(undo_free) struct undo *u = NULL;
    assert_int_equal(undo_open(path, &u), 0);
    assert_int_equal(undo_keep_file(u, conf), 0);
}

static int begin(void **state)
{
    (void)state;
    host_begin();
    host_put("etc/samba/smb.conf", "[global]\n   netbios name = FS1\n", 0644);
    host_put(SECRETS, OWN, 0600);
    host_put("etc/krb5.keytab", OWN, 0600);
    host_put("cutover/" CUTOVER "/ticket", "secret", 0600);
    for (size_t i = 0; i < ARRAY_SIZE(notes); i++)
        note(notes[i]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_end();
    return 0;
}

static bool ssh_keys; /* they have moved as well */

static int commit(void)
{
    Godwit__IdentityOrder o = GODWIT__IDENTITY_ORDER__INIT;
    Godwit__IdentityPlan p = GODWIT__IDENTITY_PLAN__INIT;
    Godwit__IdentityResult *r = xmalloc(sizeof *r);
    const struct site host = {.root = host_root, .search = host_bin};
    struct fault why = {.err = 0};
    p.domain = true;
    p.ssh_keys = ssh_keys;
    o.cutover = host_text(CUTOVER);
    o.role = GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE;
    o.stage = host_text("commit");
    o.plan = &p;
    godwit__identity_result__init(r);
    int rc = stage_do(host_home, &host, &o, r, &why);
    godwit__identity_result__free_unpacked(r, NULL);
    return rc;
}

static void drop(const char *stage)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/" CUTOVER "/%s.note", host_home, stage);
    assert_int_equal(undo_shred(path), 0);
}

static void a_commit_that_was_broken_off_goes_on(void **state)
{
    for (size_t gone = 0; gone <= ARRAY_SIZE(notes); gone++) {
        (void)begin(state);
        for (size_t i = 0; i < gone; i++)
            drop(notes[i]);
        assert_int_equal(commit(), 0);
        host_assert_file(SECRETS, OWN);
        host_assert_file("etc/krb5.keytab", OWN);
        host_assert_file("cutover/" CUTOVER "/ticket", "(none)");
        if (gone == 0) /* from the note, which later ones have no more */
            host_assert_file("etc/samba/smb.conf.before-cutover",
                             "[global]\n   netbios name = FS1\n");
        (void)end(state);
    }
}

/* What it has is the copy of the destination's. */
static void who_has_joined_as_nobody_keeps_no_key(void **state)
{
    (void)state;
    drop("join");
    assert_int_equal(commit(), 0);
    host_assert_file(SECRETS, "(none)");
    host_assert_file("etc/krb5.keytab", "(none)");
    assert_int_equal(commit(), 0);
}

/* What moved is another server's: the source gets others, of the kinds that it had. */
static void the_source_makes_other_host_keys(void **state)
{
    (void)state;
    host_program("ssh-keygen", "#!/bin/sh\nfor f; do :; done\necho new >$f; echo new >$f.pub\n");
    host_program("systemctl", "#!/bin/sh\necho \"$*\" >>@/calls\n");
    host_put("etc/ssh/ssh_host_rsa_key", "moved", 0600);
    host_put("etc/ssh/ssh_host_rsa_key.pub", "moved", 0644);
    host_put("etc/ssh/ssh_host_rsa_key.fresh", "broken off", 0600);
    ssh_keys = true;
    assert_int_equal(commit(), 0);
    host_assert_file("etc/ssh/ssh_host_rsa_key", "new\n");
    host_assert_file("etc/ssh/ssh_host_rsa_key.pub", "new\n");
    host_assert_file("etc/ssh/ssh_host_rsa_key.moved", "(none)");
    host_assert_file("etc/ssh/ssh_host_rsa_key.fresh", "(none)");
    host_assert_file("etc/ssh/ssh_host_ed25519_key", "(none)");
    assert_true(host_called("try-reload-or-restart ssh.service"));
    host_put("etc/ssh/ssh_host_rsa_key", "kept", 0600);
    assert_int_equal(commit(), 0); /* the notes are gone: it was done */
    host_assert_file("etc/ssh/ssh_host_rsa_key", "kept");
    ssh_keys = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_that_was_broken_off_goes_on),
        cmocka_unit_test_setup_teardown(who_has_joined_as_nobody_keeps_no_key, begin, end),
        cmocka_unit_test_setup_teardown(the_source_makes_other_host_keys, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
