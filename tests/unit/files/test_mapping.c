/* test_mapping: pages of what an id map would change: every entry once, in order, wherever a page
 * ends; owners, ACLs, SIDs; what an order may not say. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "agent/store/beneath.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "proto/files.pb-c.h"
#include "tests/unit/files/step_stub.h"
#include "tests/unit/test.h"

#define FILES 700 /* more than a page has rows */

static char top[64];
static int root = -1;
static unsigned owner; /* of all entries */

static void made(const char *path, bool folder)
{
    CLEANUP(mem_free) char *whole = xasprintf("%s/%s", top, path);
    int fd = folder ? mkdir(whole, 0755) : open(whole, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    if (!folder)
        (void)close(fd);
    if (geteuid() == 0)
        assert_int_equal(lchown(whole, owner, owner), 0);
}

static int setup(void **state)
{
    (void)state;
    char name[32];
    (void)snprintf(top, sizeof top, "/var/tmp/mapping-godwit-%d", (int)getpid());
    owner = geteuid() ? geteuid() : 3001;
    if (mkdir(top, 0755) < 0)
        return -1;
    root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    made("a", true);
    made("a/deep", true);
    made("a/deep/x", false);
    made("a.b", false); /* before "a/" by bytes, behind it on the way */
    made("many", true);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "many/%d", i);
        made(name, i % 50 == 0);
    }
    made("many/0/last", false);
    made("z", false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    uint64_t n = 0;
    int dir = open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)beneath_remove(dir, top + sizeof "/var/tmp/" - 1, &n);
    (void)close(dir);
    (void)close(root);
    return 0;
}

static ProtobufCBinaryData bytes_of(char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

static void ask(char *map, char *after, struct step_result *ret)
{
    Godwit__MapOrder o = GODWIT__MAP_ORDER__INIT;
    o.path = bytes_of(top);
    o.map = bytes_of(map);
    o.after = after;
    size_t len = godwit__map_order__get_packed_size(&o);
    CLEANUP(mem_free) uint8_t *packed = xmalloc(len + 1);
    (void)godwit__map_order__pack(&o, packed);
    struct step *s = step_stub_new(top, packed, len);
    memset(ret, 0, sizeof *ret);
    files_map(s, ret);
    (void)step_stub_free(s);
}

static Godwit__MapPage *page_of(char *map, char *after)
{
    struct step_result r;
    ask(map, after, &r);
    assert_int_equal(r.status, STEP_DONE);
    Godwit__MapPage *p = godwit__map_page__unpack(NULL, r.body_len, r.body);
    assert_non_null(p);
    free(r.body);
    return p;
}

/* '/' comes before all other bytes on the way. */
static int by_way(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    int x = *a == '/' ? 1 : (unsigned char)*a, y = *b == '/' ? 1 : (unsigned char)*b;
    return x - y;
}

static void every_entry_is_told_once(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *map = xasprintf("uid,%u,7001\n", owner);
    CLEANUP(mem_free) char *after = xstrdup("");
    CLEANUP(mem_free) char *last = xstrdup("");
    size_t rows = 0, pages = 0;
    for (bool done = false; !done; pages++) {
        Godwit__MapPage *p = page_of(map, after);
        assert_string_equal(p->after, after);
        for (size_t i = 0; i < p->n_rows; i++) {
            const char *path = p->rows[i]->path;
            if (*last || *path)
                assert_true(by_way(path, last) > 0);
            free(last);
            last = xstrdup(path);
            CLEANUP(mem_free) char *want = xasprintf("owner %u -> 7001", owner);
            assert_string_equal(p->rows[i]->changes[0], want);
        }
        rows += p->n_rows;
        done = p->done;
        assert_int_equal(p->affected, p->n_rows);
        free(after);
        after = xstrdup(p->next);
        godwit__map_page__free_unpacked(p, NULL);
    }
    /* The top folder is its maker's. */
    assert_int_equal(rows, FILES + 7 + (geteuid() != 0));
    assert_int_equal(pages, 2);
}

static void other_ids_are_nothing_to_tell(void **state)
{
    (void)state;
    char map[] = "uid,64001,64002\n", none[] = "";
    Godwit__MapPage *p = page_of(map, none);
    assert_true(p->done);
    assert_int_equal(p->n_rows, 0);
    assert_int_equal(p->entries, FILES + 8);
    godwit__map_page__free_unpacked(p, NULL);
}

static void acls_are_told(void **state)
{
    (void)state;
    static const uint8_t acl[] = {2,   0,   0,   0,   1,   0,  6, 0, 255, 255, 255, 255, 2,
                                  0,   6,   0,   5,   0,   0,  0, 4, 0,   4,   0,   255, 255,
                                  255, 255, 8,   0,   4,   0,  6, 0, 0,   0,   16,  0,   6,
                                  0,   255, 255, 255, 255, 32, 0, 4, 0,   255, 255, 255, 255};
    char map[] = "uid,5,50\ngid,6,60\n", none[] = "";
    CLEANUP(mem_free) char *path = xasprintf("%s/z", top);
    if (setxattr(path, "system.posix_acl_access", acl, sizeof acl, 0) < 0 && errno == EOPNOTSUPP)
        skip();
    Godwit__MapPage *p = page_of(map, none);
    assert_int_equal(p->n_rows, 1);
    assert_string_equal(p->rows[0]->path, "z");
    assert_int_equal(p->rows[0]->n_changes, 2);
    assert_string_equal(p->rows[0]->changes[0], "ACL user 5 -> 50");
    assert_string_equal(p->rows[0]->changes[1], "ACL group 6 -> 60");
    godwit__map_page__free_unpacked(p, NULL);
}

static void bad_orders_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *map, *after;
    } cases[] = {
        {"uid,1,2\n", "zz"      }, /* no hex */
        {"uid,1,2\n", "2e2e2f61"}, /* ../a */
        {"uid,1,2\n", "2f"      },
        {"uid,1\n",   ""        },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct step_result r;
        CLEANUP(mem_free) char *map = xstrdup(cases[i].map);
        CLEANUP(mem_free) char *after = xstrdup(cases[i].after);
        ask(map, after, &r);
        assert_int_equal(r.status, STEP_FAILED);
        assert_int_equal(r.fault.err, EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_told_once),
        cmocka_unit_test(other_ids_are_nothing_to_tell),
        cmocka_unit_test(acls_are_told),
        cmocka_unit_test(bad_orders_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
