/* test_remap: ids in POSIX ACLs and NT descriptors; what Samba 4.17 wrote for an entry with other
 * ids is what comes out here. Hostile bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/store/meta_priv.h"
#include "agent/store/ntacl.h"
#include "agent/store/remap.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/unit/test.h"

/* Of one file of mode 0774, as its owner 1001:1002 and, after, 5001:5002 set it through Samba. */
static const char acl_before[] =
    "0200000001000700ffffffff02000700e903000002000400eb03000002000400ec03000002000400ef030000"
    "04000400ffffffff08000400ea03000008000400ef03000010000700ffffffff20000400ffffffff";
static const char v4_before[] =
    "0400040000000200040002000100a448e4d271980cb00b1a48409af8d84212d86d672cdc4de0b31f40c4ca8d"
    "c9c70000000000000000000000000000000000000000000000000000000000000000706f7369785f61636c00"
    "067b5bfbab79dd01b47b529709f8e3d06e1e08d33c89a025923647a20e62b6ad39517e384b0bddff00000000"
    "0000000000000000000000000000000000000000000000000000000001000480b4000000c400000000000000"
    "d4000000010200000000001601000000e9030000010200000000001602000000ea0300000400940006000000"
    "0100180020000000010200000000001601000000eb03000000001800ff010000010200000000001601000000"
    "e90300000000180089001200010200000000001601000000ef03000000001800890012000102000000000016"
    "01000000ec0300000000180089001200010200000000001602000000ef030000000014008900120001010000"
    "0000000100000000";
static const char acl_after[] =
    "0200000001000700ffffffff020004002003000002000400ef0300000200070089130000020004008c130000"
    "04000400ffffffff08000400ef030000080004008a13000010000700ffffffff20000400ffffffff";
static const char v4_after[] =
    "0400040000000200040002000100823ad02679c5daea099669299e690378ed13e42c6e97ef163259b445832f"
    "075b0000000000000000000000000000000000000000000000000000000000000000706f7369785f61636c00"
    "18c85bfbab79dd01754356f8c265172d7b0ee122fc043129faf374e1b3b50283199fa7c8b4a0f55800000000"
    "0000000000000000000000000000000000000000000000000000000001000480b4000000c400000000000000"
    "d4000000010200000000001601000000891300000102000000000016020000008a1300000400940006000000"
    "01001800200000000102000000000016010000002003000000001800ff010000010200000000001601000000"
    "891300000000180089001200010200000000001601000000ef03000000001800890012000102000000000016"
    "010000008c1300000000180089001200010200000000001602000000ef030000000014008900120001010000"
    "0000000100000000";
static const char v1_before[] =
    "0100010000000200010004801c0000002c000000000000003c000000010200000000001601000000e9030000"
    "010200000000001602000000ea03000004009400060000000100180020000000010200000000001601000000"
    "eb03000000001800ff010000010200000000001601000000e903000000001800890012000102000000000016"
    "01000000ef0300000000180089001200010200000000001601000000ec030000000018008900120001020000"
    "0000001602000000ef0300000000140089001200010100000000000100000000";
static const char v2_before[] =
    "0200020000000200040002000707070707070707070707070707070701000480300000004000000000000000"
    "50000000010200000000001601000000e9030000010200000000001602000000ea0300000400940006000000"
    "0100180020000000010200000000001601000000eb03000000001800ff010000010200000000001601000000"
    "e90300000000180089001200010200000000001601000000ef03000000001800890012000102000000000016"
    "01000000ec0300000000180089001200010200000000001602000000ef030000000014008900120001010000"
    "0000000100000000";
static const char v3_none[] =
    "0300030000000200040002000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000100048064000000"
    "740000000000000084000000010200000000001601000000e9030000010200000000001602000000ea030000"
    "04009400060000000100180020000000010200000000001601000000eb03000000001800ff01000001020000"
    "0000001601000000e90300000000180089001200010200000000001601000000ef0300000000180089001200"
    "010200000000001601000000ec0300000000180089001200010200000000001602000000ef03000000001400"
    "89001200010100000000000100000000";

enum { HASH_AT = 14, HASH_END = 78, TIME_AT = 88, TIME_END = 96, SYS_HASH_AT = 96 };

static const char map_text[] = "uid,1001,5001\nuid,1003,800\nuid,1004,5004\ngid,1002,5002\n";

struct blob {
    uint8_t p[1024];
    size_t n;
};

static struct blob blob_of(const char *hex)
{
    struct blob b = {.n = strlen(hex) / 2};
    assert_true(b.n <= sizeof b.p);
    assert_int_equal(text_unhex(hex, b.p, b.n), 0);
    return b;
}

static struct idmap *map_of(const char *text)
{
    struct idmap *m = NULL;
    struct idmap_error e;
    assert_int_equal(idmap_parse(text, strlen(text), &m, &e), 0);
    return m;
}

