/* test_samba: users as passdb.tdb has them, what becomes of them and of groups and SIDs, the data
 * base itself, lines of shadow. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/account/passdb.h"
#include "agent/account/samba_plan.h"
#include "agent/account/samu.h"
#include "agent/account/shadow.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/unit/test.h"

/* Of Samba 4.17, "daemon" of OLDFS, password pw1, rid 1000. */
static const char person[] =
    "000000007fa9547c7fa9547c000000006daf016b000000007fa9547c070000006461656d6f6e00060000004f"
    "4c444653000100000000070000006461656d6f6e000000000000000000000000000000000001000000000100"
    "00000001000000000100000000e803000001020000000000001000000048b8efc2f1caff1d40153937b3db9c"
    "5a0000000010000000a8001500000020000000ffffffffffffffffffffffffffffffffffffffffff00000000"
    "0000000000000000000000ec040000";

#define PERSON_BYTES (sizeof person / 2)

static void unhex(uint8_t ret[PERSON_BYTES])
{
    assert_int_equal(text_unhex(person, ret, PERSON_BYTES), 0);
}

static void a_record_is_read_and_written(void **state)
{
    (void)state;
    uint8_t bytes[PERSON_BYTES];
    struct samu u;
    struct buf b;
    unhex(bytes);
    assert_int_equal(samu_read(bytes, sizeof bytes, &u), 0);
    assert_string_equal(samu_string(&u, SAMU_NAME), "daemon");
    assert_string_equal(samu_string(&u, SAMU_DOMAIN), "OLDFS");
    assert_string_equal(samu_string(&u, SAMU_HOME), "");
    assert_int_equal(u.rid, 1000);
    assert_int_equal(u.group_rid, 513);
    assert_int_equal(u.nt.n, 16);
    assert_int_equal(u.times[SAMU_PASSWORD_SET], 0x6b01af6d);
    buf_init(&b, SAMU_BYTES_MAX);
    samu_write(&u, &b);
    assert_int_equal(b.len, sizeof bytes);
    assert_memory_equal(b.data, bytes, sizeof bytes);
    buf_done(&b);
}

static void what_is_no_person_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        size_t at;
        uint8_t byte;
    } cases[] = {
        {"a name without its end",  38,  'x' },
        {"a name that is too long", 29,  0xff},
        {"a trust",                 137, 0x90},
        {"a digest of 15 bytes",    113, 15  },
    };
    uint8_t bytes[PERSON_BYTES + 1];
    struct samu u;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        unhex(bytes);
        bytes[cases[i].at] = cases[i].byte;
        if (samu_read(bytes, PERSON_BYTES, &u) != -EBADMSG)
            fail_msg("taken: %s", cases[i].what);
    }
    unhex(bytes);
    bytes[PERSON_BYTES] = 0;
    assert_int_equal(samu_read(bytes, PERSON_BYTES + 1, &u), -EBADMSG);
    for (size_t n = 0; n < PERSON_BYTES; n++)
        assert_int_equal(samu_read(bytes, n, &u), -EBADMSG);
}

/* ── the plan ── */

static struct passdb *machine(const char *sid, const char *name)
{
    struct passdb *p = xcalloc(1, sizeof *p);
    assert_int_equal(sid_parse(sid, strlen(sid), &p->machine), 0);
    p->netbios_name = xstrdup(name);
    p->users = xcalloc(8, sizeof *p->users);
    p->groups = xcalloc(8, sizeof *p->groups);
    p->members = xcalloc(8, sizeof *p->members);
    p->next_rid = 1000;
    return p;
}

static void add_user(struct passdb *p, const char *name, uint32_t rid, uint32_t set)
{
    uint8_t bytes[PERSON_BYTES];
    struct samu u;
    struct buf b;
    unhex(bytes);
    assert_int_equal(samu_read(bytes, sizeof bytes, &u), 0);
    samu_set(&u, SAMU_NAME, name);
    u.rid = rid;
    u.times[SAMU_PASSWORD_SET] = set;
    buf_init(&b, SAMU_BYTES_MAX);
    samu_write(&u, &b);
    p->users[p->nusers++] =
        (struct passdb_user){xstrdup(name), xmemdup(b.data, b.len), b.len, rid, set};
    buf_done(&b);
}

static void add_group(struct passdb *p, const char *name, uint32_t rid, uint32_t gid)
{
    struct passdb_group *g = &p->groups[p->ngroups++];
    *g = (struct passdb_group){p->machine, gid, 4, xstrdup(name), xstrdup("")};
    g->sid.sub[g->sid.nsubs++] = rid;
}

#define FROM "S-1-5-21-1-1-1"
#define HERE "S-1-5-21-2-2-2"

