/* test_again: what the source says was sent twice, over sessions, kills and pauses. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/transfer/again.h"
#include "agent/transfer/record.h"
#include "agent/transfer/sent.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

struct session {
    struct status first, last; /* instance 0: never heard of */
    uint64_t sent;
};

static const struct {
    const char *name;
    struct session sessions[3];
    uint64_t want[3]; /* at the end of each session */
} cases[] = {
    {"nothing lost",                                  {{{1, 0, 0}, {1, 90, 0}, 100}, {{1, 100, 0}, {1, 150, 0}, 50}},  {0, 0} },
    {"an older count",                                {{{1, 900, 0}, {1, 990, 0}, 90}, {{1, 990, 0}, {1, 999, 0}, 9}}, {0, 0} },
    {"a cut link",                                    {{{1, 0, 0}, {1, 60, 0}, 100}, {{1, 70, 0}, {1, 170, 0}, 100}},  {0, 30}},
    {"lost twice",
     {{{1, 0, 0}, {1, 0, 0}, 100}, {{1, 0, 0}, {1, 20, 0}, 50}, {{1, 20, 0}, {1, 220, 0}, 200}},
     {0, 100, 130}                                                                                                            },
    {"what a killed one had placed is found",
     {{{1, 0, 0}, {1, 40, 0}, 100}, {{1, 40, 0}, {1, 160, 55}, 100}},
     {0, 5}                                                                                                                   },
    {"found, killed, and found again",
     {{{1, 0, 0}, {1, 40, 0}, 100}, {{1, 40, 0}, {1, 40, 55}, 0}, {{1, 40, 0}, {1, 95, 55}, 5}},
     {0, 5, 5}                                                                                                                },
    {"found, made durable, and killed",
     {{{1, 0, 0}, {1, 40, 0}, 100}, {{1, 40, 0}, {1, 95, 55}, 0}, {{1, 95, 0}, {1, 95, 0}, 5}},
     {0, 5, 5}                                                                                                                },
    {"another catalogue: only what was acknowledged",
     {{{1, 0, 0}, {1, 40, 0}, 100}, {{2, 0, 0}, {2, 90, 0}, 90}},
     {0, 60}                                                                                                                  },
    {"lost before it was heard of",
     {{{1, 500, 0}, {1, 560, 0}, 100}, {{0, 0, 0}, {0, 0, 0}, 10}, {{1, 600, 0}, {1, 600, 0}, 70}},
     {0, 0, 10}                                                                                                               },
    {"found more than was lost",                      {{{1, 0, 0}, {1, 0, 0}, 10}, {{1, 0, 0}, {1, 0, 99}, 50}},       {0, 0} },
};

static void what_went_twice_is_counted_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct again a = {.seen = false};
        for (size_t k = 0; k < ARRAY_SIZE(cases[i].sessions); k++) {
            const struct session *s = &cases[i].sessions[k];
            if (s->first.instance) {
                again_status(&a, &s->first);
                again_status(&a, &s->last);
                again_status(&a, &s->first); /* another lane was slower */
            }
            if (a.bytes != cases[i].want[k] && s->first.instance)
                fail_msg("%s: session %zu: %llu", cases[i].name, k + 1,
                         (unsigned long long)a.bytes);
            again_session_over(&a, s->sent);
        }
    }
}

static void a_source_that_comes_back_goes_on_counting(void **state)
{
    (void)state;
    const struct status first = {7, 100, 0}, later = {7, 130, 0}, after = {7, 150, 0};
    struct again a = {.bytes = 0}, b = {.bytes = 0};
    char path[] = "/tmp/godwit-sent-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    again_status(&a, &first);
    again_session_over(&a, 10);
    again_status(&a, &first); /* these 10 are lost */
    again_status(&a, &later);
    again_session_over(&a, 80);
    assert_int_equal(sent_save(path, "order1", &a), 0);
    assert_int_equal(sent_load(path, "order1", &b), 0);
    assert_int_equal(b.bytes, 10);
    again_status(&b, &after); /* 50 of 80 were kept */
    assert_int_equal(b.bytes, 10 + 30);
    assert_int_equal(sent_load(path, "order2", &b), 0);
    assert_int_equal(b.bytes, 0);
    again_status(&b, &after); /* after a pause: what the order before has told is not told again */
    assert_int_equal(b.bytes, 30);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_went_twice_is_counted_once),
        cmocka_unit_test(a_source_that_comes_back_goes_on_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
