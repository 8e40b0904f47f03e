/* test_fence: smb.conf behind the fence; what smbstatus and systemctl print. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/fence.h"
#include "agent/identity/service.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static const char text[] =
    "[global]\nworkgroup = X\nregistry shares = yes\ninclude = /x\n"
    "[data]\npath = /srv\nread only = no\nwrite list = bob\nadmin users = a\n";

static void render(void **state)
{
    (void)state;
    struct fault why = {.err = 0};
    CLEANUP(smbconf_free) struct smbconf *c = NULL;
    assert_int_equal(smbconf_parse(text, strlen(text), &c, &why), 0);
    CLEANUP(mem_free) char *read_only = fence_render(c, false);
    CLEANUP(mem_free) char *closed = fence_render(c, true);
    assert_non_null(strstr(read_only, "[global]\n   workgroup = X\n   usershare max shares = 0\n"
                                      "[data]\n   path = /srv\n   read only = yes\n"));
    static const char *const gone[] = {"write list", "admin", "include", "registry",
                                       "read only = no"};
    for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
        assert_null(strstr(closed, gone[i]));
    assert_null(strstr(read_only, "available"));
    assert_non_null(
        strstr(closed, "[data]\n   path = /srv\n   read only = yes\n   available = no\n"));
}

static void open_files(void **state)
{
    (void)state;
    static const char json[] =
        "{\"open_files\":{\"/srv/a\":{\"filename\":\"a\",\"opens\":{\"1/1\":{\"uid\":7},\"1/2\":{"
        "\"uid\":8}}},\"/srv/b\":{\"filename\":\"b\\u0007\",\"opens\":{\"1/3\":{}}}}}";
    Godwit__IdentityOpenFile **list = NULL;
    size_t n = 0, count = 0;
    assert_int_equal(fence_parse_open(json, 2, &list, &n, &count), 0);
    assert_int_equal(n, 2);
    assert_int_equal(count, 3);
    assert_string_equal(list[0]->path, "a");
    assert_string_equal(list[0]->user, "uid 7");
    for (size_t i = 0; i < n; i++)
        godwit__identity_open_file__free_unpacked(list[i], NULL);
    free(list);
    assert_int_equal(fence_parse_open("[]", 2, &list, &n, &count), -EBADMSG);
    assert_int_equal(fence_parse_open("{", 2, &list, &n, &count), -EBADMSG);
}

static void units(void **state)
{
    (void)state;
    Godwit__UndoUnits *u = service_parse(
        "Id=smbd.service\nLoadState=loaded\nActiveState=active\n\nId=nmbd.service\n"
        "LoadState=masked\nActiveState=inactive\n\nrubbish\nActiveState=active-ish\n");
    assert_int_equal(u->n_units, 2);
    assert_true(service_active(u, "smbd.service"));
    assert_false(u->units[0]->masked);
    assert_false(service_active(u, "nmbd.service"));
    assert_true(u->units[1]->masked);
    assert_false(service_active(u, "winbind.service"));
    service_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(render), cmocka_unit_test(open_files),
                                       cmocka_unit_test(units)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