static const struct account_row rows[] = {
    {.group = false,
     .name = "ann",
     .as = "ann",
     .id = 0,
     .to = 3001,
     .fate = FATE_SAME,
     .recorded = true },
    {.group = false,
     .name = "bob",
     .as = "bob-fs1",
     .id = 0,
     .to = 3002,
     .fate = FATE_SAME,
     .recorded = true },
    {.group = false,
     .name = "carl",
     .as = "carl",
     .id = 0,
     .to = 1500,
     .fate = FATE_SAME,
     .recorded = false},
    {.group = false,
     .name = "dora",
     .as = "dora",
     .id = 0,
     .to = 1501,
     .fate = FATE_SKIP,
     .recorded = false},
    {.group = false,
     .name = "sys",
     .as = "sys",
     .id = 0,
     .to = 34,
     .fate = FATE_SAME,
     .recorded = false},
    {.group = true,
     .name = "crew",
     .as = "crew",
     .id = 2001,
     .to = 2101,
     .fate = FATE_SAME,
     .recorded = false},
    {.group = true,
     .name = "old",
     .as = "old",
     .id = 2002,
     .to = 2102,
     .fate = FATE_MERGE,
     .recorded = false},
};

static void plan_for(const struct passdb *from, const struct passdb *here, const char *map,
                     struct samba_plan *ret)
{
    CLEANUP(idmap_free) struct idmap *m = NULL;
    struct idmap_error e;
    assert_int_equal(idmap_parse(map, strlen(map), &m, &e), 0);
    const struct samba_ask a = {.from = from,
                                .here = here,
                                .rows = rows,
                                .nrows = ARRAY_SIZE(rows),
                                .map = m,
                                .uid_min = 1000,
                                .gid_min = 1000,
                                .suffix = "fs1"};
    samba_plan(&a, ret);
}

static bool maps(const struct samba_plan *p, const char *line)
{
    CLEANUP(mem_free)
    char *text = xmemdup(p->map.data ? p->map.data : (const uint8_t *)"", p->map.len);
    return strstr(text, line) != NULL;
}

static void rids_stay_where_they_are_free(void **state)
{
    (void)state;
    CLEANUP(passdb_free) struct passdb *from = machine(FROM, "OLDFS");
    CLEANUP(passdb_free) struct passdb *here = machine(HERE, "NEWFS");
    struct samba_plan p;
    add_user(from, "ann", 1000, 50);
    add_user(from, "bob", 1001, 50);
    add_user(from, "carl", 1002, 90);
    add_user(from, "dora", 1003, 50);
    add_user(from, "sys", 1004, 50);
    add_user(from, "root", 1005, 50);
    add_group(from, "Crew", 1010, 2001);
    add_group(from, "Old", 1011, 2002);
    add_group(from, "Domain Admins", 512, 2001);
    from->members[from->nmembers++] =
        (struct passdb_member){xstrdup(FROM "-1001"), xstrdup(FROM "-1010 " FROM "-1011")};
    add_user(here, "stranger", 1000, 1);
    add_user(here, "carl", 1007, 10);
    add_group(here, "crew", 1010, 2900);
    add_group(here, "Elder", 1020, 2102);
    here->next_rid = 1008;
    plan_for(from, here, "sid," FROM "-512," HERE "-544\n", &p);

    assert_int_equal(p.put.nusers, 2);
    struct samu u;
    assert_int_equal(p.put.users[0].rid, 1008); /* 1000 is taken, below 1008 was given once */
    assert_string_equal(p.put.users[1].name, "bob-fs1");
    assert_int_equal(p.put.users[1].rid, 1001);
    assert_int_equal(samu_read(p.put.users[1].record, p.put.users[1].len, &u), 0);
    assert_string_equal(samu_string(&u, SAMU_NAME), "bob-fs1");
    assert_string_equal(samu_string(&u, SAMU_DOMAIN), "NEWFS");
    assert_int_equal(u.rid, 1001);
    assert_int_equal(p.put.next_rid, 1010);
    /* carl was here: his password stays, his SID is found; dora, sys and root stay behind. */
    assert_int_equal(p.users_same, 1);
    assert_int_equal(p.users_left, 3);
    assert_true(maps(&p, "sid," FROM "-1000," HERE "-1008\n"));
    assert_true(maps(&p, "sid," FROM "-1002," HERE "-1007\n"));
    assert_false(maps(&p, FROM "-1003"));
    assert_false(maps(&p, FROM "-1004"));

    assert_int_equal(p.put.ngroups, 1);
    assert_string_equal(p.put.groups[0].name, "Crew-fs1");
    assert_int_equal(p.put.groups[0].gid, 2101);
    assert_true(maps(&p, "sid," FROM "-1010," HERE "-1009\n"));
    assert_true(maps(&p, "sid," FROM "-1011," HERE "-1020\n"));
    assert_int_equal(p.groups_left, 1);
    assert_int_equal(p.put.nmembers, 1);
    assert_string_equal(p.put.members[0].sid, HERE "-1001");
    assert_string_equal(p.put.members[0].groups, HERE "-1009 " HERE "-1020");
    /* What the job's own map says stays out of ours. */
    assert_true(maps(&p, "sid," FROM "-513," HERE "-513\n"));
    assert_false(maps(&p, FROM "-512,"));
    samba_plan_done(&p);
}

