/* test_journal: the chain of digests: any row that is changed, missing or out of place shows. Also
 * the rows of jobs, and that reports outlive their job. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "orchestrator/store/jobs.h"
#include "orchestrator/store/journal.h"
#include "orchestrator/store/reports.h"
#include "orchestrator/store/store_priv.h"
#include "tests/unit/test.h"

struct fixture {
    char folder[64], path[96];
    struct store *store;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct fault why = {.err = 0};
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/godwit-journal-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/godwit.db", f->folder);
    assert_int_equal(store_open(&f->store, f->path, &why), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct fixture *f = *state;
    (void)store_close(f->store);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        char *path = xasprintf("%s%s", f->path, ends[i]);
        (void)unlink(path);
        free(path);
    }
    (void)rmdir(f->folder);
    free(f);
    return 0;
}

static void fill(struct store *s, unsigned n)
{
    for (unsigned i = 1; i <= n; i++) {
        struct journal_row r = {.at_ms = 1000 + i,
                                .job = i % 2 ? "odd" : "even",
                                .pair = i,
                                .event = "launch",
                                .state = "running",
                                .detail = "Copying"};
        assert_int_equal(journal_append(s, &r), 0);
        assert_int_equal(r.seq, i);
    }
}

static int verify(struct store *s, uint64_t *retseq)
{
    struct journal_mark mark = {.seq = 0};
    int rc = 1;
    while (rc > 0) { /* in slices, as a daemon that has other things to do */
        uint64_t before = mark.seq;
        rc = journal_verify(s, &mark, 2);
        assert_in_range(mark.seq - before, 0, 2);
    }
    *retseq = mark.seq;
    return rc;
}

static void a_sound_chain_verifies_also_after_reopening(void **state)
{
    struct fixture *f = *state;
    struct fault why;
    uint64_t seq = 0;
    assert_int_equal(verify(f->store, &seq), 0);
    fill(f->store, 20);
    f->store = store_close(f->store);
    assert_int_equal(store_open(&f->store, f->path, &why), 0);
    struct journal_row r = {.event = "store"};
    assert_int_equal(journal_append(f->store, &r), 0);
    assert_int_equal(verify(f->store, &seq), 0);
    assert_int_equal(seq, 21);
}

static void rows_cannot_be_changed_by_mistake(void **state)
{
    struct fixture *f = *state;
    fill(f->store, 3);
    assert_true(db_script(f->store->db, "UPDATE journal SET detail = 'x' WHERE seq = 2") < 0);
    assert_true(db_script(f->store->db, "DELETE FROM journal WHERE seq = 2") < 0);
}

static void tampering_shows_at_its_row(void **state)
{
    static const struct {
        const char *name, *sql;
        uint64_t sound; /* rows before it */
    } cases[] = {
        {"detail",     "UPDATE journal SET detail = 'Copyinh' WHERE seq = 5",                  4},
        {"state",      "UPDATE journal SET state = 'done' WHERE seq = 5",                      4},
        {"moved text", "UPDATE journal SET event = 'launchr', state = 'unning' WHERE seq = 5", 4},
        {"job",        "UPDATE journal SET job = 'even' WHERE seq = 5",                        4},
        {"pair",       "UPDATE journal SET pair = 6 WHERE seq = 5",                            4},
        {"time",       "UPDATE journal SET at_ms = 1 WHERE seq = 5",                           4},
        {"digest",     "UPDATE journal SET digest = zeroblob(32) WHERE seq = 5",               4},
        {"no digest",  "UPDATE journal SET digest = x'' WHERE seq = 5",                        4},
        {"row gone",   "DELETE FROM journal WHERE seq = 5",                                    4},
        {"first gone", "DELETE FROM journal WHERE seq = 1",                                    0},
        {"row moved",  "UPDATE journal SET seq = 99 WHERE seq = 5",                            4},
        {"closed gap",
         "DELETE FROM journal WHERE seq = 5;"
         "UPDATE journal SET seq = seq - 1 WHERE seq > 5",                                     4},
    };
    struct fixture *f = *state;
    assert_int_equal(db_script(f->store->db, "DROP TRIGGER journal_keeps;"
                                             "DROP TRIGGER journal_stays"),
                     0);
    fill(f->store, 10);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t seq = 0;
        assert_int_equal(db_script(f->store->db, "BEGIN"), 0);
        assert_int_equal(db_script(f->store->db, cases[i].sql), 0);
        int rc = verify(f->store, &seq);
        if (rc != -EBADMSG || seq != cases[i].sound)
            fail_msg("%s: %d at %d", cases[i].name, rc, (int)seq);
        assert_int_equal(db_script(f->store->db, "ROLLBACK"), 0);
        assert_int_equal(verify(f->store, &seq), 0);
    }
}