static struct ntacl_posix posix_of(const struct blob *acl, uint32_t uid, uint32_t gid)
{
    return (struct ntacl_posix){
        .uid = uid, .gid = gid, .mode = S_IFREG | 0774, .access = acl->p, .access_len = acl->n};
}

static void the_digest_is_sambas(void **state)
{
    (void)state;
    struct blob acl = blob_of(acl_before), v4 = blob_of(v4_before);
    uint8_t sum[NTACL_HASH_BYTES];
    struct ntacl_posix p = posix_of(&acl, 1001, 1002);
    assert_int_equal(ntacl_posix_hash(&p, sum), 0);
    assert_memory_equal(sum, v4.p + SYS_HASH_AT, sizeof sum);
}

/* Of a folder without ACLs that are inherited, and of a file without any: from Samba as well. */
static void the_digest_without_acls(void **state)
{
    (void)state;
    uint8_t sum[NTACL_HASH_BYTES], want[NTACL_HASH_BYTES];
    struct ntacl_posix p = {.uid = 1001, .gid = 1002, .mode = S_IFREG | 0644};
    assert_int_equal(
        text_unhex("cecbd47429d1ceda8b9d513120ed2e075a92cb6f3f5d8ba1aee78d753d3d269c", want, 32),
        0);
    assert_int_equal(ntacl_posix_hash(&p, sum), 0);
    assert_memory_equal(sum, want, sizeof sum);
    struct blob acl = blob_of("0200000001000700ffffffff02000700e903000004000000ffffffff08000000"
                              "ea03000008000400ec03000010000700ffffffff20000000ffffffff");
    p = posix_of(&acl, 1001, 1002);
    p.mode = S_IFDIR | 0770;
    p.inherit = acl.p;
    p.inherit_len = acl.n;
    assert_int_equal(
        text_unhex("74703ee22bd9b1807f902f246789d1013a378c7fea8cbdf1352d9f7067db95e3", want, 32),
        0);
    assert_int_equal(ntacl_posix_hash(&p, sum), 0);
    assert_memory_equal(sum, want, sizeof sum);
}

static void acls_are_mapped_and_in_order(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text);
    struct blob before = blob_of(acl_before), after = blob_of(acl_after);
    struct buf b;
    buf_init(&b, 1024);
    assert_int_equal(remap_acl(m, before.p, before.n, &b), 0);
    assert_int_equal(b.len, after.n);
    assert_memory_equal(b.data, after.p, after.n);
    assert_int_equal(remap_acl(m, before.p, before.n - 1, &b), -EINVAL);
    assert_int_equal(remap_acl(m, "\3\0\0\0", 4, &b), -EINVAL);
    buf_done(&b);
}

static void two_that_become_one_have_the_rights_of_both(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = map_of("uid,7,5\n");
    struct blob acl = blob_of("0200000001000600ffffffff020004000500000002000200070000000400"
                              "0400ffffffff10000700ffffffff20000400ffffffff");
    struct blob want = blob_of("0200000001000600ffffffff020006000500000004000400ffffffff10000700ff"
                               "ffffff20000400ffffffff");
    struct buf b;
    buf_init(&b, 1024);
    assert_int_equal(remap_acl(m, acl.p, acl.n, &b), 0);
    assert_int_equal(b.len, want.n);
    assert_memory_equal(b.data, want.p, want.n);
    buf_done(&b);
}

static void a_descriptor_is_as_samba_would_write_it(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text);
    struct blob acl = blob_of(acl_before), acl2 = blob_of(acl_after);
    struct blob v4 = blob_of(v4_before), want = blob_of(v4_after);
    struct ntacl_posix from = posix_of(&acl, 1001, 1002), to = posix_of(&acl2, 5001, 5002);
    enum ntacl_fate fate = NTACL_LOST;
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(ntacl_map(v4.p, v4.n, m, &from, &to, &b, &fate), 0);
    assert_int_equal(fate, NTACL_MAPPED);
    assert_int_equal(b.len, want.n);
    /* When it was set, and the digest of Samba's own view, are not looked at when the other fits.
     */
    memcpy(b.data + HASH_AT, want.p + HASH_AT, HASH_END - HASH_AT);
    memcpy(b.data + TIME_AT, want.p + TIME_AT, TIME_END - TIME_AT);
    assert_memory_equal(b.data, want.p, want.n);
    buf_done(&b);
}

struct seen {
    unsigned n, changed;
};

static void count(void *arg, const struct sid *sid)
{
    struct seen *s = arg;
    s->n++;
    s->changed += sid->authority == 22 && (sid->sub[1] >= 5000 || sid->sub[1] == 800);
}