static void a_later_pass_brings_new_passwords_only(void **state)
{
    (void)state;
    static const struct {
        uint32_t there, here;
        size_t puts;
    } cases[] = {
        {50, 50, 0},
        {60, 50, 1},
        {50, 60, 0}, /* changed here */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(passdb_free) struct passdb *from = machine(FROM, "OLDFS");
        CLEANUP(passdb_free) struct passdb *here = machine(FROM, "OLDFS");
        struct samba_plan p;
        add_user(from, "ann", 1000, cases[i].there);
        add_user(here, "ann", 1000, cases[i].here);
        plan_for(from, here, "", &p);
        assert_int_equal(p.put.nusers, cases[i].puts);
        assert_int_equal(p.users_updated, cases[i].puts);
        assert_int_equal(p.map.len, 0); /* the same machine SID, the same rids */
        samba_plan_done(&p);
    }
}

/* ── shadow ── */

static void lines_of_shadow(void **state)
{
    (void)state;
    static const char text[] = "root:*:19000:0:99999:7:::\n"
                               "ann:$6$salt$digest:19500:1:90:7:14:20000:\n"
                               "bob:!:19500:0:99999:7:::\n"
                               "carl:!$6$x$y:19500:0:99999:7:::\n"
                               "not a line\n"
                               "dora::19500:0:99999:7:::\n";
    char path[] = "/tmp/shadow-XXXXXX";
    CLEANUP(fd_close) int fd = mkstemp(path);
    struct fault f = {0};
    CLEANUP(shadow_free) struct shadow *s = NULL;
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    assert_int_equal(shadow_read(path, &s, &f), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(s->n, 5);
    const struct shadow_row *ann = shadow_named(s, "ann");
    assert_string_equal(ann->hash, "$6$salt$digest");
    assert_int_equal(ann->changed, 19500);
    assert_int_equal(ann->max, 90);
    assert_int_equal(ann->expire, 20000);
    assert_int_equal(shadow_named(s, "bob")->inactive, -1);
    static const struct {
        const char *name;
        bool fits, has;
    } cases[] = {
        {"root", true,  false},
        {"ann",  true,  true },
        {"bob",  true,  false},
        {"carl", true,  true },
        {"dora", false, false}, /* anybody could log on */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *hash = shadow_named(s, cases[i].name)->hash;
        assert_int_equal(shadow_hash_fits(hash), cases[i].fits);
        assert_int_equal(shadow_has_password(hash), cases[i].has);
    }
    assert_false(shadow_hash_fits("a:b"));
    assert_false(shadow_hash_fits("a\nroot:x"));
}

static void a_password_that_changed_here_stays(void **state)
{
    (void)state;
    char locked[] = "!", one[] = "$6$1", two[] = "$6$2";
    static const struct {
        int hash; /* here: 0 locked, 1 the source's, 2 another */
        long changed, max;
        bool want;
    } cases[] = {
        {0, 200, 99, true }, /* as it was made */
        {1, 100, 99, false}, /* nothing to do */
        {1, 200, 99, true }, /* broken off between the two tools */
        {2, 90,  99, true }, /* changed at the source */
        {2, 200, 99, false}, /* changed here */
        {2, 100, 99, true }, /* twice on one day at the source */
        {2, 100, 9,  false},
    };
    char *const hashes[] = {locked, one, two};
    const struct shadow_row from = {.hash = one, .changed = 100, .max = 99};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct shadow_row here = {
            .hash = hashes[cases[i].hash], .changed = cases[i].changed, .max = cases[i].max};
        assert_int_equal(shadow_replaces(&from, &here), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_and_written),
        cmocka_unit_test(what_is_no_person_is_refused),
        cmocka_unit_test(rids_stay_where_they_are_free),
        cmocka_unit_test(a_later_pass_brings_new_passwords_only),
        cmocka_unit_test(lines_of_shadow),
        cmocka_unit_test(a_password_that_changed_here_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
