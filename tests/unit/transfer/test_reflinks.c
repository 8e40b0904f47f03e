/* test_reflinks: which file has most of another's marks, in bounded memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "agent/transfer/record.h"
#include "agent/transfer/reflinks.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static const char *dir;

static struct reflinks *fresh(void)
{
    struct reflinks *r = NULL;
    assert_int_equal(reflinks_new(&r, dir), 0);
    return r;
}

static struct reflink file(char *path, uint64_t ino)
{
    return (struct reflink){path, strlen(path), ino, false};
}

/* NULL: seen for the first time. */
static char *see(struct reflinks *r, char *path, const uint64_t *marks, unsigned n)
{
    struct reflink own = file(path, strlen(path)), found = {.path = NULL};
    int rc = reflinks_see(r, marks, n, &own, &found);
    assert_int_equal(rc, found.path != NULL);
    if (found.path) {
        assert_int_equal(found.len, strlen(found.path));
        assert_int_equal(found.ino, found.len);
    }
    return found.path;
}

static void the_file_with_most_of_them_is_found(void **state)
{
    (void)state;
    static char names[3][16] = {"a", "sub/bb", "sub/\xff\n"}, other[] = "other";
    static const struct {
        unsigned n;
        uint64_t marks[4];
        const char *want;
    } cases[] = {
        {1, {1},             "a"         },
        {3, {1, 2, 3},       "a"         },
        {4, {1, 10, 11, 12}, "sub/bb"    },
        {2, {1, 10},         "a"         }, /* the one at the first place */
        {2, {10, 1},         "sub/bb"    },
        {4, {9, 8, 7, 20},   "sub/\xff\n"},
        {0, {0},             NULL        },
    };
    static const uint64_t marks[3][4] = {
        {1,  2,  3,  4 },
        {10, 11, 12, 13},
        {20, 21, 22, 23}
    };
    struct reflinks *r = fresh();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_null(see(r, names[i], marks[i], 4));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *found = see(r, other, cases[i].marks, cases[i].n);
        if (!cases[i].want)
            assert_null(found);
        else
            assert_string_equal(found, cases[i].want);
        free(found);
    }
    (void)reflinks_free(r);
}

static void a_mark_stays_with_the_first(void **state)
{
    (void)state;
    static const uint64_t first[] = {1, 2}, second[] = {1, 2, 3}, third[] = {3};
    static char one[] = "first", two[] = "second", x[] = "x";
    struct reflinks *r = fresh();
    assert_null(see(r, one, first, 2));
    struct reflink own = file(two, 6);
    assert_int_equal(reflinks_add(r, second, 3, &own), 0);
    char *found = see(r, x, second, 3);
    assert_string_equal(found, "first");
    free(found);
    found = see(r, x, third, 1); /* what only it has */
    assert_string_equal(found, "second");
    free(found);
    (void)reflinks_free(r);
}

static uint64_t mark(uint64_t i)
{
    return XXH3_64bits(&i, sizeof i);
}

/* The table grows to its limit, and no further: what came last is found, and some of what came
 * first is not. */
static void there_is_a_limit(void **state)
{
    (void)state;
    enum { FILES = 300000, EACH = 5 };
    static char new[] = "new";
    struct reflinks *r = fresh();
    unsigned lost = 0;
    for (uint64_t i = 0; i < FILES; i++) {
        uint64_t marks[EACH];
        char path[32];
        for (uint64_t k = 0; k < EACH; k++)
            marks[k] = mark(i * EACH + k);
        (void)snprintf(path, sizeof path, "%llu", (unsigned long long)i);
        struct reflink own = file(path, strlen(path));
        assert_int_equal(reflinks_add(r, marks, EACH, &own), 0);
    }
    for (uint64_t i = 0; i < FILES; i += 100) {
        uint64_t one = mark(i * EACH);
        char path[32], *found = see(r, new, &one, 1);
        (void)snprintf(path, sizeof path, "%llu", (unsigned long long)i);
        if (found)
            assert_string_equal(found, path);
        lost += !found;
        free(found);
    }
    assert_true(lost > 0);
    assert_true(lost < FILES / 100 / 2);
    (void)reflinks_free(r);
}

/* As a destination reads it; an older source says nothing of one. */
static void a_basis_is_a_path_below_the_root(void **state)
{
    (void)state;
    static const struct {
        const char *basis;
        int rc;
    } cases[] = {
        {"",        0       },
        {"a",       0       },
        {"a/b\xff", 0       },
        {"/a",      -EBADMSG},
        {"../a",    -EBADMSG},
        {"a//b",    -EBADMSG},
        {"a/..",    -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b;
        struct begin g = {.id = 3, .basis_ino = 9}, got;
        g.name = (struct bytes){"n", 1};
        g.basis = (struct bytes){cases[i].basis, strlen(cases[i].basis)};
        g.meta = (struct meta){.mode = S_IFREG | 0644, .nlink = 1, .size = 1 << 20};
        buf_init(&b, 4096);
        begin_put(&b, &g);
        struct cursor c = cursor_of(b.data, b.len);
        assert_int_equal(begin_get(&c, &got), cases[i].rc);
        if (cases[i].rc == 0) {
            assert_int_equal(got.basis.n, g.basis.n);
            assert_int_equal(got.basis_ino, g.basis.n ? 9 : 0);
        }
        for (size_t cut = 1; g.basis.n > 0 && cut < 8; cut++) {
            c = cursor_of(b.data, b.len - cut);
            assert_int_equal(begin_get(&c, &got), -EBADMSG);
        }
        buf_done(&b);
    }
}

int main(void)
{
    dir = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_with_most_of_them_is_found),
        cmocka_unit_test(a_mark_stays_with_the_first),
        cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(a_basis_is_a_path_below_the_root),
    };
    cmocka_set_test_filter(getenv("GODWIT_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
