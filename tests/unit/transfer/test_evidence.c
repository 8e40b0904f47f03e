/* test_evidence: transfers that keep evidence, the look at the destination after them, and the
 * signed manifest; sha256sum is the judge. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/proof/statement.h"
#include "proto/files.pb-c.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define PAIR "0123456789abcdef.1"
#define ALL 10000

static struct sign_key *key;
static const struct transfer_options keeping = {.evidence = true, .delete_extras = true};

static int setup(void **state_)
{
    int rc = trees_setup(state_);
    char *path = xasprintf("%s/sign.key", state);
    (void)file_mkdirs(state, 0700);
    if (rc == 0)
        rc = sign_key_load_or_new(path, &key);
    free(path);
    return rc;
}

static int teardown(void **state_)
{
    key = sign_key_free(key);
    return trees_teardown(state_);
}

static ProtobufCBinaryData bytes_of(const void *p, size_t n)
{
    return (ProtobufCBinaryData){.len = n, .data = (uint8_t *)(uintptr_t)p};
}

static void run(void (*step)(struct step *, struct step_result *), bool at_source,
                const ProtobufCMessage *order, struct step_result *ret)
{
    size_t len = protobuf_c_message_get_packed_size(order);
    uint8_t *packed = xmalloc(len + 1);
    (void)protobuf_c_message_pack(order, packed);
    struct harness h = {.source = source, .destination = destination, .state = state};
    struct harness_call call = {step, at_source, packed, len, key};
    harness_step(&h, &call, ret);
    free(packed);
}

/* The verification of a pass that the source counted so. */
static Godwit__VerifyResult *verify(uint32_t sample, bool manifest, const struct counters *sent,
                                    struct step_result *ret)
{
    struct buf about;
    buf_init(&about, STATEMENT_MAX);
    statement_begin(&about);
    statement_line(&about, "pair", PAIR);
    statement_number(&about, "source-files", sent->total_files);
    statement_number(&about, "source-bytes", sent->total_bytes);
    Godwit__VerifyOrder o = GODWIT__VERIFY_ORDER__INIT;
    o.path = bytes_of(destination, strlen(destination));
    o.pair = (char *)(uintptr_t)PAIR;
    o.sample = sample;
    o.manifest = manifest;
    o.run = 1;
    o.about = bytes_of(about.data, about.len);
    o.host = (char *)(uintptr_t) "new1";
    run(files_verify, false, &o.base, ret);
    buf_done(&about);
    return ret->body ? godwit__verify_result__unpack(NULL, ret->body_len, ret->body) : NULL;
}

static void verify_done(Godwit__VerifyResult *r, struct step_result *res)
{
    if (r)
        godwit__verify_result__free_unpacked(r, NULL);
    step_result_done(res);
}

static void assert_found(const struct step_result *r, const char *what, const char *path)
{
    for (size_t i = 0; i < r->ngroups; i++)
        if (strcmp(r->groups[i].what, what) == 0 && strcmp(r->groups[i].examples[0], path) == 0)
            return;
    fail_msg("'%s' of %s was not found", what, path);
}

static void flip_a_byte(const char *name, off_t at)
{
    char *path = xasprintf("%s/%s", destination, name), byte = 0;
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    (void)close(fd);
    free(path);
}

