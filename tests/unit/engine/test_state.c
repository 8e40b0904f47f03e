/* test_state: every pair of state and event, legal or not, of jobs and of pairs. */
#include <errno.h>
#include <string.h>

#include "orchestrator/engine/state.h"
#include "tests/unit/test.h"

/* A row per state, a column per event; '.' is illegal, else the first letters of what follows. */
static const char *const job_table[JOB_STATES][JOB_EVENTS] = {
  /*              start      retry      pause      resume     stop        paused    stopped  done
  partly     failed */
    [JOB_CREATED] = {"running", ".",       ".",       ".",       ".",        ".",      ".",       ".",    ".",       "."     },
    [JOB_RUNNING] = {".",       ".",       "pausing", ".",       "stopping", ".",      ".",       "done", "partial", "failed"},
    [JOB_PAUSING] = {".",       ".",       ".",       "running", "stopping", "paused", ".",       "done", "partial",
                     "failed"                                                                                                },
    [JOB_PAUSED] = {".",       ".",       ".",       "running", "stopping", ".",      ".",       "done", "partial", "failed"},
    [JOB_STOPPING] = {".",       ".",       ".",       ".",       ".",        ".",      "stopped", "done", "partial", "failed"},
    [JOB_STOPPED] = {"running", "running", ".",       ".",       ".",        ".",      ".",       ".",    ".",       "."     },
    [JOB_DONE] = {"running", ".",       ".",       ".",       ".",        ".",      ".",       ".",    ".",       "."     },
    [JOB_PARTIAL] = {"running", "running", ".",       ".",       ".",        ".",      ".",       ".",    ".",       "."     },
    [JOB_FAILED] = {"running", "running", ".",       ".",       ".",        ".",      ".",       ".",    ".",       "."     },
};

static const char *const pair_table[PAIR_STATES][PAIR_EVENTS] = {
  /*               queue      launch     result     again      pause     stop       done    partly
  fail */
    [PAIR_PENDING] = {"waiting", ".",       ".",       ".",       ".",      ".",       ".",    ".",       "."     },
    [PAIR_WAITING] = {".",       "running", ".",       "waiting", "paused", "stopped", ".",    ".",       "failed"},
    [PAIR_RUNNING] = {".",       "running", "running", "waiting", "paused", "stopped", "done", "partial",
                      "failed"                                                                                    },
    [PAIR_PAUSED] = {"waiting", ".",       ".",       ".",       ".",      "stopped", ".",    ".",       "failed"},
    [PAIR_STOPPED] = {"waiting", ".",       ".",       ".",       ".",      ".",       ".",    ".",       "."     },
    [PAIR_DONE] = {"waiting", ".",       ".",       ".",       ".",      ".",       ".",    ".",       "."     },
    [PAIR_PARTLY] = {"waiting", ".",       ".",       ".",       ".",      ".",       ".",    ".",       "."     },
    [PAIR_FAILED] = {"waiting", ".",       ".",       ".",       ".",      ".",       ".",    ".",       "."     },
};

static void jobs_go_only_where_the_table_says(void **state)
{
    (void)state;
    for (int in = 0; in < JOB_STATES; in++) {
        for (int on = 0; on < JOB_EVENTS; on++) {
            const char *want = job_table[in][on];
            int next = job_next((enum job_state)in, (enum job_event)on);
            assert_string_equal(next < 0 ? "." : job_state_name((enum job_state)next), want);
            if (next < 0)
                assert_int_equal(next, -EPROTO);
        }
    }
}

static void pairs_go_only_where_the_table_says(void **state)
{
    (void)state;
    for (int in = 0; in < PAIR_STATES; in++) {
        for (int on = 0; on < PAIR_EVENTS; on++) {
            const char *want = pair_table[in][on];
            int next = pair_next((enum pair_state)in, (enum pair_event)on);
            assert_string_equal(next < 0 ? "." : pair_state_name((enum pair_state)next), want);
            if (next < 0)
                assert_int_equal(next, -EPROTO);
        }
    }
}

static void names_come_back(void **state)
{
    (void)state;
    for (int i = 0; i < JOB_STATES; i++)
        assert_int_equal(job_state_parse(job_state_name((enum job_state)i)), i);
    for (int i = 0; i < PAIR_STATES; i++)
        assert_int_equal(pair_state_parse(pair_state_name((enum pair_state)i)), i);
    for (int i = 0; i < STEP_STATES; i++)
        assert_int_equal(step_state_parse(step_state_name((enum step_state)i)), i);
    assert_int_equal(job_state_parse("lost"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_go_only_where_the_table_says),
        cmocka_unit_test(pairs_go_only_where_the_table_says),
        cmocka_unit_test(names_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
