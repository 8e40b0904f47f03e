/* test_undo: the journal: first state wins, torn ends, damage, putting back, shredding. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/undo.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/identity-undo-XXXXXX";
static char note[64], target[64];

static int begin(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(note, sizeof note, "%s/note", dir);
    (void)snprintf(target, sizeof target, "%s/target", dir);
    return 0;
}

static int end(void **state)
{
    (void)state;
    (void)unlink(note);
    (void)unlink(target);
    return rmdir(dir);
}

static void write_text(const char *text)
{
    assert_int_equal(file_write(target, 0640, text, strlen(text)), 0);
}

static void assert_holds(const char *text)
{
    CLEANUP(mem_free) char *now = NULL;
    size_t len = 0;
    assert_int_equal(file_read(target, 4096, &now, &len), 0);
    assert_string_equal(now, text);
}

/* An act that a crash cut short is done again: what it left must not become "before". */
static void first_state_wins(void **state)
{
    (void)state;
    struct undo *u = NULL;
    write_text("before");
    assert_int_equal(undo_open(note, &u), 0);
    assert_int_equal(undo_keep_file(u, target), 0);
    write_text("after");
    (void)undo_free(u);
    assert_int_equal(undo_open(note, &u), 0);
    assert_int_equal(undo_keep_file(u, target), 0);
    assert_int_equal(u->n, 1);
    assert_int_equal(undo_put_file(u->records[0]->file), 0);
    assert_holds("before");
    struct stat st;
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(stat(note, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)undo_free(u);
}

static void what_was_not_there_goes(void **state)
{
    (void)state;
    struct undo *u = NULL;
    assert_int_equal(undo_open(note, &u), 0);
    assert_int_equal(undo_keep_file(u, target), 0);
    write_text("new");
    assert_int_equal(undo_put_file(u->records[0]->file), 0);
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(undo_put_file(u->records[0]->file), 0);
    (void)undo_free(u);
}

/* At every byte of the second record the power may go: the first stands, and writing goes on. */
static void torn_at_every_byte(void **state)
{
    (void)state;
    struct undo *u = NULL;
    struct stat one, two;
    write_text("before");
    assert_int_equal(undo_open(note, &u), 0);
    assert_int_equal(undo_keep_file(u, target), 0);
    assert_int_equal(stat(note, &one), 0);
    assert_int_equal(undo_keep_host_name(u, "fs1"), 0);
    assert_int_equal(stat(note, &two), 0);
    (void)undo_free(u);
    CLEANUP(mem_free) char *all = NULL;
    size_t len = 0;
    assert_int_equal(file_read(note, 65536, &all, &len), 0);
    for (off_t cut = one.st_size; cut < two.st_size; cut++) {
        assert_int_equal(file_write(note, 0600, all, (size_t)cut), 0);
        assert_int_equal(undo_open(note, &u), 0);
        assert_int_equal(u->n, 1);
        assert_int_equal(undo_keep_host_name(u, "fs1"), 0);
        (void)undo_free(u);
        assert_int_equal(undo_open(note, &u), 0);
        assert_int_equal(u->n, 2);
        (void)undo_free(u);
    }
}

static void damage_is_told(void **state)
{
    (void)state;
    struct undo *u = NULL;
    assert_int_equal(undo_open(note, &u), 0);
    assert_int_equal(undo_keep_host_name(u, "fs1"), 0);
    assert_int_equal(undo_keep_file(u, target), 0);
    (void)undo_free(u);
    CLEANUP(mem_free) char *all = NULL;
    size_t len = 0;
    assert_int_equal(file_read(note, 65536, &all, &len), 0);
    all[38] ^= 1;
    assert_int_equal(file_write(note, 0600, all, len), 0);
    assert_int_equal(undo_open(note, &u), -EBADMSG);
}

/* A power cut in the middle of it: the note is not there any more, instead of one that nobody can
 * read; what is left of it goes when it is asked for again. */
static void shred_cut_short(void **state)
{
    (void)state;
    static const char zeros[100];
    CLEANUP(undo_free) struct undo *u = NULL;
    CLEANUP(mem_free) char *gone = xasprintf("%s.gone", target);
    assert_int_equal(file_write(gone, 0600, zeros, sizeof zeros), 0);
    (void)unlink(target);
    assert_int_equal(undo_open(target, &u), 0);
    assert_int_equal(u->n, 0);
    assert_int_equal(undo_shred(target), 0);
    assert_int_equal(access(gone, F_OK), -1);
    assert_int_equal(file_write(gone, 0600, zeros, sizeof zeros), 0);
    assert_int_equal(file_write(target, 0600, "secret", 6), 0);
    assert_int_equal(undo_shred(target), 0);
    assert_int_equal(access(gone, F_OK), -1);
    assert_int_equal(access(target, F_OK), -1);
}

static void shred(void **state)
{
    (void)state;
    write_text("secret");
    assert_int_equal(undo_shred(target), 0);
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(undo_shred(target), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_state_wins, begin, end),
        cmocka_unit_test_setup_teardown(what_was_not_there_goes, begin, end),
        cmocka_unit_test_setup_teardown(torn_at_every_byte, begin, end),
        cmocka_unit_test_setup_teardown(damage_is_told, begin, end),
        cmocka_unit_test_setup_teardown(shred, begin, end),
        cmocka_unit_test_setup_teardown(shred_cut_short, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
