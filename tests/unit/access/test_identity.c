/* test_identity: which ids and SIDs are found in a tree's metadata, and what is believed of what
 * Samba's programs print about them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/access/identity.h"
#include "agent/access/idents.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define ALICE "S-1-5-21-1-2-3-1105"
#define STAFF "S-1-5-21-1-2-3-1106"

static size_t count(const struct idents *t, enum ident_kind kind, uint32_t id)
{
    size_t n = 0, found = 0;
    struct ident *list = idents_list(t, &n);
    for (size_t i = 0; i < n; i++)
        if (list[i].kind == kind && (kind == IDENT_SID || list[i].id == id))
            found += list[i].count;
    free(list);
    return found;
}

static void owners_and_entries_are_counted_once_each(void **state)
{
    (void)state;
    static const uint8_t acl[] = {2, 0, 0, 0,                         /* version */
                                  1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, /* owner */
                                  2, 0, 6, 0, 0xe9, 3,    0,    0,    /* user 1001 */
                                  8, 0, 4, 0, 0xea, 3,    0,    0,    /* group 1002 */
                                  4, 0, 5, 0, 0xff, 0xff, 0xff, 0xff};
    CLEANUP(idents_free) struct idents *t = idents_new();
    CLEANUP(idents_free) struct idents *sum = idents_new();
    idents_owner(t, 0, 0);
    idents_owner(t, 1001, 100);
    idents_owner(t, 1001, 100);
    idents_owner(t, 1002, 100);
    idents_acl(t, acl, sizeof acl);
    idents_acl(t, acl, sizeof acl - 1); /* is none */
    idents_acl(t, "", 0);
    idents_merge(sum, t);
    idents_merge(sum, t);
    assert_int_equal(count(sum, IDENT_UID, 0), 0);
    assert_int_equal(count(sum, IDENT_UID, 1001), 6);
    assert_int_equal(count(sum, IDENT_UID, 1002), 2);
    assert_int_equal(count(sum, IDENT_GID, 100), 6);
    assert_int_equal(count(sum, IDENT_GID, 1002), 2);
    assert_false(idents_full(sum));
    for (uint32_t i = 1; i <= IDENTS_MAX + 5; i++)
        idents_owner(t, 1000000 + i, 0);
    assert_true(idents_full(t));
}

struct table {
    Godwit__Identity of[3], *at[3];
};

static void table_init(struct table *t)
{
    static const char *const sids[] = {ALICE, STAFF, ALICE};
    for (unsigned i = 0; i < 3; i++) {
        godwit__identity__init(&t->of[i]);
        t->of[i].sid = xstrdup(sids[i]);
        t->at[i] = &t->of[i];
    }
}

static void table_done(struct table *t)
{
    for (unsigned i = 0; i < 3; i++) {
        free(t->of[i].sid);
        if (t->of[i].has_sid != protobuf_c_empty_string)
            free(t->of[i].has_sid);
    }
}

static void sids_are_believed_line_by_line(void **state)
{
    (void)state;
    static const struct {
        const char *out, *has[3];
        bool ok;
    } cases[] = {
        {ALICE "\nNOT MAPPED\n" STAFF "\n",   {ALICE, "", STAFF}, true },
        {"\n\n\n",                            {"", "", ""},       true },
        {ALICE " x\n-1\nS-1-5-21-1-2-3-4-\n", {"", "", ""},       true },
        {ALICE "\n" STAFF "\n",               {"", "", ""},       false},
        {"",                                  {"", "", ""},       false},
        {ALICE "\n\n\n\n",                    {"", "", ""},       false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct table t;
        char *out = xstrdup(cases[i].out);
        table_init(&t);
        assert_int_equal(identity_take_sids(out, t.at, 3), cases[i].ok);
        for (unsigned k = 0; k < 3; k++)
            assert_string_equal(t.of[k].has_sid, cases[i].has[k]);
        table_done(&t);
        free(out);
    }
}

static void ids_are_believed_where_they_are_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *out;
        bool dump;
        uint32_t as, id; /* of alice, in both of her rows */
    } cases[] = {
        {ALICE " -> uid/gid 101105\n",                   false, 3, 101105    },
        {"x\n" STAFF " -> gid 7\n" ALICE " -> uid 12\n", false, 1, 12        },
        {ALICE " -> gid 4294967294\n",                   false, 2, 4294967294},
        {ALICE " -> uid 4294967295\n",                   false, 0, 0         },
        {ALICE " -> uid -5\n" ALICE " -> uid 5x\n",      false, 0, 0         },
        {ALICE " -> unmapped\n" ALICE "\n -> \n",        false, 0, 0         },
        {"USER HWM 3000\nUID 10001 " ALICE "\n",         true,  1, 10001     },
        {"GID 3006 S-1-5-11\nUID x " ALICE "\nUID 5",    true,  0, 0         },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct table t;
        char *out = xstrdup(cases[i].out);
        table_init(&t);
        if (cases[i].dump)
            identity_take_dump(out, t.at, 3);
        else
            identity_take_ids(out, t.at, 3);
        for (unsigned k = 0; k < 3; k += 2) {
            assert_int_equal(t.of[k].as, cases[i].as);
            assert_int_equal(t.of[k].as_id, cases[i].id);
        }
        table_done(&t);
        free(out);
    }
}

static void orphans_are_whom_nobody_names(void **state)
{
    (void)state;
    static const struct {
        const char *out;
        bool alice, staff; /* nobody's */
    } cases[] = {
        {ALICE " -> LAB\\alice 1\n" STAFF " -> LAB\\staff 2\n", false, false},
        {ALICE " -> <none>\\ 8\n" STAFF " -> LAB\\a staff 4\n", true,  false},
        {STAFF " -> LAB\\ 6\n" ALICE "9 -> <none>\\x 8\n",      false, true },
        {ALICE "\n -> 8\n" STAFF " -> \n" ALICE " -> eight\n",  false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct table t;
        char *out = xstrdup(cases[i].out);
        table_init(&t);
        identity_take_names(out, t.at, 3);
        assert_int_equal(t.of[0].nobody, cases[i].alice);
        assert_int_equal(t.of[1].nobody, cases[i].staff);
        assert_int_equal(t.of[2].nobody, cases[i].alice);
        table_done(&t);
        free(out);
    }
    struct table t;
    table_init(&t);
    for (unsigned k = 0; k < 3; k++)
        t.of[k].nobody = true;
    identity_take_known("User SID:    " ALICE "\nx (" STAFF "9) -> staff\n", t.at, 3);
    assert_true(!t.of[0].nobody && t.of[1].nobody && !t.of[2].nobody);
    table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_and_entries_are_counted_once_each),
        cmocka_unit_test(sids_are_believed_line_by_line),
        cmocka_unit_test(orphans_are_whom_nobody_names),
        cmocka_unit_test(ids_are_believed_where_they_are_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
