/* session: this agent's standing with its orchestrator. What is said is in talk.c. Main thread. */
#include "agent/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/rotate.h"
#include "agent/session_priv.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define FIRST_HEARTBEAT_MS 5000
#define FIRST_MIN_MS 1000
#define FIRST_MAX_MS 5000
#define TRY_MS 10000  /* one choice of keys and endpoint gets so long, and half as much by lot */
#define LONG_MS 30000 /* after a refusal that only people can change */
#define LOOK_MS 1000  /* for orchestrator.json */
#define HELLO_AGAIN_MS 3000
#define SILENT_BEATS 3

DEFINE_CLEANUP(session_free, struct session *)

static const struct session_row {
    enum session_state in;
    enum session_event on;
    enum session_state next;
    enum session_act act;
} rows[] = {
    {SESSION_OFF,   SESSION_EV_HOME,    SESSION_HELLO, SESSION_ACT_CONNECT   },
    {SESSION_WAIT,  SESSION_EV_HOME,    SESSION_HELLO, SESSION_ACT_CONNECT   },
    {SESSION_WAIT,  SESSION_EV_DUE,     SESSION_HELLO, SESSION_ACT_CONNECT   },
    {SESSION_HELLO, SESSION_EV_HOME,    SESSION_HELLO, SESSION_ACT_CONNECT   },
    {SESSION_HELLO, SESSION_EV_DUE,     SESSION_HELLO, SESSION_ACT_NEXT      },
    {SESSION_HELLO, SESSION_EV_UP,      SESSION_HELLO, SESSION_ACT_HELLO     },
    {SESSION_HELLO, SESSION_EV_DOWN,    SESSION_HELLO, SESSION_ACT_NONE      },
    {SESSION_HELLO, SESSION_EV_DENIED,  SESSION_WAIT,  SESSION_ACT_PAUSE_NEXT},
    {SESSION_HELLO, SESSION_EV_WELCOME, SESSION_LIVE,  SESSION_ACT_LIVE      },
    {SESSION_HELLO, SESSION_EV_UNKNOWN, SESSION_HELLO, SESSION_ACT_NONE      }, /* hello is repeated */
    {SESSION_HELLO, SESSION_EV_REFUSED, SESSION_WAIT,  SESSION_ACT_PAUSE_LONG},
    {SESSION_HELLO, SESSION_EV_GOODBYE, SESSION_WAIT,  SESSION_ACT_PAUSE     },
    {SESSION_LIVE,  SESSION_EV_HOME,    SESSION_HELLO, SESSION_ACT_CONNECT   },
    {SESSION_LIVE,  SESSION_EV_UP,      SESSION_HELLO, SESSION_ACT_HELLO     },
    {SESSION_LIVE,  SESSION_EV_DOWN,    SESSION_WAIT,  SESSION_ACT_PAUSE     },
    {SESSION_LIVE,  SESSION_EV_DENIED,  SESSION_HELLO, SESSION_ACT_NONE      },
    {SESSION_LIVE,  SESSION_EV_WELCOME, SESSION_LIVE,  SESSION_ACT_LIVE      },
    {SESSION_LIVE,  SESSION_EV_UNKNOWN, SESSION_HELLO, SESSION_ACT_HELLO     },
    {SESSION_LIVE,  SESSION_EV_REFUSED, SESSION_WAIT,  SESSION_ACT_PAUSE_LONG},
    {SESSION_LIVE,  SESSION_EV_SILENT,  SESSION_WAIT,  SESSION_ACT_PAUSE_NEXT},
    {SESSION_LIVE,  SESSION_EV_GOODBYE, SESSION_WAIT,  SESSION_ACT_PAUSE     },
    {SESSION_LIVE,  SESSION_EV_MOVE,    SESSION_HELLO, SESSION_ACT_CONNECT   },
};

int session_rule(enum session_state in, enum session_event on, enum session_state *ret,
                 enum session_act *retact)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].in != in || rows[i].on != on)
            continue;
        *ret = rows[i].next;
        *retact = rows[i].act;
        return 0;
    }
    return -EPROTO;
}

const char *session_state_name(enum session_state s)
{
    static const char *const names[] = {[SESSION_OFF] = "unenrolled",
                                        [SESSION_WAIT] = "waiting",
                                        [SESSION_HELLO] = "connecting",
                                        [SESSION_LIVE] = "online"};
    return names[s];
}

int64_t session_draw(uint32_t min, uint32_t max)
{
    uint32_t lot = 0;
    (void)text_random(&lot, sizeof lot);
    return max > min ? min + (int64_t)(lot % (max - min + 1)) : min;
}

static uint32_t clamp(uint32_t v, uint32_t min, uint32_t max)
{
    return v < min ? min : v > max ? max : v;
}

