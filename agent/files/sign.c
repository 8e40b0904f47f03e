/* sign: a statement made and signed by the destination; the steps "files.sign", with which the
 * source signs the same one when it tells of its own pass, and "files.seal", which keeps the whole
 * of it. */
#include "agent/files/sign.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/files/files.h"
#include "agent/files/manifest.h"
#include "agent/step.h"
#include "agent/store/pairname.h"
#include "agent/transfer/sent.h"
#include "agent/transfer/temp.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

static void put_now(struct buf *b)
{
    char text[32];
    struct tm tm;
    time_t now = (time_t)(clock_wall_ms() / 1000);
    (void)gmtime_r(&now, &tm);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    statement_line(b, "made", text);
}

static int add_signature(const struct step *s, struct buf *b, enum statement_role role,
                         const char *host)
{
    struct statement now;
    uint8_t signature[SIGN_BYTES];
    const struct sign_key *key = step_env(s)->signer;
    if (!key || b->overflow || statement_parse((const char *)b->data, b->len, &now) < 0)
        return -EBADMSG;
    int rc = sign_make(key, now.text, now.body_len, signature);
    if (rc == 0)
        statement_put_signature(b, role, host, sign_key_public(key), signature);
    return rc == 0 && b->overflow ? -EMSGSIZE : rc;
}

int sign_manifest(struct step *s, const Godwit__VerifyOrder *o, const struct sign_facts *f,
                  const char *folder, struct buf *ret)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/STATEMENT", folder);
    buf_put(ret, o->about.data, o->about.len);
    put_now(ret);
    statement_number(ret, "read-files", f->read_files);
    statement_number(ret, "read-bytes", f->read_bytes);
    statement_number(ret, "unproved-files", f->unknown_files);
    statement_number(ret, "left-out", f->left_out);
    statement_number(ret, "files", f->sums->files);
    statement_number(ret, "bytes", f->sums->bytes);
    statement_number(ret, "entries", f->sums->entries);
    statement_digest(ret, "manifest", f->sums->sums);
    statement_digest(ret, "metadata", f->sums->metadata);
    int rc = add_signature(s, ret, SIGNED_DESTINATION, o->host);
    return rc == 0 ? file_write(path, 0600, ret->data, ret->len) : rc;
}

/* ── files.sign ── */

static bool says(const struct statement *st, const char *name, const char *value)
{
    CLEANUP(mem_free) char *said = statement_value(st, name);
    return said && strcmp(said, value) == 0;
}

static bool says_number(const struct statement *st, const char *name, uint64_t n)
{
    CLEANUP(mem_free) char *value = xasprintf("%" PRIu64, n);
    return says(st, name, value);
}

/* A statement that names this pair and has the figures that this source has counted itself. */
static int check_own(struct step *s, const Godwit__SignOrder *o, struct fault *reterr)
{
    struct statement st;
    struct seen_record seen;
    CLEANUP(mem_free) char *path = temp_state_path(step_env(s)->state_dir, o->pair, "seen");
    if (statement_parse((const char *)o->statement.data, o->statement.len, &st) < 0 ||
        !says(&st, "pair", o->pair))
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the statement to sign is not of pair %s",
                         o->pair);
    if (seen_load(path, &seen) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                         "the source does not know this pass, so it does not sign for it");
    if (!says_number(&st, "source-files", seen.files) ||
        !says_number(&st, "source-bytes", seen.bytes))
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG,
                         "the source has counted other figures than the statement says");
    return 0;
}

static int sign(struct step *s, const Godwit__SignOrder *o, struct step_result *ret)
{
    int rc = check_own(s, o, &ret->fault);
    if (rc < 0)
        return rc;
    struct buf b;
    buf_init(&b, STATEMENT_MAX);
    buf_put(&b, o->statement.data, o->statement.len);
    rc = add_signature(s, &b, SIGNED_SOURCE, o->host);
    if (rc < 0) {
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "the source cannot sign: %s",
                        strerror(-rc));
    } else {
        Godwit__SignResult r = GODWIT__SIGN_RESULT__INIT;
        r.statement = (ProtobufCBinaryData){.len = b.len, .data = b.data};
        ret->body_len = godwit__sign_result__get_packed_size(&r);
        ret->body = xmalloc(ret->body_len);
        (void)godwit__sign_result__pack(&r, ret->body);
    }
    buf_done(&b);
    return rc;
}

static void unreadable(struct step_result *ret)
{
    (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
}

void files_sign(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__SignOrder *o = godwit__sign_order__unpack(NULL, len, args);
    ret->status = STEP_FAILED;
    if (!o || !pair_valid(o->pair))
        unreadable(ret);
    else if (sign(s, o, ret) == 0)
        ret->status = STEP_DONE;
    if (o)
        godwit__sign_order__free_unpacked(o, NULL);
}

/* ── files.seal ── */

void files_seal(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    struct statement st;
    Godwit__SealOrder *o = godwit__seal_order__unpack(NULL, len, args);
    ret->status = STEP_FAILED;
    if (!o || !pair_valid(o->pair) ||
        statement_parse((const char *)o->statement.data, o->statement.len, &st) < 0) {
        unreadable(ret);
    } else {
        CLEANUP(mem_free)
        char *folder = manifest_folder(step_env(s)->state_dir, o->pair, o->run);
        CLEANUP(mem_free) char *path = xasprintf("%s/STATEMENT", folder);
        int rc = file_write(path, 0600, o->statement.data, o->statement.len);
        ret->status = rc < 0 ? STEP_FAILED : STEP_DONE;
        if (rc < 0)
            (void)fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "cannot keep the statement: %s",
                            strerror(-rc));
    }
    if (o)
        godwit__seal_order__free_unpacked(o, NULL);
}