static void sha256sum_agrees_with(const char *folder)
{
    char *list = xasprintf("%s/SHA256SUMS", folder);
    const char *const argv[] = {
        "sh", "-c", "cd \"$0\" && sha256sum --strict --quiet -c \"$1\"", destination, list, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(list);
}

static void a_manifest_is_what_sha256sum_reads(void **state_)
{
    (void)state_;
    struct both b;
    struct step_result r;
    make_tree();
    put(source, "new\nline", "x", 1);
    put(source, "back\\slash", "x", 1);
    put(source, "cr\rx", "x", 1);
    put(source, " lead", "x", 1);
    put(source, "-", "x", 1);
    transfer(&b, &keeping);
    assert_done(&b);
    Godwit__VerifyResult *v = verify(0, true, &b.sent.counters, &r);
    assert_int_equal(r.status, STEP_DONE);
    assert_int_equal(v->files, b.sent.counters.total_files);
    assert_int_equal(v->unknown_files, 0);
    sha256sum_agrees_with(v->folder);
    verify_done(v, &r);
    transfer(&b, &keeping); /* nothing changed: nothing is read again */
    assert_done(&b);
    v = verify(0, true, &b.sent.counters, &r);
    assert_int_equal(r.status, STEP_DONE);
    assert_in_range(v->read_files, 0, 2); /* another name may have become the first one */
    assert_int_equal(v->files, b.sent.counters.total_files);
    sha256sum_agrees_with(v->folder);
    verify_done(v, &r);
}

static void silent_damage_is_named_and_repaired_by_the_next_pass(void **state_)
{
    (void)state_;
    struct both b;
    struct step_result r;
    make_tree();
    transfer(&b, &keeping);
    assert_done(&b);
    flip_a_byte("size8", 9 << 20);
    transfer(&b, &keeping);
    assert_int_equal(b.received.counters.files, 0); /* size and time are as they were */
    Godwit__VerifyResult *v = verify(ALL, true, &b.sent.counters, &r);
    assert_int_equal(r.status, STEP_PARTIAL);
    assert_int_equal(v->differing, 1);
    assert_int_equal(v->left_out, 1);
    assert_int_equal(v->files, b.sent.counters.total_files - 1);
    assert_found(&r, "content differs", "size8");
    sha256sum_agrees_with(v->folder);
    verify_done(v, &r);
    transfer(&b, &keeping);
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 1);
    assert_same_trees();
    v = verify(ALL, true, &b.sent.counters, &r);
    assert_int_equal(r.status, STEP_DONE);
    assert_int_equal(v->files, b.sent.counters.total_files);
    verify_done(v, &r);
}

static void every_other_difference_is_named(void **state_)
{
    (void)state_;
    struct both b;
    struct step_result r;
    make_tree();
    transfer(&b, &keeping);
    assert_done(&b);
#define AT_DESTINATION(call, name)                                                                 \
    do {                                                                                           \
        char *path = xasprintf("%s/%s", destination, name);                                        \
        assert_int_equal(call, 0);                                                                 \
        free(path);                                                                                \
    } while (0)
    AT_DESTINATION(chmod(path, 0604), "size2");
    AT_DESTINATION(unlink(path), "size1");
    AT_DESTINATION(unlink(path), "link");
    AT_DESTINATION(symlink("other", path), "link");
    AT_DESTINATION(truncate(path, 5), "size8");
    AT_DESTINATION(unlink(path), "fifo");
    AT_DESTINATION(mkdir(path, 0700), "fifo");
    Godwit__VerifyResult *v = verify(0, true, &b.sent.counters, &r);
    assert_int_equal(r.status, STEP_PARTIAL);
    assert_found(&r, "mode differs", "size2");
    assert_found(&r, "missing", "size1");
    assert_found(&r, "size differs", "size8");
    assert_found(&r, "type differs", "fifo");
    verify_done(v, &r);
    transfer(&b, &keeping);
    /* The link and the fifo are named by that pass before they are replaced. */
    transfer(&b, &keeping);
    assert_done(&b);
    assert_same_trees();
    v = verify(ALL, true, &b.sent.counters, &r);
    assert_int_equal(r.status, STEP_DONE);
    verify_done(v, &r);
}

static void what_changed_there_is_named_before_it_is_replaced(void **state_)
{
    (void)state_;
    struct both b;
    make_tree();
    transfer(&b, &keeping);
    assert_done(&b);
    put(destination, "size2", "somebody's work", 15);
    struct harness h = {.source = source, .destination = destination, .state = state};
    h.options = keeping;
    harness_run(&h, &b.sent, &b.received);
    assert_int_equal(b.received.status, STEP_PARTIAL);
    assert_found(&b.received, "changed at the destination", "size2");
    step_result_done(&b.sent);
    step_result_done(&b.received);
    char *path = xasprintf("%s/size2", destination), *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 100, &text, &len), 0);
    assert_string_equal(text, "somebody's work");
    free(text);
    free(path);
    transfer(&b, &keeping);
    assert_done(&b);
    assert_same_trees();
}

