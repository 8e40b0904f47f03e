/* test_quotas: which limits a destination gets, keeps and loses, on a file system that is made up
 * here: quotactl's own answers are tried in a machine of the lab (tests/scenario/quotas.sh). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "agent/files/quotas.h"
#include "agent/store/quota.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/files/step_stub.h"
#include "tests/unit/test.h"

#define IDS 10

static struct quota there[QUOTA_KINDS][IDS];
static unsigned counted = 7, enforced = 7, refused = IDS; /* refused: an id that cannot be set */
static char top[64];

unsigned __wrap_quota_kinds(int fd, unsigned *retenforced);
int __wrap_quota_next(int fd, enum quota_kind kind, uint32_t *id, struct quota *ret);
int __wrap_quota_get(int fd, enum quota_kind kind, uint32_t id, struct quota *ret);
int __wrap_quota_set(int fd, enum quota_kind kind, uint32_t id, const struct quota *limits);

unsigned __wrap_quota_kinds(int fd, unsigned *retenforced)
{
    (void)fd;
    *retenforced = enforced;
    return counted;
}

int __wrap_quota_next(int fd, enum quota_kind kind, uint32_t *id, struct quota *ret)
{
    (void)fd;
    for (uint32_t i = *id; i < IDS; i++) {
        if (!quota_is_limited(&there[kind][i]) && there[kind][i].used_files == 0)
            continue;
        *id = i;
        *ret = there[kind][i];
        return 1;
    }
    return 0;
}

int __wrap_quota_get(int fd, enum quota_kind kind, uint32_t id, struct quota *ret)
{
    (void)fd;
    *ret = there[kind][id];
    return 0;
}

int __wrap_quota_set(int fd, enum quota_kind kind, uint32_t id, const struct quota *limits)
{
    (void)fd;
    if (id == refused)
        return -EINVAL;
    there[kind][id] = *limits;
    return 0;
}

static struct quota_grace times[QUOTA_KINDS];

int __wrap_quota_grace_get(int fd, enum quota_kind kind, struct quota_grace *ret);
int __wrap_quota_grace_set(int fd, enum quota_kind kind, const struct quota_grace *g);

int __wrap_quota_grace_get(int fd, enum quota_kind kind, struct quota_grace *ret)
{
    (void)fd;
    *ret = times[kind];
    return 0;
}

int __wrap_quota_grace_set(int fd, enum quota_kind kind, const struct quota_grace *g)
{
    (void)fd;
    times[kind] = *g;
    return 0;
}

static struct quota mib(uint64_t hard)
{
    return (struct quota){.hard_bytes = hard << 20};
}

static void what_has_a_limit_is_told(void **state)
{
    (void)state;
    memset(there, 0, sizeof there);
    there[QUOTA_USER][1] = mib(5);
    there[QUOTA_USER][2].used_files = 7; /* no limit */
    there[QUOTA_PROJECT][9] = (struct quota){.soft_files = 3};
    Godwit__Quotas *q = quotas_list(-1);
    CLEANUP(traits_free) struct traits *t = traits_new(NULL, NULL);
    assert_int_equal(q->n_list, 2);
    assert_int_equal(q->list[0]->id, 1);
    assert_int_equal(q->list[0]->hard_bytes, 5 << 20);
    assert_int_equal(q->list[1]->kind, QUOTA_PROJECT);
    quotas_note(t, q);
    assert_int_equal(traits_count(t, TRAIT_USER_QUOTA), 1);
    assert_int_equal(traits_count(t, TRAIT_GROUP_QUOTA), 0);
    assert_string_equal(traits_example(t, TRAIT_USER_QUOTA, 0), "user 1: 5.0 MiB, 0 files");
    godwit__quotas__free_unpacked(q, NULL);
    counted = 0;
    assert_null(quotas_list(-1));
    counted = 7;
}

static Godwit__QuotaGrace *graces[QUOTA_KINDS]; /* of the source */
static size_t ngraces;

