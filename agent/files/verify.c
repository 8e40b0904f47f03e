/* verify: the step "files.verify": goes through the pair's catalogue once, looks at each entry at
 * the destination again, and writes the manifest of those that are as they should be. What differs
 * is named, and its row is spoilt, so that the next pass sends it. Worker thread and its examiners.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/examine.h"
#include "agent/files/files.h"
#include "agent/files/manifest.h"
#include "agent/files/place.h"
#include "agent/files/sign.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/store/failures.h"
#include "agent/store/pairname.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"
#include "proto/files.pb-c.h"

#define GROUP_ENTRIES 1024
#define GROUP_BYTES (256ULL << 20)
#define NAMES_BYTES (8U << 20) /* paths of one group */
#define PATH_ROOM (66U << 10)  /* one more is at most so long */
#define SAMPLE_ALL 10000U
#define COMMIT_MS 10000 /* what was read so long ago need not be read again after a crash */

struct verifying {
    struct step *step;
    const Godwit__VerifyOrder *order;
    struct catalogue *cat;
    struct examiner *examiner;
    struct manifest *manifest; /* NULL: none is wanted */
    struct failures *failures;
    uint64_t seed;
    struct examined *group;
    size_t n;
    uint64_t group_bytes;
    struct buf names;
    uint64_t read_bytes; /* atomic: examiners add */
    uint64_t read_files, unknown, entries, differing, left_out;
    int64_t began_ms, committed_ms;
};

/* ── what an entry's examination means ── */

/* No digest and no inode: the comparison of the next pass cannot take what stands there for it. */
static const struct catalogue_entry spoilt = {.mode = S_IFREG};

static int put_row(struct verifying *v, const struct examined *e, const struct catalogue_entry *row)
{
    int rc = catalogue_put(v->cat, e->folder, e->folder_len, e->name, e->name_len, row);
    if (rc == -EAGAIN) {
        rc = catalogue_commit(v->cat);
        if (rc == 0)
            rc = catalogue_put(v->cat, e->folder, e->folder_len, e->name, e->name_len, row);
    }
    return rc;
}

/* What is missing, or has other metadata, the next pass sees by itself. */
static int spoil(struct verifying *v, const struct examined *e)
{
    if (strcmp(e->differs, "missing") == 0)
        return catalogue_forget(v->cat, e->folder, e->folder_len, e->name, e->name_len);
    bool content = e->err == 0 && S_ISREG(e->row.mode) && strcmp(e->differs, "mode differs") != 0 &&
                   strcmp(e->differs, "owner differs") != 0 &&
                   strcmp(e->differs, "attributes differ") != 0;
    return content ? put_row(v, e, &spoilt) : 0;
}

static void name_it(struct verifying *v, const struct examined *e)
{
    struct buf path;
    buf_init(&path, e->folder_len + e->name_len + 2);
    buf_put(&path, e->folder, e->folder_len);
    if (e->folder_len)
        buf_put_u8(&path, '/');
    buf_put(&path, e->name, e->name_len);
    failures_add(v->failures, e->err, e->differs, (const char *)path.data, path.len);
    buf_done(&path);
    v->differing++;
    v->left_out += S_ISREG(e->row.mode);
}

static int settle(struct verifying *v, struct examined *e, bool had_sha256)
{
    v->entries++;
    v->read_files += e->was_read;
    v->unknown += e->was_read && e->unknown;
    if (e->differs) {
        name_it(v, e);
        return spoil(v, e);
    }
    if (v->manifest) {
        struct manifest_entry m = {e->folder,   e->name, e->folder_len,
                                   e->name_len, &e->row, e->target};
        manifest_add(v->manifest, &m);
    }
    return e->row.has_sha256 && !had_sha256 ? put_row(v, e, &e->row) : 0;
}

