/* bench: an engine on a store of its own. The linker wraps store_commit() and clock_mono_ms(). */
#include "tests/unit/engine/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/unit/test.h"

int64_t bench_clock_ms;
int bench_commit_rc;
void (*bench_on_commit)(int after);

int64_t __real_clock_mono_ms(void);
int64_t __wrap_clock_mono_ms(void);
int __real_store_commit(struct store *s);
int __wrap_store_commit(struct store *s);

int64_t __wrap_clock_mono_ms(void)
{
    return __real_clock_mono_ms() + bench_clock_ms;
}

int __wrap_store_commit(struct store *s)
{
    if (bench_commit_rc < 0) {
        store_rollback(s);
        return bench_commit_rc;
    }
    if (bench_on_commit)
        bench_on_commit(0);
    int rc = __real_store_commit(s);
    if (bench_on_commit)
        bench_on_commit(1);
    return rc;
}

void bench_open(struct bench *b)
{
    *b = (struct bench){
        .limits = {.pairs = 64, .pairs_per_host = 8, .pairs_per_job = 32}
    };
    /* In memory where there is such a place: thousands of commits, and no power is cut here. */
    (void)snprintf(b->folder, sizeof b->folder, "%s/godwit-engine-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(b->folder));
    (void)snprintf(b->path, sizeof b->path, "%s/godwit.db", b->folder);
    b->fleet = fake_fleet();
    bench_start(b);
}

void bench_start(struct bench *b)
{
    struct fault why = {.err = 0};
    if (store_open(&b->store, b->path, &why) < 0 ||
        engine_new(&b->engine, b->store, b->fleet, &b->limits, &why) < 0)
        fail_msg("%s", why.text);
}

void bench_end(struct bench *b)
{
    b->engine = engine_free(b->engine);
    b->store = store_close(b->store);
}

void bench_close(struct bench *b)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    bench_end(b);
    fake_fleet_free(b->fleet);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        char *path = xasprintf("%s%s", b->path, ends[i]);
        (void)unlink(path);
        free(path);
    }
    (void)rmdir(b->folder);
}

void bench_create(struct bench *b, const char *spec)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (engine_job_create(b->engine, spec, &json, &why) < 0)
        fail_msg("%s", why.text);
    json_decref(json);
}

void bench_job(struct bench *b, const char *name, unsigned npairs)
{
    struct fault why = {.err = 0};
    const struct engine_start how = {.phase = NULL};
    json_t *json = NULL, *spec = json_pack("{s:s,s:s}", "name", name, "workload", "files");
    json_t *pairs = json_array();
    for (unsigned i = 1; i <= npairs; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "/data/%s/%u", name, i);
        (void)json_array_append_new(pairs, json_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "source", "host",
                                                     "s1", "path", path, "destination", "host",
                                                     "d1", "path", path));
    }
    (void)json_object_set_new(spec, "pairs", pairs);
    char *text = json_dumps(spec, 0);
    bench_create(b, text);
    free(text);
    json_decref(spec);
    if (engine_job_start(b->engine, name, &how, &json, &why) < 0)
        fail_msg("%s", why.text);
    json_decref(json);
}

const char *bench_state(struct bench *b, const char *job)
{
    static char ret[64];
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (engine_job_show(b->engine, job, &json, &why) < 0)
        return "missing";
    (void)snprintf(ret, sizeof ret, "%s", json_string_value(json_object_get(json, "state")));
    json_decref(json);
    return ret;
}

const char *bench_pair(struct bench *b, const char *job, unsigned n, const char *key)
{
    static char ret[512];
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (engine_job_show(b->engine, job, &json, &why) < 0)
        return "missing";
    const json_t *pair = json_array_get(json_object_get(json, "pairs"), n - 1);
    (void)snprintf(ret, sizeof ret, "%s", json_string_value(json_object_get(pair, key)));
    json_decref(json);
    return ret;
}

void bench_run(struct bench *b, fake_script script, unsigned rounds)
{
    for (unsigned i = 0, still = 0; i < rounds && still < 3; i++) {
        bench_clock_ms += 1100; /* past a scheduler's pass, and a second's work */
        engine_tick(b->engine);
        still = fake_pump(b->fleet, script) ? 0 : still + 1;
    }
}

int bench_set_up(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    bench_commit_rc = 0;
    bench_on_commit = NULL;
    bench_open(b);
    fake_online(b->fleet, "s1");
    fake_online(b->fleet, "d1");
    *state = b;
    return 0;
}

int bench_tear_down(void **state)
{
    struct bench *b = *state;
    bench_commit_rc = 0;
    bench_close(b);
    free(b);
    return 0;
}

int bench_call(struct bench *b, bench_job_call fn, const char *job)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = fn(b->engine, job, &json, &why);
    json_decref(json);
    return rc;
}

struct fake_answer bench_silent(const struct fake_op *op, unsigned nth)
{
    (void)op;
    (void)nth;
    return (struct fake_answer){.silent = true};
}

struct fake_answer bench_copying(const struct fake_op *op, unsigned nth)
{
    (void)nth;
    return (struct fake_answer){.silent = strcmp(op->kind, "files.send") == 0 ||
                                          strcmp(op->kind, "files.receive") == 0};
}