static void older_descriptors(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text);
    static const struct {
        const char *hex;
        enum ntacl_fate fate;
    } cases[] = {
        {v1_before, NTACL_MAPPED},
        {v3_none,   NTACL_MAPPED},
        {v2_before, NTACL_LOST  },
    };
    struct blob acl = blob_of(acl_before), acl2 = blob_of(acl_after);
    struct ntacl_posix from = posix_of(&acl, 1001, 1002), to = posix_of(&acl2, 5001, 5002);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct blob v = blob_of(cases[i].hex);
        enum ntacl_fate fate = NTACL_KEPT;
        struct seen s = {0};
        struct buf b;
        buf_init(&b, 4096);
        assert_int_equal(ntacl_map(v.p, v.n, m, &from, &to, &b, &fate), 0);
        assert_int_equal(fate, cases[i].fate);
        if (fate == NTACL_MAPPED) {
            assert_int_equal(b.len, v.n);
            assert_int_equal(ntacl_each(b.data, b.len, count, &s), 0);
            assert_int_equal(s.n, 8);
            assert_int_equal(s.changed, 5);
        }
        buf_clear(&b);
        assert_int_equal(ntacl_map(v.p, v.n, NULL, &from, &from, &b, &fate), 0);
        assert_int_equal(fate, NTACL_KEPT);
        assert_int_equal(b.len, 0);
        buf_done(&b);
    }
}

/* As SMB has it: without Samba's head, offsets from its own beginning. */
static void a_descriptor_alone(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text), *none = map_of("uid,1,2\n");
    struct blob v1 = blob_of(v1_before);
    struct seen s = {0};
    struct buf b, whole;
    uint8_t *sd = v1.p + 8;
    size_t n = v1.n - 8;
    for (unsigned i = 0; i < 4; i++)
        if (sd[4 + 4 * i])
            sd[4 + 4 * i] -= 8;
    buf_init(&b, 4096);
    buf_init(&whole, 4096);
    assert_int_equal(ntacl_map_descriptor(sd, n, none, &b), 0);
    assert_int_equal(b.len, 0);
    assert_int_equal(ntacl_each_descriptor(sd, n, count, &s), 0);
    assert_int_equal(s.n, 8);
    assert_int_equal(s.changed, 0);
    s = (struct seen){0};
    assert_int_equal(ntacl_map_descriptor(sd, n, m, &b), 1);
    assert_int_equal(b.len, n);
    for (unsigned i = 0; i < 4; i++)
        if (b.data[4 + 4 * i])
            b.data[4 + 4 * i] += 8;
    buf_put(&whole, v1.p, 8);
    buf_put(&whole, b.data, b.len);
    assert_int_equal(ntacl_each(whole.data, whole.len, count, &s), 0);
    assert_int_equal(s.n, 8);
    assert_int_equal(s.changed, 5);
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *exact = xmalloc(cut ? cut : 1); /* of its size, so that a look behind is seen */
        memcpy(exact, sd, cut);
        assert_int_equal(ntacl_map_descriptor(exact, cut, m, &b), -EBADMSG);
        assert_int_equal(ntacl_each_descriptor(exact, cut, NULL, NULL), -EBADMSG);
        free(exact);
    }
    buf_done(&b);
    buf_done(&whole);
}

static void a_digest_that_was_wrong_stays_wrong(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text);
    struct blob acl = blob_of(acl_before), acl2 = blob_of(acl_after), v4 = blob_of(v4_before);
    struct ntacl_posix from = posix_of(&acl, 1001, 1002), to = posix_of(&acl2, 5001, 5002);
    uint8_t right[NTACL_HASH_BYTES];
    enum ntacl_fate fate = NTACL_LOST;
    struct buf b;
    buf_init(&b, 4096);
    v4.p[SYS_HASH_AT] ^= 1;
    assert_int_equal(ntacl_map(v4.p, v4.n, m, &from, &to, &b, &fate), 0);
    assert_int_equal(ntacl_posix_hash(&to, right), 0);
    assert_memory_equal(b.data + SYS_HASH_AT, v4.p + SYS_HASH_AT, NTACL_HASH_BYTES);
    assert_memory_not_equal(b.data + SYS_HASH_AT, right, NTACL_HASH_BYTES);
    buf_done(&b);
}

