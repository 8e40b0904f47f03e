/* test_sharelist: what the process that lists shares is asked, and what is taken from its answer.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/pull/sharelist.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

struct taken {
    unsigned n;
    char text[256];
};

static void on_share(void *arg, const struct share_found *f)
{
    struct taken *t = arg;
    size_t at = strlen(t->text);
    (void)snprintf(t->text + at, sizeof t->text - at, "%d %s (%s);", (int)f->kind, f->name,
                   f->comment);
    t->n++;
}

static void answers_are_bounded(void **state)
{
    (void)state;
#define ANSWER(s) s, sizeof(s) - 1
    static const struct {
        const char *answer;
        size_t len;
        int rc;
        const char *text;
    } cases[] = {
        {ANSWER("\0"),                          0,        ""                         },
        {ANSWER("\0\0\4data\5Stuff\3\4IPC$\0"), 0,        "0 data (Stuff);3 IPC$ ();"},
        {ANSWER("\0\1\3prn\3a\nb"),             0,        "1 prn (a\\x0ab);"         },
        {ANSWER("\15"),                         -EACCES,  ""                         },
        {ANSWER(""),                            -EBADMSG, ""                         },
        {ANSWER("\0\4\1x\0"),                   -EBADMSG, ""                         },
        {ANSWER("\0\0\0\0"),                    -EBADMSG, ""                         },
        {ANSWER("\0\0\4dat"),                   -EBADMSG, ""                         },
        {ANSWER("\0\0\1a\0\0\377\377\377\177"), -EBADMSG, "0 a ();"                  },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct taken t = {0};
        assert_int_equal(sharelist_read(cases[i].answer, cases[i].len, on_share, &t), cases[i].rc);
        assert_string_equal(t.text, cases[i].text);
    }
}

static void no_more_shares_than_that(void **state)
{
    (void)state;
    struct buf b;
    struct taken t = {0};
    buf_init(&b, SHARELIST_MAX);
    buf_put_u8(&b, 0);
    for (unsigned i = 0; i <= SHARES_MAX; i++) {
        buf_put_u8(&b, SHARE_FOLDER);
        buf_put_blob(&b, "s", 1);
        buf_put_blob(&b, "", 0);
    }
    assert_int_equal(sharelist_read(b.data, b.len, on_share, &t), -EBADMSG);
    assert_int_equal(t.n, SHARES_MAX);
    buf_done(&b);
}

static void the_question_holds_the_log_on(void **state)
{
    (void)state;
    const struct smb_place p = {
        .address = "nas:445",
        .login = {.proof = SMB_KEYTAB, .user = "svc@REALM", .secret = "a\0b", .secret_len = 3}
    };
    struct buf b;
    buf_init(&b, 256);
    sharelist_ask(&p, &b);
    static const char want[] = "\2\7nas:445\11svc@REALM\3a\0b";
    assert_int_equal(b.len, sizeof want - 1);
    assert_memory_equal(b.data, want, b.len);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_bounded),
        cmocka_unit_test(no_more_shares_than_that),
        cmocka_unit_test(the_question_holds_the_log_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