static Godwit__QuotaResult *apply(Godwit__QuotaRow *const *rows, size_t n, const char *map,
                                  bool dry)
{
    Godwit__QuotaOrder o = GODWIT__QUOTA_ORDER__INIT;
    char pair[] = "0123456789abcdef.1";
    Godwit__QuotaRow *list[8];
    struct step_result r;
    memset(&r, 0, sizeof r);
    if (n)
        memcpy(list, rows, n * sizeof *list);
    o.path = (ProtobufCBinaryData){.data = (uint8_t *)top, .len = strlen(top)};
    o.map = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)map, .len = strlen(map)};
    o.pair = pair;
    o.dry_run = dry;
    o.list = list;
    o.n_list = n;
    o.graces = graces;
    o.n_graces = ngraces;
    size_t len = godwit__quota_order__get_packed_size(&o);
    CLEANUP(mem_free) uint8_t *packed = xmalloc(len);
    (void)godwit__quota_order__pack(&o, packed);
    struct step *s = step_stub_new(top, packed, len);
    quotas_apply(s, &r);
    (void)step_stub_free(s);
    assert_int_equal(r.status, STEP_DONE);
    Godwit__QuotaResult *ret = godwit__quota_result__unpack(NULL, r.body_len, r.body);
    step_result_done(&r);
    return ret;
}

