/* The ladder: which measure comes when, by numbers alone. */
#include <string.h>

#include "agent/vm/ladder.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

struct moment {
    uint64_t rounds, disk_left;
    int64_t ms;
    enum ladder_act want;
};

struct story {
    const char *name;
    uint32_t outage_ms, duration_s;
    bool post_copy;
    uint64_t cap_mib;
    struct moment moments[8]; /* until ms is 0 */
};

static const struct story stories[] = {
    {"nothing was promised and there is no limit",
     0,   0,
     0, 0,
     {{0, 1, 100, LADDER_NOTHING}, {3, 0, 200, LADDER_DOWNTIME}, {9, 0, 900000, LADDER_NOTHING}}},
    {"the limit is lifted behind the storage, and holds again",
     300, 0,
     0, 20,
     {{0, 1, 100, LADDER_NOTHING},
      {1, 0, 200, LADDER_NOTHING},
      {2, 0, 300, LADDER_LIFT},
      {2, 0, 8200, LADDER_NOTHING},
      {2, 0, 8400, LADDER_CAP},
      {3, 0, 8500, LADDER_DOWNTIME},
      {4, 0, 8600, LADDER_LIFT}}                                                                },
    {"a disk that is written to all the time holds nothing up",
     350, 0,
     0, 30,
     {{0, 4096, 100, LADDER_NOTHING},
      {1, 4096, 200, LADDER_NOTHING},
      {2, 4096, 300, LADDER_LIFT},
      {3, 4096, 400, LADDER_DOWNTIME}}                                                          },
    {"post-copy only where it is allowed, and late",
     300, 10,
     1, 0,
     {{1, 0, 100, LADDER_NOTHING},
      {3, 0, 200, LADDER_DOWNTIME},
      {3, 0, 5900, LADDER_NOTHING},
      {3, 0, 6100, LADDER_POST_COPY},
      {3, 0, 11000, LADDER_NOTHING}}                                                            },
    {"given up in time, also while its storage is copied",
     300, 2,
     0, 0,
     {{0, 1, 1900, LADDER_NOTHING}, {0, 1, 2100, LADDER_GIVE_UP}}                               },
};

static void each_story_goes_as_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
        const struct story *s = &stories[i];
        Godwit__VmMovePlan plan = GODWIT__VM_MOVE_PLAN__INIT;
        struct ladder l;
        plan.max_outage_ms = s->outage_ms;
        plan.max_duration_s = s->duration_s;
        plan.postcopy = s->post_copy;
        ladder_init(&l, &plan, s->cap_mib);
        uint64_t most = s->outage_ms ? s->outage_ms : 300;
        assert_int_equal(l.downtime_ms, most / 2);
        for (size_t k = 0; k < ARRAY_SIZE(s->moments) && s->moments[k].ms; k++) {
            const struct moment *m = &s->moments[k];
            const struct virt_progress p = {
                .runs = true, .rounds = m->rounds, .disk_left = m->disk_left};
            enum ladder_act got = ladder_step(&l, &p, m->ms);
            if (got != m->want)
                print_message("%s, at %d ms\n", s->name, (int)m->ms);
            assert_int_equal(got, m->want);
        }
        assert_true(l.downtime_ms <= most);
        ladder_done(&l);
    }
}

static void what_was_done_is_told(void **state)
{
    (void)state;
    Godwit__VmMovePlan plan = GODWIT__VM_MOVE_PLAN__INIT;
    Godwit__VmMoveAnswer *a = xcalloc(1, sizeof *a);
    const struct virt_progress p = {.runs = true, .rounds = 5};
    struct ladder l;
    godwit__vm_move_answer__init(a);
    ladder_init(&l, &plan, 20);
    assert_int_equal(ladder_step(&l, &p, 10), LADDER_LIFT);
    ladder_tell(&l, a);
    assert_int_equal(a->n_ladder, 1);
    assert_non_null(strstr(a->ladder[0], "20 MiB/s"));
    ladder_done(&l);
    godwit__vm_move_answer__free_unpacked(a, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_story_goes_as_told),
        cmocka_unit_test(what_was_done_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
