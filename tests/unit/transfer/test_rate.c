/* test_rate: a transfer keeps to the rate that its step has, over all lanes. */
#include <stdio.h>

#include "common/base/clock.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define MIB (1U << 20)

static int64_t run(uint64_t rate, uint32_t lanes, struct both *ret)
{
    struct harness h = {.source = source, .destination = destination, .state = state, .rate = rate};
    h.options = (struct transfer_options){.compress = COMPRESS_OFF, .lanes = lanes};
    int64_t began = clock_mono_ms();
    harness_run(&h, &ret->sent, &ret->received);
    int64_t took = clock_mono_ms() - began;
    step_result_done(&ret->sent);
    step_result_done(&ret->received);
    return took;
}

static void a_rate_is_kept(void **state_)
{
    (void)state_;
    static const struct {
        const char *name;
        uint32_t lanes;
        size_t file, files;
    } cases[] = {
        {"one lane, one large file",    1, 6 * MIB,  1 },
        {"four lanes, many small ones", 4, 64 << 10, 96},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct both b;
        char name[32];
        assert_int_equal(trees_teardown(NULL), 0);
        assert_int_equal(trees_setup(NULL), 0);
        for (size_t n = 0; n < cases[i].files; n++) {
            (void)snprintf(name, sizeof name, "f%zu", n);
            put_random(name, cases[i].file, (unsigned)n + 1);
        }
        int64_t took = run(3 * MIB, cases[i].lanes, &b);
        assert_done(&b);
        assert_same_trees();
        /* 2 s less what may burst; the upper bound only says that it is the rate that holds. */
        if (took < 1700 || took > 6000)
            fail_msg("%s: 6 MiB at 3 MiB/s took %lld ms", cases[i].name, (long long)took);
    }
}

int main(void)
{
    const char *const argv[] = {"sh", "-c", "command -v rsync >/dev/null", NULL};
    if (trees_run(argv) != 0) {
        (void)fprintf(stderr, "skipped: rsync is not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_rate_is_kept, trees_setup, trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
