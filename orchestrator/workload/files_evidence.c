/* files_evidence: the stages after a transfer: look at the destination again, and have the manifest
 * of the pass signed by both agents and the orchestrator. What they find is kept in the pair's
 * facts, "evidence". Main thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/proof/statement.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/files_priv.h"
#include "proto/files.pb-c.h"

#define SAMPLE_ALL 10000U

/* ── options ── */

/* "in-flight", "full", "sample:5%" in ten thousandths of all files; -EINVAL. */
static int sample_of(const char *value, uint32_t *ret)
{
    unsigned whole = 0, part = 0;
    char digits[3] = "", percent = 0, more = 0;
    *ret = 0;
    if (strcmp(value, "in-flight") == 0)
        return 0;
    if (strcmp(value, "full") == 0) {
        *ret = SAMPLE_ALL;
        return 0;
    }
    if (sscanf(value, "sample:%3u%c%c", &whole, &percent, &more) != 2 || percent != '%') {
        if (sscanf(value, "sample:%3u.%2[0-9]%c%c", &whole, digits, &percent, &more) != 3 ||
            percent != '%')
            return -EINVAL;
        part = (unsigned)strtoul(digits, NULL, 10) * (digits[1] ? 1 : 10);
    }
    uint32_t n = whole * 100 + part;
    if (n == 0 || n > SAMPLE_ALL || value[7] < '0' || value[7] > '9')
        return -EINVAL;
    *ret = n;
    return 0;
}

int files_check_verify(const char *value, struct fault *reterr)
{
    uint32_t sample = 0;
    if (sample_of(value, &sample) == 0)
        return 0;
    return fault_set(
        reterr, FAULT_STOP_JOB, EINVAL,
        "options.verify: must be \"in-flight\", \"full\" or \"sample:N%%\" with N above "
        "0 and at most 100");
}

static const char *verify_option(const struct pair_view *p)
{
    const char *text = json_string_value(json_object_get(p->options, "verify"));
    return text ? text : "in-flight";
}

static uint32_t sample_option(const struct pair_view *p)
{
    uint32_t sample = 0;
    return sample_of(verify_option(p), &sample) == 0 ? sample : 0;
}

static bool manifest_option(const struct pair_view *p)
{
    const char *text = json_string_value(json_object_get(p->options, "manifest"));
    return text && strcmp(text, "sha256") == 0;
}

bool files_wants_evidence(const struct pair_view *p)
{
    return sample_option(p) > 0 || manifest_option(p);
}

bool files_wants_look(const struct pair_view *p)
{
    return files_wants_evidence(p) && !files_is_dry(p);
}

/* ── facts ── */

static const char *statement_of(const struct pair_view *p)
{
    return json_string_value(json_object_get(json_object_get(p->facts, "evidence"), "statement"));
}

bool files_wants_manifest(const struct pair_view *p)
{
    return manifest_option(p) && files_wants_look(p);
}

bool files_found_differing(const struct pair_view *p)
{
    const json_t *e = json_object_get(p->facts, "evidence");
    return json_integer_value(json_object_get(e, "differing")) > 0;
}

