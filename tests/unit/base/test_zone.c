/* test_zone: offsets are those of the C library, in every zone of this machine, over a century; and
 * damaged files are refused. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/zone.h"
#include "tests/unit/test.h"

#define STEP (INT64_C(86400) * 3 + 4321) /* not a whole day: all hours are met */

static int32_t libc_offset(int64_t s)
{
    struct tm tm;
    time_t t = (time_t)s;
    assert_non_null(localtime_r(&t, &tm));
    return (int32_t)tm.tm_gmtoff;
}

static void compare(const char *name, int64_t from, int64_t to)
{
    CLEANUP(zone_free) struct zone *z = NULL;
    int rc = zone_open(name, &z);
    if (rc < 0)
        fail_msg("%s: %s", name, strerror(-rc));
    assert_int_equal(setenv("TZ", name, 1), 0);
    tzset();
    for (int64_t s = from; s < to; s += STEP) {
        if (zone_offset(z, s) != libc_offset(s))
            fail_msg("%s at %lld: %d, not %d", name, (long long)s, zone_offset(z, s),
                     libc_offset(s));
    }
}

static void offsets_are_the_c_librarys(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Europe/Zurich",       "America/New_York",
        "Australia/Lord_Howe", "Asia/Kolkata",
        "America/Nuuk",        "Africa/Cairo",
        "Asia/Gaza",           "Pacific/Chatham",
        "Antarctica/Troll",    "Europe/Dublin",
        "America/Sao_Paulo",   "Asia/Tehran",
        "Etc/GMT+5",           "UTC",
        "America/Santiago",    "Pacific/Apia",
    };
    struct stat st;
    if (stat("/usr/share/zoneinfo/Europe/Zurich", &st) < 0)
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        compare(names[i], INT64_C(946684800), INT64_C(4102444800)); /* 2000 to 2100 */
}

static void changes_are_met_to_the_second(void **state)
{
    (void)state;
    CLEANUP(zone_free) struct zone *z = NULL;
    if (zone_open("Europe/Zurich", &z) < 0)
        skip();
    static const int64_t changes[] = {1774746000 /* 2026-03-29 01:00 UTC */,
                                      1792890000 /* 2026-10-25 */,
                                      2689808400 /* 2055-03-28, by the rule */};
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        int32_t before = i == 1 ? 7200 : 3600;
        assert_int_equal(zone_offset(z, changes[i] - 1), before);
        assert_int_equal(zone_offset(z, changes[i]), 10800 - before);
    }
}

static void names_stay_in_their_folder(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int rc;
    } cases[] = {
        {"../../etc/passwd", -EINVAL},
        {"/etc/localtime",   -EINVAL},
        {"Europe/",          -EINVAL},
        {"Europe//Zurich",   -EINVAL},
        {"Mars/Olympus",     -ENOENT},
        {"Europe",           -ENOENT},
        {"Europe/Zu rich",   -EINVAL},
        {"tzdata.zi",        -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct zone *z = NULL;
        int rc = zone_open(cases[i].name, &z);
        if (rc != cases[i].rc)
            fail_msg("%s: %d, not %d", cases[i].name, rc, cases[i].rc);
    }
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *data = NULL;
    size_t len = 0;
    if (file_read("/usr/share/zoneinfo/Europe/Zurich", 65536, &data, &len) < 0)
        skip();
    for (size_t cut = 0; cut < len; cut++) {
        CLEANUP(zone_free) struct zone *z = NULL;
        CLEANUP(mem_free) char *part = xmalloc(cut ? cut : 1); /* a bound for ASan */
        memcpy(part, data, cut);
        int rc = zone_of(part, cut, &z);
        assert_true(rc == -EBADMSG || rc == 0); /* 0: the footer alone is missing */
    }
    for (size_t i = 0; i < len * 8; i++) { /* any bit turned: refused, or it answers something */
        CLEANUP(zone_free) struct zone *z = NULL;
        data[i / 8] = (char)(data[i / 8] ^ 1 << i % 8);
        if (zone_of(data, len, &z) == 0) {
            (void)zone_offset(z, 0);
            (void)zone_offset(z, INT64_C(4000000000));
        }
        data[i / 8] = (char)(data[i / 8] ^ 1 << i % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_the_c_librarys),
        cmocka_unit_test(changes_are_met_to_the_second),
        cmocka_unit_test(names_stay_in_their_folder),
        cmocka_unit_test(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