/* A longer SID moves all that stands behind it. */
static void sids_of_another_length(void **state)
{
    (void)state;
    CLEANUP(idmap_free)
    struct idmap *m = map_of("sid,S-1-22-1-1001,S-1-5-21-1-2-3-500\nsid,S-1-1-0,S-1-5-32-545\n");
    struct blob acl = blob_of(acl_before), v4 = blob_of(v4_before);
    struct ntacl_posix p = posix_of(&acl, 1001, 1002);
    enum ntacl_fate fate = NTACL_LOST;
    struct seen s = {0};
    struct buf b, again;
    buf_init(&b, 4096);
    buf_init(&again, 4096);
    assert_int_equal(ntacl_map(v4.p, v4.n, m, &p, &p, &b, &fate), 0);
    assert_int_equal(fate, NTACL_MAPPED);
    assert_int_equal(b.len, v4.n + 12 + 12 + 4);
    assert_memory_equal(b.data + SYS_HASH_AT, v4.p + SYS_HASH_AT, NTACL_HASH_BYTES);
    assert_int_equal(ntacl_each(b.data, b.len, count, &s), 0);
    assert_int_equal(s.n, 8);
    CLEANUP(idmap_free)
    struct idmap *back = map_of("sid,S-1-5-21-1-2-3-500,S-1-22-1-1001\nsid,S-1-5-32-545,S-1-1-0\n");
    assert_int_equal(ntacl_map(b.data, b.len, back, &p, &p, &again, &fate), 0);
    assert_int_equal(again.len, v4.n);
    assert_memory_equal(again.data, v4.p, v4.n);
    buf_done(&b);
    buf_done(&again);
}

static void hostile_descriptors(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text);
    struct blob acl = blob_of(acl_before), acl2 = blob_of(acl_after);
    struct ntacl_posix from = posix_of(&acl, 1001, 1002), to = posix_of(&acl2, 5001, 5002);
    static const char *const all[] = {v1_before, v2_before, v3_none, v4_before};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct blob v = blob_of(all[i]);
        for (size_t bit = 0; bit < v.n * 8 + v.n; bit++) {
            struct blob bad = v;
            enum ntacl_fate fate = NTACL_KEPT;
            struct buf b;
            buf_init(&b, 1U << 17);
            if (bit < v.n * 8)
                bad.p[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            else
                bad.n = bit - v.n * 8;
            /* Of its own size, so that a look behind its end is seen. */
            CLEANUP(mem_free) uint8_t *exact = xmalloc(bad.n + 1);
            memcpy(exact, bad.p, bad.n);
            exact = xrealloc(exact, bad.n ? bad.n : 1);
            int rc = ntacl_map(exact, bad.n, m, &from, &to, &b, &fate);
            if (bit >= v.n * 8)
                assert_int_equal(rc, -EBADMSG);
            if (rc == 0 && fate == NTACL_MAPPED)
                assert_int_equal(ntacl_each(b.data, b.len, NULL, NULL), 0);
            buf_done(&b);
        }
    }
}

static void put(struct buf *b, const char *name, const struct blob *value)
{
    buf_put_blob(b, name, strlen(name));
    buf_put_blob(b, value->p, value->n);
}

static void attributes_of_an_entry(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text);
    struct blob acl = blob_of(acl_before), acl2 = blob_of(acl_after), v4 = blob_of(v4_before),
                v2 = blob_of(v2_before), mark = blob_of("41");
    struct meta now = {.uid = 1001, .gid = 1002, .mode = S_IFREG | 0774};
    struct buf b, want;
    unsigned losses = 0;
    buf_init(&b, XATTRS_MAX + 1);
    buf_init(&want, XATTRS_MAX + 1);
    put(&b, "security.NTACL", &v4);
    put(&b, "system.posix_acl_access", &acl);
    put(&b, "user.x", &mark);
    assert_true(xattrs_valid(b.data, b.len));
    remap_meta(m, &now);
    remap_attrs(m, &now, &b, &losses);
    assert_int_equal(losses, 0);
    assert_int_equal(now.uid, 5001);
    assert_int_equal(now.gid, 5002);
    assert_true(xattrs_valid(b.data, b.len));
    put(&want, "system.posix_acl_access", &acl2);
    put(&want, "user.x", &mark);
    assert_memory_equal(b.data + b.len - want.len, want.data, want.len);

    buf_clear(&b);
    put(&b, "security.NTACL", &v2);
    put(&b, "system.posix_acl_access", &acl);
    put(&b, "user.x", &mark);
    remap_attrs(m, &now, &b, &losses);
    assert_int_equal(losses, REMAP_LOSS_NTACL);
    assert_int_equal(b.len, want.len);
    assert_memory_equal(b.data, want.data, want.len);
    buf_done(&b);
    buf_done(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_digest_is_sambas),
        cmocka_unit_test(the_digest_without_acls),
        cmocka_unit_test(acls_are_mapped_and_in_order),
        cmocka_unit_test(two_that_become_one_have_the_rights_of_both),
        cmocka_unit_test(a_descriptor_is_as_samba_would_write_it),
        cmocka_unit_test(older_descriptors),
        cmocka_unit_test(a_descriptor_alone),
        cmocka_unit_test(a_digest_that_was_wrong_stays_wrong),
        cmocka_unit_test(sids_of_another_length),
        cmocka_unit_test(hostile_descriptors),
        cmocka_unit_test(attributes_of_an_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
