/* test_digest: reading a whole file ends when its step is cancelled, not when the file ends; the
 * digest of zeros is that of zeros. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/step.h"
#include "agent/transfer/digest.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static unsigned asked, cancelled_at;

bool step_cancelled(const struct step *s)
{
    (void)s;
    return cancelled_at > 0 && ++asked >= cancelled_at;
}

static void a_cancelled_step_reads_no_further(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t size;
        unsigned cancelled_at;
        int want;
    } cases[] = {
        {"not cancelled",        3 * PIECE_BYTES, 0,  0         },
        {"in the first piece",   3 * PIECE_BYTES, 1,  -ECANCELED},
        {"in a later piece",     3 * PIECE_BYTES, 40, -ECANCELED},
        {"shorter than it says", 5 * PIECE_BYTES, 0,  -EBUSY    },
    };
    char path[] = "/var/tmp/gw-digest-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ftruncate(fd, 3 * PIECE_BYTES), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t digest[DIGEST_BYTES];
        asked = 0;
        cancelled_at = cases[i].cancelled_at;
        int rc = digest_file(fd, cases[i].size, NULL, digest);
        if (rc != cases[i].want || asked != cancelled_at)
            fail_msg("%s: %d after %u", cases[i].name, rc, asked);
    }
    (void)close(fd);
}

static void a_piece_of_zeros_has_the_digest_that_is_written_down(void **state)
{
    (void)state;
    uint8_t digest[DIGEST_BYTES];
    CLEANUP(mem_free) void *zeros = xcalloc(1, PIECE_BYTES);
    digest_bytes(zeros, PIECE_BYTES, digest);
    assert_memory_equal(digest, digest_zero_piece, sizeof digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancelled_step_reads_no_further),
        cmocka_unit_test(a_piece_of_zeros_has_the_digest_that_is_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