static void tell(struct verifying *v)
{
    struct counters c = {.files = v->read_files,
                         .bytes = __atomic_load_n(&v->read_bytes, __ATOMIC_RELAXED),
                         .entries = v->entries,
                         .failed = v->differing,
                         .elapsed_ms = (uint64_t)(clock_mono_ms() - v->began_ms)};
    step_progress(v->step, &c, 0, v->order->sample ? "reading again" : "listing");
}

/* ── groups ── */

static void group_clear(struct verifying *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->group[i].target);
    v->n = 0;
    v->group_bytes = 0;
    buf_clear(&v->names);
}

static int group_run(struct verifying *v)
{
    bool had[GROUP_ENTRIES];
    const char *names = (const char *)v->names.data;
    for (size_t i = 0; i < v->n; i++) { /* the names may have moved while they were added */
        struct examined *e = &v->group[i];
        e->folder = names + e->at;
        e->name = e->folder + e->folder_len;
        had[i] = e->row.has_sha256;
    }
    int rc = v->n ? examiner_run(v->examiner, v->group, v->n) : 0;
    for (size_t i = 0; rc == 0 && i < v->n; i++)
        rc = settle(v, &v->group[i], had[i]);
    group_clear(v);
    tell(v);
    if (rc == 0 && clock_mono_ms() - v->committed_ms > COMMIT_MS) {
        rc = catalogue_commit(v->cat);
        v->committed_ms = clock_mono_ms();
    }
    return rc;
}

static bool sampled(const struct verifying *v, const char *folder, size_t folder_len,
                    const char *name, size_t name_len)
{
    uint64_t h = XXH3_64bits_withSeed(folder, folder_len, v->seed);
    return XXH3_64bits_withSeed(name, name_len, h) % SAMPLE_ALL < v->order->sample;
}

static bool is_spoilt(const struct catalogue_entry *e)
{
    return e->ino == 0 && e->ctime.tv_sec == 0;
}

static int each(void *arg, const char *folder, size_t folder_len, const char *name, size_t name_len,
                const struct catalogue_entry *row)
{
    struct verifying *v = arg;
    if (is_spoilt(row)) {
        v->left_out++;
        return 0;
    }
    struct examined *e = &v->group[v->n++];
    *e = (struct examined){.folder_len = folder_len, .name_len = name_len, .row = *row};
    e->at = v->names.len;
    e->read_again = S_ISREG(row->mode) && sampled(v, folder, folder_len, name, name_len);
    buf_put(&v->names, folder, folder_len);
    buf_put(&v->names, name, name_len);
    bool reads = e->read_again || (v->manifest && S_ISREG(row->mode) && !row->has_sha256);
    v->group_bytes += reads ? row->size : 0;
    bool full = v->n == GROUP_ENTRIES || v->group_bytes >= GROUP_BYTES ||
                v->names.len > NAMES_BYTES - PATH_ROOM;
    return full ? group_run(v) : 0;
}

/* ── the step ── */

static int prepare(struct verifying *v, int root)
{
    const struct agent_env *env = step_env(v->step);
    struct place place;
    int rc = place_of(root, &place);
    if (rc < 0)
        return rc;
    struct examiner_conf conf = {
        .step = v->step,
        .root = root,
        .privileged = env->privileged,
        .attributes = env->privileged && place.has_xattr && place.has_acl,
        .manifest = v->order->manifest,
        .from_disk = v->order->sample > 0,
        .read_bytes = &v->read_bytes,
    };
    CLEANUP(mem_free) char *path = pair_catalogue_path(env->state_dir, v->order->pair);
    rc = catalogue_open(&v->cat, path);
    if (rc == 0 && v->order->manifest) {
        CLEANUP(mem_free)
        char *folder = manifest_folder(env->state_dir, v->order->pair, v->order->run);
        rc = manifest_new(&v->manifest, folder);
    }
    v->examiner = examiner_new(&conf);
    v->group = xcalloc(GROUP_ENTRIES, sizeof *v->group);
    return rc;
}

