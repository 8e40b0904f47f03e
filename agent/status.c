/* status: what `godwit-agent status` shows. Any thread. */
#include "agent/status.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/home.h"
#include "agent/worker.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"
#include "common/wire/curve.h"

#define STATUS_MAX (4 << 20)

static json_t *json_free(json_t *j)
{
    json_decref(j);
    return NULL;
}
DEFINE_CLEANUP(json_free, json_t *)

static void add_step(void *arg, const struct step_view *v)
{
    char *doing = v->started ? xstrdup(v->doing) : xstrdup("in line");
    json_t *row = json_pack("{s:s,s:s,s:i,s:s}", "op_id", v->op_id, "job", v->job, "percent",
                            (int)v->percent, "doing", doing);
    free(doing);
    if (row)
        (void)json_array_append_new(arg, row);
}

int status_write(const char *state_dir, const struct status *s)
{
    char since[24];
    clock_format(s->since_ms, since);
    CLEANUP(json_free) json_t *running = json_array();
    if (s->workers)
        workers_each(s->workers, add_step, running);
    CLEANUP(json_free)
    json_t *j = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:I,s:O}", "pid", (int)getpid(), "version",
                          GODWIT_VERSION, "state", s->state, "reason", s->reason, "endpoint",
                          s->endpoint, "since", since, "unacknowledged",
                          (json_int_t)s->unacknowledged, "running", running);
    CLEANUP(mem_free) char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", state_dir, STATUS_FILE);
    return text ? file_write(path, 0600, text, strlen(text)) : -EINVAL;
}

int status_lock(const char *state_dir, int *retfd)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", state_dir, LOCK_FILE);
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    *retfd = fd;
    fd = -1;
    return 0;
}

/* Without making or taking the lock for longer than the look. */
static bool is_running(const char *state_dir)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", state_dir, LOCK_FILE);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static json_t *read_json(const char *state_dir, const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", state_dir, name);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    return file_read(path, STATUS_MAX, &text, &len) == 0 ? json_loadb(text, len, 0, NULL) : NULL;
}

/* The same form as the orchestrator's lists, so that people can compare. */
static json_t *key_json(const uint8_t key[32])
{
    char z85[CURVE_Z85_LEN + 1], hex[33];
    uint8_t digest[SHA256_LEN];
    curve_z85(key, z85);
    sha256_of(key, 32, digest);
    text_hex(digest, 16, hex);
    return json_pack("{s:s,s:s}", "public_key", z85, "fingerprint", hex);
}

static void add_home(json_t *doc, const char *state_dir)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", state_dir, HOME_FILE);
    CLEANUP(json_free) json_t *keys = json_array();
    struct home home = {0};
    bool enrolled = home_load(path, &home) == 0;
    for (size_t i = 0; i < home.nkeys; i++) {
        char endpoint[HOME_ENDPOINT_MAX + 16] = "";
        json_t *key = key_json(home.keys[i].key);
        (void)home_endpoint(&home, i, endpoint, sizeof endpoint);
        (void)json_object_set_new(key, "endpoint", json_string(endpoint));
        (void)json_array_append_new(keys, key);
    }
    (void)json_object_set_new(doc, "enrolled", json_boolean(enrolled));
    (void)json_object_set_new(doc, "host", json_string(home.host));
    (void)json_object_set_new(doc, "agent_id", json_string(home.agent_id));
    (void)json_object_set(doc, "orchestrator", keys);
}

static void add_key(json_t *doc, const char *state_dir, const char *file, const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", state_dir, file);
    struct curve_key key;
    if (curve_key_load(path, &key) < 0)
        return;
    (void)json_object_set_new(doc, name, key_json(key.public_key));
    curve_key_wipe(&key);
}

static json_t *collect(const char *state_dir)
{
    json_t *doc = json_object();
    (void)json_object_set_new(doc, "schema", json_integer(1));
    (void)json_object_set_new(doc, "version", json_string(GODWIT_VERSION));
    add_home(doc, state_dir);
    add_key(doc, state_dir, "agent.key", "key");
    add_key(doc, state_dir, "agent.key.next", "next_key");
    bool running = is_running(state_dir);
    (void)json_object_set_new(doc, "daemon", json_string(running ? "running" : "stopped"));
    CLEANUP(json_free) json_t *live = running ? read_json(state_dir, STATUS_FILE) : NULL;
    if (json_is_object(live))
        (void)json_object_set(doc, "session", live);
    return doc;
}

static const char *text_of(const json_t *j, const char *name)
{
    const char *text = json_string_value(json_object_get(j, name));
    return text ? text : "";
}

static void show_session(const json_t *live)
{
    (void)printf("session        %s since %s (%s)\n", text_of(live, "state"),
                 text_of(live, "since"), text_of(live, "reason"));
    const json_t *running = json_object_get(live, "running");
    (void)printf("steps          %zu\n", json_array_size(running));
    for (size_t i = 0; i < json_array_size(running); i++) {
        const json_t *row = json_array_get(running, i);
        (void)printf("  %s  job %s  %d%%  %s\n", text_of(row, "op_id"), text_of(row, "job"),
                     (int)json_integer_value(json_object_get(row, "percent")),
                     text_of(row, "doing"));
    }
}

static void show_text(const json_t *doc)
{
    bool enrolled = json_is_true(json_object_get(doc, "enrolled"));
    (void)printf("daemon         %s\n", text_of(doc, "daemon"));
    if (enrolled)
        (void)printf("enrolled       as '%s' (%s)\n", text_of(doc, "host"),
                     text_of(doc, "agent_id"));
    else
        (void)printf("enrolled       no: run `godwit token create` on the orchestrator\n");
    if (json_object_get(doc, "key"))
        (void)printf("key            %s\n", text_of(json_object_get(doc, "key"), "fingerprint"));
    if (json_object_get(doc, "next_key"))
        (void)printf("next key       %s (rotation under way)\n",
                     text_of(json_object_get(doc, "next_key"), "fingerprint"));
    const json_t *keys = json_object_get(doc, "orchestrator");
    for (size_t i = 0; i < json_array_size(keys); i++)
        (void)printf("orchestrator   %s  key %s\n", text_of(json_array_get(keys, i), "endpoint"),
                     text_of(json_array_get(keys, i), "fingerprint"));
    if (json_object_get(doc, "session"))
        show_session(json_object_get(doc, "session"));
}

int status_show(const char *state_dir, bool json)
{
    if (access(state_dir, R_OK | X_OK) < 0) {
        int err = errno;
        (void)fprintf(stderr, "godwit-agent: cannot read '%s': %s\n", state_dir, strerror(err));
        return err == ENOENT ? 6 : 4;
    }
    CLEANUP(json_free) json_t *doc = collect(state_dir);
    if (json) {
        (void)json_dumpf(doc, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    } else {
        show_text(doc);
    }
    return 0;
}
