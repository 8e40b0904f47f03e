/* test_smbconf: text as people and tools write it, and as nobody should. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/share/smbconf.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static struct smbconf *parse(const char *text)
{
    struct smbconf *c = NULL;
    struct fault why = {0};
    assert_int_equal(smbconf_parse(text, strlen(text), &c, &why), 0);
    return c;
}

static void what_people_write(void **state)
{
    (void)state;
    CLEANUP(smbconf_free)
    struct smbconf *c = parse("   stray = 1\n"
                              "# comment = no\n"
                              ";[no]\n"
                              "[ Data Store ]\r\n"
                              "\tpath=/srv/data  \r\n"
                              "valid users = @staff, \\\n"
                              "   +ops\n"
                              "comment = a = b # not a comment; really\n"
                              "neither this\n"
                              "[homes]\n"
                              "  path = /srv/%S\n"
                              "[DATASTORE]\n"
                              "Read Only = no\n"
                              "readonly = yes\n"
                              "empty =\n"
                              "last = no newline");
    assert_int_equal(c->nsections, 3);
    assert_int_equal(c->bad_line, 9);
    assert_string_equal(smbconf_value(smbconf_find(c, "GLOBAL"), "Stray"), "1");
    const struct smbconf_section *d = smbconf_find(c, "data store");
    assert_string_equal(d->name, "Data Store");
    assert_string_equal(smbconf_value(d, "path"), "/srv/data");
    assert_string_equal(smbconf_value(d, "validusers"), "@staff,    +ops");
    assert_string_equal(smbconf_value(d, "comment"), "a = b # not a comment; really");
    assert_string_equal(smbconf_value(d, "read only"), "yes");
    assert_string_equal(smbconf_value(d, "empty"), "");
    assert_string_equal(smbconf_value(d, "last"), "no newline");
    assert_null(smbconf_value(d, "las"));
    assert_null(smbconf_find(c, "no"));
    assert_string_equal(smbconf_value(smbconf_find(c, "homes"), "path"), "/srv/%S");
}

static void what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        int want;
    } cases[] = {
        {"[global\nfoo = 1\n", 16, -EINVAL},
        {"a = 1\0b = 2\n",     12, -EINVAL},
        {"\n\n[",              3,  -EINVAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct smbconf *c = NULL;
        struct fault why = {0};
        assert_int_equal(smbconf_parse(cases[i].text, cases[i].len, &c, &why), cases[i].want);
        assert_null(c);
        assert_true(why.text[0]);
    }
    struct smbconf *c = NULL;
    struct fault why = {0};
    size_t n = 6 * (SMBCONF_SECTIONS + 1UL);
    char *many = xmalloc(n + 1);
    for (size_t i = 0; i <= SMBCONF_SECTIONS; i++)
        (void)snprintf(many + 6 * i, 7, "[%03zx]\n", i);
    assert_int_equal(smbconf_parse(many, n, &c, &why), -E2BIG);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_write),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