static int pack_result(struct verifying *v, struct step_result *ret)
{
    struct manifest_sums sums = {.files = 0};
    struct buf statement;
    CLEANUP(mem_free) char *folder = NULL;
    Godwit__VerifyResult r = GODWIT__VERIFY_RESULT__INIT;
    r.read_files = v->read_files;
    r.read_bytes = v->read_bytes;
    r.unknown_files = v->unknown;
    r.entries = v->entries;
    r.differing = v->differing;
    r.left_out = v->left_out;
    buf_init(&statement, STATEMENT_MAX);
    int rc = v->manifest ? manifest_end(v->manifest, &sums) : 0;
    if (rc == 0 && v->manifest) {
        struct sign_facts facts = {v->read_files, v->read_bytes, v->unknown, v->left_out, &sums};
        folder = manifest_folder(step_env(v->step)->state_dir, v->order->pair, v->order->run);
        rc = sign_manifest(v->step, v->order, &facts, folder, &statement);
        r.files = sums.files;
        r.bytes = sums.bytes;
        r.folder = folder;
        r.statement = (ProtobufCBinaryData){.len = statement.len, .data = statement.data};
    }
    if (rc == 0) {
        ret->body_len = godwit__verify_result__get_packed_size(&r);
        ret->body = xmalloc(ret->body_len ? ret->body_len : 1);
        (void)godwit__verify_result__pack(&r, ret->body);
    }
    buf_done(&statement);
    return rc;
}

static int verify(struct verifying *v, struct step_result *ret)
{
    const Godwit__VerifyOrder *o = v->order;
    CLEANUP(fd_close) int root = beneath_root((const char *)o->path.data, o->path.len, false);
    if (root < 0)
        return root;
    int rc = prepare(v, root);
    if (rc == 0 && o->sample > 0 && syncfs(root) < 0) /* only clean pages leave the cache */
        rc = -errno;
    if (rc == 0)
        rc = catalogue_each(v->cat, each, v);
    if (rc == 0)
        rc = group_run(v);
    int kept = v->cat ? catalogue_commit(v->cat) : 0;
    return rc < 0 ? rc : kept < 0 ? kept : pack_result(v, ret);
}

static void take_counters(const struct verifying *v, struct step_result *ret)
{
    ret->counters.files = v->read_files;
    ret->counters.bytes = v->read_bytes;
    ret->counters.entries = v->entries;
    ret->counters.failed = v->differing;
    ret->counters.elapsed_ms = (uint64_t)(clock_mono_ms() - v->began_ms);
    failures_take(v->failures, ret);
}

static void run(struct step *s, const Godwit__VerifyOrder *o, struct step_result *ret)
{
    const char *op = step_op_id(s);
    struct verifying v = {.step = s,
                          .order = o,
                          .failures = failures_new(),
                          .seed = XXH3_64bits(op, strlen(op)),
                          .began_ms = clock_mono_ms(),
                          .committed_ms = clock_mono_ms()};
    buf_init(&v.names, NAMES_BYTES);
    int rc = verify(&v, ret);
    take_counters(&v, ret);
    ret->status = rc == -ECANCELED ? STEP_STOPPED
                  : rc < 0         ? STEP_FAILED
                  : v.differing    ? STEP_PARTIAL
                                   : STEP_DONE;
    if (ret->status == STEP_FAILED)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "the destination cannot be verified: %s",
                        strerror(-rc));
    (void)manifest_free(v.manifest);
    (void)examiner_free(v.examiner);
    (void)failures_free(v.failures);
    (void)catalogue_close(v.cat);
    buf_done(&v.names);
    free(v.group);
}

void files_verify(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__VerifyOrder *o = godwit__verify_order__unpack(NULL, len, args);
    bool sound = o && pair_valid(o->pair) && o->sample <= SAMPLE_ALL &&
                 o->about.len <= STATEMENT_MAX / 2 && o->path.len > 0;
    if (sound) {
        run(s, o, ret);
    } else {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    }
    if (o)
        godwit__verify_order__free_unpacked(o, NULL);
}