static json_t *number(uint64_t v)
{
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

bool files_wants_full_scan(const struct pair_view *p)
{
    const json_t *seen = json_object_get(p->facts, "seen");
    return files_wants_evidence(p) &&
           (files_found_differing(p) || json_is_true(json_object_get(seen, "partial")));
}

void files_keep_seen(const struct pair_view *p, const Godwit__Result *sent, bool partial)
{
    if (p->only_failed && !files_found_differing(p))
        return;
    const Godwit__Counters *c = sent ? sent->counters : NULL;
    json_t *seen = json_object();
    (void)json_object_set_new(seen, "files", number(c ? c->total_files : 0));
    (void)json_object_set_new(seen, "bytes", number(c ? c->total_bytes : 0));
    (void)json_object_set_new(seen, "partial", json_boolean(partial));
    (void)json_object_set_new(p->facts, "seen", seen);
}

/* ── the statement's first lines ── */

static void put_place(struct buf *b, const char *name, const char *host, const char *path)
{
    size_t n = strlen(path);
    CLEANUP(mem_free)
    char *shown = text_printable(path, n < STATEMENT_PATH_MAX / 4 ? n : STATEMENT_PATH_MAX / 4);
    CLEANUP(mem_free) char *line = xasprintf("%s %s", host, shown);
    statement_line(b, name, line);
}

/* The same for the same run, so that the answer can be compared with it. */
static void put_about(const struct pair_view *p, struct buf *b)
{
    char pair[32];
    const json_t *seen = json_object_get(p->facts, "seen");
    files_pair_name(p, pair);
    buf_init(b, STATEMENT_MAX);
    statement_begin(b);
    statement_line(b, "job", p->name);
    statement_line(b, "pair", pair);
    statement_number(b, "run", p->run);
    put_place(b, "source", p->source_host, p->source);
    put_place(b, "destination", p->destination_host, p->destination);
    statement_line(b, "verify", verify_option(p));
    statement_number(b, "source-files",
                     (uint64_t)json_integer_value(json_object_get(seen, "files")));
    statement_number(b, "source-bytes",
                     (uint64_t)json_integer_value(json_object_get(seen, "bytes")));
}

/* Is it what this run's statement has to begin with, and signed by who has to? */
static int check_statement(const struct pair_view *p, const ProtobufCBinaryData *text,
                           struct statement *ret)
{
    struct buf about;
    put_about(p, &about);
    bool begins = text->len > about.len && memcmp(text->data, about.data, about.len) == 0;
    buf_done(&about);
    if (!begins || statement_parse((const char *)text->data, text->len, ret) < 0)
        return -EBADMSG;
    return 0;
}

/* by the key that this very host has told over its own connection. */
static int check_signed(const struct statement *st, enum statement_role role,
                        const struct fleet_host *h)
{
    const struct statement_signature *by = statement_signed(st, role);
    if (!by || strcmp(by->name, h->name) != 0)
        return -EBADMSG;
    if (h->sign_key && memcmp(h->sign_key, by->public_key, SIGN_PUBLIC_BYTES) != 0)
        return -EKEYREJECTED;
    return 0;
}

static enum verdict unreadable(const char *what, struct fault *reterr)
{
    (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "%s is not what it should be", what);
    return VERDICT_FAIL;
}

/* ── verifying ── */

int files_plan_verify(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    char pair[32];
    struct buf about;
    (void)reterr;
    files_pair_name(p, pair);
    put_about(p, &about);
    Godwit__VerifyOrder o = GODWIT__VERIFY_ORDER__INIT;
    o.path = files_bytes(p->destination, strlen(p->destination));
    o.pair = pair;
    o.sample = sample_option(p);
    o.manifest = manifest_option(p);
    o.run = p->run;
    o.about = files_bytes(about.data, about.len);
    o.host = files_text(p->destination_host);
    files_plan_step(&ret[0], SIDE_DESTINATION, "files.verify", &o.base);
    buf_done(&about);
    return 1;
}

static json_t *evidence_json(const struct pair_view *p, const Godwit__VerifyResult *r)
{
    json_t *e = json_object();
    CLEANUP(mem_free) char *folder = text_printable(r->folder, strlen(r->folder));
    (void)json_object_set_new(e, "run", json_integer((json_int_t)p->run));
    (void)json_object_set_new(e, "verify", json_string(verify_option(p)));
    (void)json_object_set_new(e, "read_files", number(r->read_files));
    (void)json_object_set_new(e, "read_bytes", number(r->read_bytes));
    (void)json_object_set_new(e, "unproved_files", number(r->unknown_files));
    (void)json_object_set_new(e, "entries", number(r->entries));
    (void)json_object_set_new(e, "differing", number(r->differing));
    if (!manifest_option(p))
        return e;
    (void)json_object_set_new(e, "files", number(r->files));
    (void)json_object_set_new(e, "bytes", number(r->bytes));
    (void)json_object_set_new(e, "left_out", number(r->left_out));
    (void)json_object_set_new(e, "folder", json_string(folder));
    (void)json_object_set_new(e, "statement",
                              json_stringn((const char *)r->statement.data, r->statement.len));
    return e;
}

enum verdict files_judge_verify(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr)
{
    struct statement st;
    enum verdict v = files_verdict(results[0], reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    Godwit__VerifyResult *r =
        godwit__verify_result__unpack(NULL, results[0]->body.len, results[0]->body.data);
    if (!r)
        return unreadable("the answer to the verification", reterr);
    bool sound = !manifest_option(p) || (check_statement(p, &r->statement, &st) == 0 &&
                                         check_signed(&st, SIGNED_DESTINATION, p->to) == 0);
    if (sound)
        (void)json_object_set_new(p->facts, "evidence", evidence_json(p, r));
    else
        v = unreadable("the destination's statement", reterr);
    godwit__verify_result__free_unpacked(r, NULL);
    return v;
}

/* ── signatures ── */

static int no_statement(struct fault *reterr)
{
    return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no statement to sign");
}

int files_plan_sign(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    char pair[32];
    const char *text = statement_of(p);
    if (!text)
        return no_statement(reterr);
    files_pair_name(p, pair);
    Godwit__SignOrder o = GODWIT__SIGN_ORDER__INIT;
    o.pair = pair;
    o.statement = files_bytes(text, strlen(text));
    o.host = files_text(p->source_host);
    files_plan_step(&ret[0], SIDE_SOURCE, "files.sign", &o.base);
    return 1;
}

/* The source adds its line and changes nothing. */
static bool adds_only(const char *before, const ProtobufCBinaryData *after)
{
    size_t n = strlen(before);
    return after->len > n && memcmp(after->data, before, n) == 0;
}

static bool take_statement(const struct pair_view *p, const char *text, size_t len)
{
    json_t *s = json_stringn(text, len);
    return s && json_object_set_new(json_object_get(p->facts, "evidence"), "statement", s) == 0;
}

enum verdict files_judge_sign(const struct pair_view *p, const Godwit__Result *const results[2],
                              struct fault *reterr)
{
    struct statement st;
    const char *before = statement_of(p);
    enum verdict v = files_verdict(results[0], reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    Godwit__SignResult *r =
        godwit__sign_result__unpack(NULL, results[0]->body.len, results[0]->body.data);
    bool sound = r && before && adds_only(before, &r->statement) &&
                 check_statement(p, &r->statement, &st) == 0 &&
                 check_signed(&st, SIGNED_DESTINATION, p->to) == 0 &&
                 check_signed(&st, SIGNED_SOURCE, p->from) == 0 &&
                 take_statement(p, (const char *)r->statement.data, r->statement.len);
    if (r)
        godwit__sign_result__free_unpacked(r, NULL);
    return sound ? v : unreadable("the source's signature", reterr);
}

/* The orchestrator's own line, once. */
static int sign_own(const struct pair_view *p, struct buf *b)
{
    struct statement st;
    uint8_t signature[SIGN_BYTES];
    if (!p->signer || statement_parse((const char *)b->data, b->len, &st) < 0)
        return -EBADMSG;
    if (statement_signed(&st, SIGNED_ORCHESTRATOR))
        return 0;
    int rc = sign_make(p->signer, st.text, st.body_len, signature);
    if (rc == 0)
        statement_put_signature(b, SIGNED_ORCHESTRATOR, p->realm, sign_key_public(p->signer),
                                signature);
    return rc == 0 && b->overflow ? -EMSGSIZE : rc;
}

int files_plan_seal(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    char pair[32];
    struct buf b;
    const char *text = statement_of(p);
    if (!text)
        return no_statement(reterr);
    buf_init(&b, STATEMENT_MAX);
    buf_put(&b, text, strlen(text));
    int rc = sign_own(p, &b);
    if (rc == 0 && !take_statement(p, (const char *)b.data, b.len))
        rc = -EBADMSG;
    if (rc < 0) {
        buf_done(&b);
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the orchestrator cannot sign the manifest");
    }
    files_pair_name(p, pair);
    Godwit__SealOrder o = GODWIT__SEAL_ORDER__INIT;
    o.pair = pair;
    o.run = p->run;
    o.statement = files_bytes(b.data, b.len);
    files_plan_step(&ret[0], SIDE_DESTINATION, "files.seal", &o.base);
    buf_done(&b);
    return 1;
}

enum verdict files_judge_seal(const struct pair_view *p, const Godwit__Result *const results[2],
                              struct fault *reterr)
{
    (void)p;
    return files_verdict(results[0], reterr);
}
