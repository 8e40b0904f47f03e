/* test_exchange: a bundle goes over a real lane from one agent's step to another's, and lies there
 * byte for byte; a stranger's order moves nothing. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/bundle.h"
#include "agent/lane/lane_identity.h"
#include "agent/lane/lane_server.h"
#include "agent/step.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "tests/unit/files/step_stub.h"
#include "tests/unit/test.h"

#define DATABASE_BYTES 700001 /* some parts, the last one short */

struct side {
    struct lane_identity *id;
    struct step *step;
    struct site site;
    char *root, *folder;
    Godwit__IdentityOrder order;
    int rc;
    struct fault why;
};

static char dir[] = "/tmp/identity-exchange-XXXXXX";
static struct side source, destination;
static struct lane_server *server;
static uint8_t secret[32] = {1, 2, 3};
static char endpoint[32], *endpoints[] = {endpoint};
static Godwit__IdentityPlan plan = GODWIT__IDENTITY_PLAN__INIT;

static void side_new(struct side *s, const char *name)
{
    s->root = xasprintf("%s/%s", dir, name);
    s->folder = xasprintf("%s/notes", s->root);
    CLEANUP(mem_free) char *key = xasprintf("%s/lane.key", s->root);
    assert_int_equal(file_mkdirs(s->folder, 0700), 0);
    assert_int_equal(lane_identity_load_or_new(key, &s->id), 0);
    s->site = (struct site){.root = s->root, .search = "/nonexistent", .folder = s->folder};
    s->step = step_stub_new(s->root, "", 0);
    struct agent_env *env = (struct agent_env *)(uintptr_t)step_env(s->step);
    env->identity = s->id;
    env->lanes = server;
    godwit__identity_order__init(&s->order);
    s->order.cutover = (char *)(uintptr_t) "0123456789abcdef.1";
    s->order.ticket_id = (char *)(uintptr_t) "ticket";
    s->order.ticket_secret = (ProtobufCBinaryData){.len = 32, .data = secret};
    s->order.not_after_ms = clock_fleet_ms() + 60000;
    s->order.plan = &plan;
}

static void knows(struct side *s, const struct side *peer)
{
    s->order.peer_pin =
        (ProtobufCBinaryData){.len = 32, .data = (uint8_t *)(uintptr_t)lane_identity_pin(peer->id)};
}

static int begin(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    side_new(&source, "source");
    side_new(&destination, "destination");
    assert_int_equal(lane_server_start(&server, destination.id, "127.0.0.1", 0), 0);
    ((struct agent_env *)(uintptr_t)step_env(destination.step))->lanes = server;
    ((struct agent_env *)(uintptr_t)step_env(source.step))->lanes = server;
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", (unsigned)lane_server_port(server));
    knows(&source, &destination);
    knows(&destination, &source);
    source.order.peer_endpoints = endpoints;
    source.order.n_peer_endpoints = 1;
    CLEANUP(mem_free) char *folder = xasprintf("%s/var/lib/samba/private", source.root);
    CLEANUP(mem_free) char *path = xasprintf("%s/secrets.tdb", folder);
    CLEANUP(mem_free) char *data = xmalloc(DATABASE_BYTES);
    for (size_t i = 0; i < DATABASE_BYTES; i++)
        data[i] = (char)(i * 7 + i / 251);
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    return file_write(path, 0600, data, DATABASE_BYTES);
}

static void side_done(struct side *s)
{
    (void)step_stub_free(s->step);
    (void)lane_identity_free(s->id);
    free(s->root);
    free(s->folder);
}

static int end(void **state)
{
    (void)state;
    const char *const argv[] = {"rm", "-rf", "--", dir, NULL};
    const struct program_call c = {.argv = argv};
    struct program_output o;
    server = lane_server_stop(server);
    side_done(&source);
    side_done(&destination);
    if (program_run(&c, &o, NULL) == 0)
        program_done(&o);
    return 0;
}

static void *run(void *arg)
{
    struct side *s = arg;
    s->rc = bundle_exchange(s->step, &s->site, &s->order, &s->why);
    return NULL;
}

static void arrives(void **state)
{
    (void)state;
    pthread_t t;
    struct fault why = {.err = 0};
    assert_int_equal(pthread_create(&t, NULL, run, &destination), 0);
    (void)run(&source);
    (void)pthread_join(t, NULL);
    assert_int_equal(source.rc, 0);
    assert_int_equal(destination.rc, 0);
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", destination.folder);
    CLEANUP(mem_free) char *came = NULL;
    CLEANUP(mem_free) uint8_t *sent = NULL;
    size_t len = 0, want = 0;
    struct stat st;
    assert_int_equal(file_read(path, 1 << 20, &came, &len), 0);
    assert_int_equal(bundle_make(&source.site, &plan, &sent, &want, &why), 0);
    assert_int_equal(len, want);
    assert_memory_equal(came, sent, want);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    destination.rc = -1;
    (void)run(&destination); /* asked again, when the source knows that it is here */
    assert_int_equal(destination.rc, 0);
    assert_int_equal(access(path, F_OK), 0);
}

static void what_is_refused(void **state)
{
    (void)state;
    step_stub_cancel(destination.step);
    (void)run(&destination); /* nobody comes, and nobody is waited for any more */
    assert_true(destination.rc < 0);
    source.order.ticket_secret.len = 31;
    (void)run(&source);
    assert_int_equal(source.rc, -EBADMSG);
    source.order.ticket_secret.len = 32;
    source.order.plan = NULL;
    (void)run(&source);
    assert_int_equal(source.rc, -EBADMSG);
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", destination.folder);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(arrives, begin, end),
        cmocka_unit_test_setup_teardown(what_is_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