static void what_the_source_has_no_more_is_in_no_manifest(void **state_)
{
    (void)state_;
    struct both b;
    struct step_result r;
    make_tree();
    make_dir(source, "old");
    make_dir(source, "old/er");
    put(source, "old/er/file", "x", 1);
    put(source, "stays", "x", 1);
    transfer(&b, &keeping);
    assert_done(&b);
    IN_SOURCE(unlink(path), "old/er/file");
    IN_SOURCE(rmdir(path), "old/er");
    IN_SOURCE(rmdir(path), "old");
    IN_SOURCE(unlink(path), "size2");
    transfer(&b, &(struct transfer_options){.evidence = true}); /* it stays at the destination */
    assert_done(&b);
    Godwit__VerifyResult *v = verify(ALL, true, &b.sent.counters, &r);
    assert_int_equal(r.status, STEP_DONE);
    assert_int_equal(v->files, b.sent.counters.total_files);
    verify_done(v, &r);
}

static void what_was_there_before_is_compared_first(void **state_)
{
    (void)state_;
    struct both b;
    struct step_result r;
    make_tree();
    transfer(&b, NULL); /* a pass that kept no evidence */
    assert_done(&b);
    transfer(&b, &keeping);
    assert_done(&b);
    Godwit__VerifyResult *v = verify(ALL, true, &b.sent.counters, &r);
    assert_int_equal(r.status, STEP_DONE);
    assert_int_equal(v->unknown_files, 0);
    assert_int_equal(v->files, b.sent.counters.total_files);
    verify_done(v, &r);
}

static void a_sample_reads_some(void **state_)
{
    (void)state_;
    struct both b;
    struct step_result r;
    make_tree();
    transfer(&b, &keeping);
    assert_done(&b);
    Godwit__VerifyResult *v = verify(1000, false, &b.sent.counters, &r);
    assert_int_equal(r.status, STEP_DONE);
    assert_in_range(v->read_files, 50, 350); /* of more than 1,500 */
    assert_int_equal(v->files, 0);
    verify_done(v, &r);
}

static void the_source_signs_only_for_its_own_pass(void **state_)
{
    (void)state_;
    struct both b;
    struct step_result r, signed_by;
    struct statement s;
    make_tree();
    transfer(&b, &keeping);
    assert_done(&b);
    Godwit__VerifyResult *v = verify(0, true, &b.sent.counters, &r);
    Godwit__SignOrder o = GODWIT__SIGN_ORDER__INIT;
    o.pair = (char *)(uintptr_t)PAIR;
    o.host = (char *)(uintptr_t) "fs1";
    o.statement = v->statement;
    run(files_sign, true, &o.base, &signed_by);
    assert_int_equal(signed_by.status, STEP_DONE);
    Godwit__SignResult *g = godwit__sign_result__unpack(NULL, signed_by.body_len, signed_by.body);
    assert_int_equal(statement_parse((char *)g->statement.data, g->statement.len, &s), 0);
    assert_non_null(statement_signed(&s, SIGNED_DESTINATION));
    assert_string_equal(statement_signed(&s, SIGNED_SOURCE)->name, "fs1");
    godwit__sign_result__free_unpacked(g, NULL);
    step_result_done(&signed_by);
    verify_done(v, &r);
    b.sent.counters.total_files++; /* a destination that lies about the source */
    v = verify(0, true, &b.sent.counters, &r);
    o.statement = v->statement;
    run(files_sign, true, &o.base, &signed_by);
    assert_int_equal(signed_by.status, STEP_FAILED);
    assert_null(signed_by.body);
    step_result_done(&signed_by);
    verify_done(v, &r);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    port = (uint16_t)(20000 + getpid() % 12000);
    const char *const argv[] = {"sh", "-c", "command -v rsync >/dev/null", NULL};
    if (trees_run(argv) != 0) {
        (void)fprintf(stderr, "skipped: rsync is not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        CASE(a_manifest_is_what_sha256sum_reads),
        CASE(silent_damage_is_named_and_repaired_by_the_next_pass),
        CASE(every_other_difference_is_named),
        CASE(what_changed_there_is_named_before_it_is_replaced),
        CASE(what_the_source_has_no_more_is_in_no_manifest),
        CASE(what_was_there_before_is_compared_first),
        CASE(a_sample_reads_some),
        CASE(the_source_signs_only_for_its_own_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