static void limits_follow_the_source_and_leave_what_others_set(void **state)
{
    (void)state;
    Godwit__QuotaRow a = GODWIT__QUOTA_ROW__INIT, b = a, c = a, d = a;
    Godwit__QuotaRow *rows[] = {&a, &b, &c, &d};
    memset(there, 0, sizeof there);
    a.id = 1;
    a.hard_bytes = 5 << 20;
    b.id = 2;
    b.hard_bytes = 6 << 20;
    c.kind = QUOTA_GROUP;
    c.id = 3;
    c.soft_files = 9;
    d.id = 4;
    d.hard_bytes = 7 << 20;
    there[QUOTA_USER][2] = mib(1); /* somebody's own */
    there[QUOTA_USER][4] = mib(7);
    const struct {
        bool dry;
        size_t n;
        uint64_t a_mib; /* at the source */
        unsigned set, same, kept, cleared;
        uint64_t now_mib; /* of user 5, which is the source's 1 */
    } cases[] = {
        {true,  4, 5, 2, 1, 1, 0, 0},
        {false, 4, 5, 2, 1, 1, 0, 5},
        {false, 4, 5, 0, 3, 1, 0, 5},
        {false, 4, 8, 1, 2, 1, 0, 8}, /* it was ours */
        {true,  0, 8, 0, 0, 0, 2, 8},
        {false, 0, 8, 0, 0, 0, 2, 0},
        {false, 0, 8, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        a.hard_bytes = cases[i].a_mib << 20;
        Godwit__QuotaResult *r = apply(rows, cases[i].n, "uid,1,5", cases[i].dry);
        if (r->set != cases[i].set || r->same != cases[i].same || r->kept != cases[i].kept ||
            r->cleared != cases[i].cleared || r->failed != 0 ||
            there[QUOTA_USER][5].hard_bytes != cases[i].now_mib << 20)
            fail_msg("case %zu: set %u same %u kept %u cleared %u", i, r->set, r->same, r->kept,
                     r->cleared);
        assert_int_equal(there[QUOTA_USER][2].hard_bytes, 1 << 20);
        assert_int_equal(there[QUOTA_USER][4].hard_bytes, 7 << 20);
        assert_int_equal(there[QUOTA_USER][1].hard_bytes, 0);
        godwit__quota_result__free_unpacked(r, NULL);
    }
}

static void grace_times_come_where_nobody_has_set_some(void **state)
{
    (void)state;
    Godwit__QuotaGrace users = GODWIT__QUOTA_GRACE__INIT, groups = users;
    groups.kind = QUOTA_GROUP;
    groups.bytes_s = groups.files_s = 60;
    graces[0] = &users;
    graces[1] = &groups;
    ngraces = 2;
    times[QUOTA_USER] = (struct quota_grace){QUOTA_GRACE_USUAL, QUOTA_GRACE_USUAL};
    times[QUOTA_GROUP] = (struct quota_grace){30, QUOTA_GRACE_USUAL}; /* somebody's */
    static const struct {
        uint64_t source; /* of users */
        bool dry;
        unsigned set;
        uint64_t here;
    } cases[] = {
        {7200, true,  1, QUOTA_GRACE_USUAL},
        {7200, false, 1, 7200             },
        {7200, false, 0, 7200             },
        {9000, false, 1, 9000             }, /* it was ours */
        {9000, false, 0, 9000             },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        users.bytes_s = users.files_s = cases[i].source;
        Godwit__QuotaResult *r = apply(NULL, 0, "", cases[i].dry);
        if (r->graces_set != cases[i].set || times[QUOTA_USER].bytes_s != cases[i].here ||
            r->n_notes != 1)
            fail_msg("case %zu: set %u, %llu", i, r->graces_set,
                     (unsigned long long)times[QUOTA_USER].bytes_s);
        assert_int_equal(times[QUOTA_GROUP].bytes_s, 30);
        assert_non_null(strstr(r->notes[0], "each group are others here"));
        godwit__quota_result__free_unpacked(r, NULL);
    }
    times[QUOTA_USER].bytes_s = 5; /* changed here since: it stays */
    Godwit__QuotaResult *r = apply(NULL, 0, "", false);
    assert_int_equal(r->graces_set, 0);
    assert_int_equal(r->n_notes, 2);
    godwit__quota_result__free_unpacked(r, NULL);
    ngraces = 0;
    Godwit__Quotas *q = quotas_list(-1);
    assert_int_equal(q->n_graces, QUOTA_KINDS);
    assert_int_equal(q->graces[QUOTA_USER]->bytes_s, 5);
    godwit__quotas__free_unpacked(q, NULL);
}

static void what_cannot_be_is_told(void **state)
{
    (void)state;
    Godwit__QuotaRow a = GODWIT__QUOTA_ROW__INIT, b = a;
    Godwit__QuotaRow *rows[] = {&a, &b};
    memset(there, 0, sizeof there);
    a.id = 1;
    a.hard_bytes = 1;
    b.kind = QUOTA_PROJECT;
    b.id = 2;
    b.hard_files = 1;
    counted = 1U << QUOTA_USER;
    enforced = 0;
    Godwit__QuotaResult *r = apply(rows, 2, "", false);
    assert_int_equal(r->set, 1);
    assert_int_equal(r->failed, 1);
    assert_int_equal(r->n_notes, 2);
    assert_non_null(strstr(r->notes[0], "project 2"));
    assert_non_null(strstr(r->notes[1], "nobody is held to them"));
    godwit__quota_result__free_unpacked(r, NULL);
    refused = 1;
    a.hard_bytes = 8192;
    r = apply(rows, 1, "", false);
    assert_int_equal(r->failed, 1);
    assert_int_equal(r->set, 0);
    godwit__quota_result__free_unpacked(r, NULL);
    refused = IDS;
    counted = enforced = 7;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_a_limit_is_told),
        cmocka_unit_test(grace_times_come_where_nobody_has_set_some),
        cmocka_unit_test(limits_follow_the_source_and_leave_what_others_set),
        cmocka_unit_test(what_cannot_be_is_told),
    };
    (void)snprintf(top, sizeof top, "/var/tmp/quotas-godwit-%d", (int)getpid());
    if (file_mkdirs(top, 0700) < 0)
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    CLEANUP(mem_free) char *record = xasprintf("%s/quota/0123456789abcdef.1", top);
    CLEANUP(mem_free) char *dir = xasprintf("%s/quota", top);
    (void)unlink(record);
    (void)rmdir(dir);
    (void)rmdir(top);
    return rc;
}