void session_set_pace(struct session *s, uint32_t heartbeat, uint32_t min, uint32_t max)
{
    if (heartbeat)
        s->heartbeat_ms = clamp(heartbeat, 50, 60000);
    if (max == 0)
        return;
    s->reconnect_max_ms = clamp(max, 50, 600000);
    s->reconnect_min_ms = clamp(min, 50, s->reconnect_max_ms);
}

static void drop_link(struct session *s)
{
    if (!s->link)
        return;
    zloop_reader_end(s->setup.loop, link_sock(s->link));
    zloop_reader_end(s->setup.loop, link_monitor(s->link));
    s->link = link_close(s->link);
}

static int on_socket(zloop_t *loop, zsock_t *sock, void *arg)
{
    (void)loop;
    (void)sock;
    session_receive(arg);
    return 0;
}

static int on_monitor(zloop_t *loop, zsock_t *sock, void *arg)
{
    (void)loop;
    (void)sock;
    struct session *s = arg;
    if (!s->link)
        return 0; /* a timer of the same round closed it */
    switch (link_event(s->link)) {
    case LINK_UP:
        session_handle(s, SESSION_EV_UP, "saying hello");
        break;
    case LINK_DOWN:
        session_handle(s, SESSION_EV_DOWN, "the connection was lost");
        break;
    case LINK_DENIED:
        session_handle(s, SESSION_EV_DENIED, "the orchestrator does not let this host's key in");
        break;
    case LINK_WRONG:
        session_handle(s, SESSION_EV_DENIED, "the orchestrator does not have the key we trust");
        break;
    case LINK_NOTHING:
    default:
        break;
    }
    return 0;
}

static int connect_now(struct session *s)
{
    drop_link(s);
    if (s->at_key >= s->home.nkeys)
        s->at_key = 0;
    int rc = home_endpoint(&s->home, s->at_key, s->endpoint, sizeof s->endpoint);
    if (rc < 0)
        return rc;
    struct link_target t = {.key = keyring_take(s->keys),
                            .server = s->home.keys[s->at_key].key,
                            .endpoint = s->endpoint,
                            .reconnect_ms =
                                (uint32_t)session_draw(s->reconnect_min_ms, s->reconnect_max_ms),
                            .reconnect_max_ms = s->reconnect_max_ms};
    rc = link_open(&t, &s->link);
    if (rc < 0)
        return rc;
    (void)zloop_reader(s->setup.loop, link_sock(s->link), on_socket, s);
    (void)zloop_reader(s->setup.loop, link_monitor(s->link), on_monitor, s);
    return 0;
}

/* All server keys with one of our keys, then (while ours rotates) with the other. */
static void next_choice(struct session *s)
{
    int64_t now = clock_fleet_ms();
    while (++s->at_key < s->home.nkeys)
        if (home_usable(&s->home, s->at_key, now))
            return;
    s->at_key = 0;
    while (!home_usable(&s->home, s->at_key, now))
        s->at_key++;
    keyring_refused(s->keys);
}

static void begin_try(struct session *s)
{
    int64_t now = clock_mono_ms();
    uint32_t try_ms = s->reconnect_max_ms > TRY_MS / 2 ? 2 * s->reconnect_max_ms : TRY_MS;
    s->due_ms = now + session_draw(try_ms, try_ms + try_ms / 2);
    s->hello_ms = 0;
    s->move_ms = 0;
    int rc = connect_now(s);
    if (rc < 0)
        (void)snprintf(s->reason, sizeof s->reason, "cannot connect to %.100s: %s", s->endpoint,
                       strerror(-rc));
}

static void pause_for(struct session *s, int64_t ms)
{
    drop_link(s);
    s->due_ms = clock_mono_ms() + ms;
}

static void go_live(struct session *s)
{
    int64_t now = clock_mono_ms();
    s->heard_ms = now;
    s->beat_ms = now + session_draw(1, s->heartbeat_ms);
    int rc = keyring_welcomed(s->keys);
    if (rc == 1)
        log_info("this host's new key is in use");
    else if (rc < 0)
        log_error("cannot keep the new key: %s", strerror(-rc));
    s->setup.online(s->setup.arg);
}

static void act(struct session *s, enum session_act what)
{
    switch (what) {
    case SESSION_ACT_NEXT:
        next_choice(s);
        begin_try(s);
        break;
    case SESSION_ACT_CONNECT:
        begin_try(s);
        break;
    case SESSION_ACT_HELLO:
        session_say_hello(s);
        break;
    case SESSION_ACT_LIVE:
        go_live(s);
        break;
    case SESSION_ACT_PAUSE_NEXT:
        next_choice(s);
        pause_for(s, session_draw(s->reconnect_min_ms, s->reconnect_max_ms));
        break;
    case SESSION_ACT_PAUSE:
        pause_for(s, session_draw(s->reconnect_min_ms, s->reconnect_max_ms));
        break;
    case SESSION_ACT_PAUSE_LONG:
        pause_for(s, session_draw(LONG_MS, LONG_MS + LONG_MS / 2));
        break;
    case SESSION_ACT_NONE:
    default:
        break;
    }
}