static int count_row(void *arg, const struct journal_row *r)
{
    assert_string_equal(r->job, "odd");
    ++*(unsigned *)arg;
    return 0;
}

static void a_job_reads_its_own_rows_in_pages(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;
    fill(f->store, 10);
    assert_int_equal(journal_each(f->store, "odd", 0, 100, count_row, &n), 0);
    assert_int_equal(n, 5);
    n = 0;
    assert_int_equal(journal_each(f->store, "odd", 5, 1, count_row, &n), 0);
    assert_int_equal(n, 1);
}

static int count_steps(void *arg, const struct step_row *r)
{
    assert_int_equal(r->args_len, 3);
    assert_memory_equal(r->args, "a\0b", 3);
    ++*(unsigned *)arg;
    return 0;
}

static void a_deleted_job_leaves_its_reports(void **state)
{
    struct fixture *f = *state;
    const struct job_row job = {.id = "0123456789abcdef",
                                .name = "wave",
                                .workload = "files",
                                .spec = "{}",
                                .state = "done",
                                .reason = "",
                                .phase = ""};
    const struct pair_row pair = {.job = job.id,
                                  .n = 1,
                                  .state = "done",
                                  .reason = "",
                                  .facts = "{}",
                                  .counters = "",
                                  .failures = "[]"};
    const struct step_row step = {.op_id = "00000000000000aa",
                                  .job = job.id,
                                  .n = 1,
                                  .kind = "k",
                                  .state = "intended",
                                  .args = "a\0b",
                                  .args_len = 3,
                                  .tally = "",
                                  .result = ""};
    unsigned n = 0, runs = 0;
    char *text = NULL;
    assert_int_equal(job_rows_insert(f->store, &job), 0);
    assert_int_equal(job_rows_insert(f->store, &job), -EEXIST);
    assert_int_equal(pair_rows_insert(f->store, &pair), 0);
    assert_int_equal(step_rows_insert(f->store, &step), 0);
    assert_int_equal(step_rows_each(f->store, count_steps, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(reports_put(f->store, job.id, "wave", 1, "{\"run\":1}"), 0);
    assert_int_equal(reports_put(f->store, job.id, "wave", 2, "{\"run\":2}"), 0);
    assert_int_equal(job_rows_delete(f->store, job.id), 0);
    n = 0;
    assert_int_equal(step_rows_each(f->store, count_steps, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(reports_get(f->store, "wave", 0, &text, &runs), 0);
    assert_string_equal(text, "{\"run\":2}");
    assert_int_equal(runs, 2);
    free(text);
    assert_int_equal(reports_get(f->store, "wave", 3, &text, &runs), -ENOENT);
    assert_int_equal(reports_get(f->store, "other", 0, &text, &runs), -ENOENT);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_sound_chain_verifies_also_after_reopening),
        CASE(rows_cannot_be_changed_by_mistake),
        CASE(tampering_shows_at_its_row),
        CASE(a_job_reads_its_own_rows_in_pages),
        CASE(a_deleted_job_leaves_its_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
