/* zap: the authentication thread. Its table is its own; other threads change it by messages that
 * are answered once they hold. */
#include "common/wire/zap.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/curve.h"

#define ENDPOINT "inproc://zeromq.zap.01"
#define DOMAIN_MAX 64

struct zap {
    zactor_t *actor;
};

/* The thread's own. Key of the table: domain, blank, key in hex; or the domain alone when it is
 * open. */
struct table {
    zhashx_t *allowed;
    zsock_t *rep;
    zsock_t *pipe;
};

static atomic_bool running;

static void table_key(char ret[DOMAIN_MAX + 80], const char *domain, const uint8_t *key)
{
    char hex[65] = "";
    if (key)
        text_hex(key, 32, hex);
    (void)snprintf(ret, DOMAIN_MAX + 80, "%.*s %s", DOMAIN_MAX, domain, hex);
}

static void reply(struct table *t, zmsg_t *request, const char *code, const char *user)
{
    zmsg_t *msg = zmsg_new();
    zframe_t *id = zmsg_size(request) > 1 ? (zmsg_first(request), zmsg_next(request)) : NULL;
    (void)zmsg_addstr(msg, "1.0");
    (void)zmsg_addmem(msg, id ? zframe_data(id) : NULL, id ? zframe_size(id) : 0);
    (void)zmsg_addstr(msg, code);
    (void)zmsg_addstr(msg, *user ? "OK" : "unknown key");
    (void)zmsg_addstr(msg, user);
    (void)zmsg_addmem(msg, NULL, 0);
    (void)zmsg_send(&msg, t->rep);
    zmsg_destroy(&msg);
}

static bool frame_text(zframe_t *f, char *ret, size_t size)
{
    if (!f || zframe_size(f) >= size)
        return false;
    memcpy(ret, zframe_data(f), zframe_size(f));
    ret[zframe_size(f)] = '\0';
    return strlen(ret) == zframe_size(f);
}

/* Frames: version, request id, domain, address, routing id, mechanism, key. */
static bool admits(struct table *t, zmsg_t *request, char user[CURVE_Z85_LEN + 1])
{
    char domain[DOMAIN_MAX], mechanism[16], entry[DOMAIN_MAX + 80], open[DOMAIN_MAX + 80];
    zframe_t *frames[7] = {zmsg_first(request)};
    for (size_t i = 1; i < 7 && frames[i - 1]; i++)
        frames[i] = zmsg_next(request);
    if (!frame_text(frames[2], domain, sizeof domain) || !*domain ||
        !frame_text(frames[5], mechanism, sizeof mechanism) || strcmp(mechanism, "CURVE") != 0 ||
        !frames[6] || zframe_size(frames[6]) != 32)
        return false;
    table_key(entry, domain, zframe_data(frames[6]));
    table_key(open, domain, NULL);
    if (!zhashx_lookup(t->allowed, open) && !zhashx_lookup(t->allowed, entry))
        return false;
    curve_z85(zframe_data(frames[6]), user);
    return true;
}

static void on_request(struct table *t)
{
    zmsg_t *request = zmsg_recv(t->rep);
    if (!request)
        return;
    char user[CURVE_Z85_LEN + 1] = "";
    bool ok = admits(t, request, user);
    reply(t, request, ok ? "200" : "400", user);
    zmsg_destroy(&request);
}

/* False ends the thread. */
static bool on_command(struct table *t)
{
    zmsg_t *msg = zmsg_recv(t->pipe);
    if (!msg)
        return true;
    char *command = zmsg_popstr(msg), *entry = zmsg_popstr(msg);
    bool go_on = !streq(command, "$TERM");
    if (streq(command, "ALLOW") && entry)
        zhashx_update(t->allowed, entry, t); /* any value that is not NULL */
    else if (streq(command, "DENY") && entry)
        zhashx_delete(t->allowed, entry);
    if (go_on)
        (void)zsock_signal(t->pipe, 0);
    freen(command);
    freen(entry);
    zmsg_destroy(&msg);
    return go_on;
}

static void zap_thread(zsock_t *pipe, void *arg)
{
    struct table t = {.allowed = zhashx_new(), .rep = arg, .pipe = pipe};
    zpoller_t *poller = zpoller_new(pipe, t.rep, NULL);
    (void)zpoller_set_nonstop(poller,
                              true); /* a signal to the daemon must not end us: drain first */
    (void)zsock_signal(pipe, 0);
    for (bool go_on = true; go_on;) {
        void *which = zpoller_wait(poller, -1);
        if (which == pipe)
            go_on = on_command(&t);
        else if (which == t.rep)
            on_request(&t);
        else if (zpoller_terminated(poller))
            go_on = false;
    }
    atomic_store(&running, false);
    zpoller_destroy(&poller);
    (void)zsock_unbind(t.rep, ENDPOINT); /* at once: destroying leaves that to another thread */
    zsock_destroy(&t.rep);
    zhashx_destroy(&t.allowed);
}

/* The name of one that was stopped may be free only some time after its socket was closed. */
static int bind_patiently(zsock_t *rep)
{
    for (int tries = 0; zsock_bind(rep, ENDPOINT) < 0; tries++) {
        if (zap_running() || tries == 100)
            return -EADDRINUSE;
        zclock_sleep(10);
    }
    return 0;
}

int zap_start(struct zap **ret)
{
    zsock_t *rep = zsock_new(ZMQ_REP);
    if (!rep)
        return -errno;
    zsock_set_linger(rep, 0);
    if (bind_patiently(rep) < 0) {
        zsock_destroy(&rep);
        return -EADDRINUSE;
    }
    struct zap *z = xcalloc(1, sizeof *z);
    z->actor = zactor_new(zap_thread, rep);
    if (!z->actor) {
        zsock_destroy(&rep);
        free(z);
        return -EAGAIN;
    }
    atomic_store(&running, true);
    *ret = z;
    return 0;
}

struct zap *zap_stop(struct zap *z)
{
    if (z) {
        zactor_destroy(&z->actor);
        free(z);
    }
    return NULL;
}

zsock_t *zap_watch(struct zap *z)
{
    return zactor_sock(z->actor);
}

bool zap_running(void)
{
    return atomic_load(&running);
}

/* Returns when the change holds, so that whoever is told "admitted" may connect at once. When the
 * thread has ended there is nobody to ask and the daemon is about to exit. */
static void change(struct zap *z, const char *command, const char *domain, const uint8_t *key)
{
    if (!zap_running())
        return;
    char entry[DOMAIN_MAX + 80];
    table_key(entry, domain, key);
    if (zstr_sendx(z->actor, command, entry, NULL) == 0)
        (void)zsock_wait(z->actor);
}

void zap_open_domain(struct zap *z, const char *domain)
{
    change(z, "ALLOW", domain, NULL);
}

void zap_allow(struct zap *z, const char *domain, const uint8_t key[32])
{
    change(z, "ALLOW", domain, key);
}

void zap_deny(struct zap *z, const char *domain, const uint8_t key[32])
{
    change(z, "DENY", domain, key);
}