/* The only writer of s->state. */
void session_handle(struct session *s, enum session_event on, const char *why)
{
    enum session_state next = s->state;
    enum session_act what = SESSION_ACT_NONE;
    if (session_rule(s->state, on, &next, &what) < 0) {
        log_debug("nothing to do when %s: %s", session_state_name(s->state), why);
        return;
    }
    bool news = next != s->state || strcmp(s->reason, why) != 0;
    if (s->state == SESSION_LIVE && next == SESSION_HELLO)
        s->due_ms = clock_mono_ms() + session_draw(TRY_MS, TRY_MS + TRY_MS / 2);
    s->state = next;
    (void)snprintf(s->reason, sizeof s->reason, "%s", why);
    act(s, what);
    if (!news)
        return;
    struct log_about about = {.host = session_host(s)};
    log_line(LOG_INFO, &about, "%s: %s", session_state_name(next), s->reason);
    s->setup.changed(s->setup.arg);
}

/* Changes when the file is another one. 0: there is none. */
static int64_t stamp_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return 0;
    return (int64_t)st.st_ino ^ (int64_t)st.st_mtim.tv_sec * 1000000000 ^ st.st_mtim.tv_nsec ^
           (int64_t)st.st_size << 32;
}

void session_save_home(struct session *s)
{
    int rc = home_save(&s->home, s->home_path);
    if (rc < 0)
        log_error("cannot write '%s': %s", s->home_path, strerror(-rc));
    s->home_stamp = stamp_of(s->home_path);
}

static int load_home(struct session *s)
{
    struct home home;
    struct keyring *keys = NULL;
    int rc = home_load(s->home_path, &home);
    if (rc == 0)
        rc = keyring_load(s->setup.state_dir, &keys);
    if (rc < 0)
        return rc;
    drop_link(s); /* it borrowed nothing, but belongs to the old identity */
    (void)keyring_free(s->keys);
    s->keys = keys;
    s->home = home;
    s->at_key = 0;
    return 0;
}

/* Enrolled (again) while we run? */
static void look(struct session *s)
{
    int64_t stamp = stamp_of(s->home_path);
    if (stamp == s->home_stamp || stamp == 0)
        return;
    s->home_stamp = stamp;
    int rc = load_home(s);
    if (rc < 0)
        log_error("cannot use '%s' and its key: %s", s->home_path, strerror(-rc));
    else
        session_handle(s, SESSION_EV_HOME, "enrolled");
}

void session_tick(struct session *s, int64_t now)
{
    if (now - s->look_ms >= LOOK_MS) {
        s->look_ms = now;
        look(s);
    }
    if ((s->state == SESSION_WAIT || s->state == SESSION_HELLO) && now >= s->due_ms)
        session_handle(s, SESSION_EV_DUE,
                       s->state == SESSION_WAIT ? "trying again"
                                                : "no answer from the orchestrator");
    if (s->state == SESSION_HELLO && now - s->hello_ms >= HELLO_AGAIN_MS)
        session_say_hello(s);
    if (s->state != SESSION_LIVE)
        return;
    if (now - s->heard_ms > (int64_t)SILENT_BEATS * s->heartbeat_ms)
        session_handle(s, SESSION_EV_SILENT, "the orchestrator has fallen silent");
    else if (s->move_ms && now >= s->move_ms)
        session_handle(s, SESSION_EV_MOVE, "moving to a new key");
    else if (now >= s->beat_ms)
        session_beat(s, now);
}

void session_redial(struct session *s)
{
    if (s->state == SESSION_LIVE)
        session_handle(s, SESSION_EV_MOVE, "this host's addresses changed");
    else if (s->state != SESSION_OFF) /* a connection that is just being made may be of the old */
        s->due_ms = clock_mono_ms();
}

int session_new(const struct session_setup *setup, struct session **ret)
{
    CLEANUP(session_free) struct session *s = xcalloc(1, sizeof *s);
    s->setup = *setup;
    s->home_path = xasprintf("%s/%s", setup->state_dir, HOME_FILE);
    text_new_id(s->instance);
    (void)snprintf(s->reason, sizeof s->reason, "not enrolled yet");
    session_set_pace(s, FIRST_HEARTBEAT_MS, FIRST_MIN_MS, FIRST_MAX_MS);
    *ret = s;
    s = NULL;
    return 0;
}

struct session *session_free(struct session *s)
{
    if (!s)
        return NULL;
    drop_link(s);
    (void)keyring_free(s->keys);
    free(s->home_path);
    free(s);
    return NULL;
}

enum session_state session_state(const struct session *s)
{
    return s->state;
}

const char *session_reason(const struct session *s)
{
    return s->reason;
}

const char *session_host(const struct session *s)
{
    return s->home.nkeys ? s->home.host : NULL;
}

const char *session_endpoint(const struct session *s)
{
    return s->endpoint;
}
