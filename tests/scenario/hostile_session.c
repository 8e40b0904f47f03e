/* hostile_session: enrolled hosts that turn bad, connections that never become sessions, floods. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "tests/scenario/hostile_priv.h"

#define REVOKED GODWIT__REFUSAL__CODE__REVOKED
#define IDLERS 1000
#define FLOOD_MS 5000
#define FLOOD_KIB_MAX (96L << 10) /* what a flood may add to the daemon's memory */

static void ask_to(struct siege *s, const char *command, const char *host)
{
    uint32_t code = 1;
    json_decref(daemon_ask(&s->daemon, &code, command, "host", host, NULL));
    assert_int_equal(code, 0);
}

static void a_revoked_key_is_cut_off_within_a_second(void **state)
{
    struct siege *s = *state;
    struct good bad;
    struct peer again;
    siege_join(s, &bad);
    assert_true(good_beat(&bad, ANSWER_MS));

    int64_t start = clock_mono_ms();
    ask_to(s, "agent revoke", bad.host);
    assert_int_equal(peer_hear_refusal(&bad.peer, ANSWER_MS), REVOKED); /* it is told */
    static const Godwit__Envelope__BodyCase types[] = {GODWIT__ENVELOPE__BODY_HEARTBEAT,
                                                       GODWIT__ENVELOPE__BODY_HELLO,
                                                       GODWIT__ENVELOPE__BODY_RESULT};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) { /* and on the open connection not served */
        peer_say_type(&bad.peer, types[i]);
        CLEANUP(wire_free) Godwit__Envelope *e = peer_hear(&bad.peer, ANSWER_MS);
        assert_non_null(e);
        assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_REFUSAL);
        assert_int_equal(e->refusal->code, REVOKED);
    }
    assert_true(clock_mono_ms() - start < 1000);

    peer_open(&again, s->daemon.agents_endpoint, s->daemon.server_key, &bad.peer.key);
    assert_int_equal(peer_fate(&again, ANSWER_MS), PEER_REFUSED);
    peer_close(&again);
    good_leave(&bad);
    siege_holds(s);
}

static int connect_idle(const char *endpoint)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        (void)fd_close(fd);
        return -1;
    }
    return fd;
}

/* How far a stranger goes before it stops: nothing, half a greeting, a whole one, half a hello. */
static void say_some(int fd, unsigned how)
{
    static const uint8_t greeting[64] = {0xff, 0, 0, 0,   0,   0,   0,   0,  1,
                                         0x7f, 3, 1, 'C', 'U', 'R', 'V', 'E'};
    static const uint8_t half_hello[] = {4, 200, 5, 'H', 'E', 'L', 'L', 'O', 1, 0};
    static const size_t sizes[] = {0, 11, 64, 64};
    if (sizes[how])
        (void)send(fd, greeting, sizes[how], MSG_NOSIGNAL);
    if (how == 3)
        (void)send(fd, half_hello, sizeof half_hello, MSG_NOSIGNAL);
}

static void raise_own_file_limit(void)
{
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    r.rlim_cur = r.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

static void open_idlers(const char *endpoint, int fds[IDLERS])
{
    for (unsigned i = 0; i < IDLERS; i++) {
        fds[i] = connect_idle(endpoint);
        assert_true(fds[i] >= 0);
        say_some(fds[i], i % 4);
    }
}

/* All doors that strangers can reach, at once, while agents come and go; and they do not stay. */
static void a_thousand_unfinished_handshakes(void **state)
{
    struct siege *s = *state;
    static int at_agents[IDLERS], at_enrol[IDLERS];
    struct good fresh;
    raise_own_file_limit();
    long files = daemon_files(&s->daemon), memory = daemon_memory(&s->daemon, "VmRSS");
    open_idlers(s->daemon.agents_endpoint, at_agents);
    open_idlers(s->daemon.enrol_endpoint, at_enrol);

    int64_t start = clock_mono_ms(), worst = 0;
    long held = 0; /* at most: on a busy machine the first are cut before the last have come */
    siege_join(s, &fresh);
    for (int i = 0; i < 20; i++) {
        int64_t asked = clock_mono_ms();
        assert_true(good_beat(&s->good, 2000));
        assert_true(good_beat(&fresh, 2000));
        worst = clock_mono_ms() - asked > worst ? clock_mono_ms() - asked : worst;
        long now = daemon_files(&s->daemon) - files;
        held = now > held ? now : held;
        zclock_sleep(50);
    }
    long grown = daemon_memory(&s->daemon, "VmRSS") - memory;
    print_message("%ld unfinished connections: slowest two heartbeats %ld ms, %ld KiB\n", held,
                  (long)worst, grown);
    assert_true(held >= 2 * IDLERS); /* they were really there meanwhile */
    assert_true(grown < 2 * IDLERS * 64);

    while (daemon_files(&s->daemon) > files + 10 &&
           clock_mono_ms() - start < 3 * WIRE_HANDSHAKE_IVL_MS) {
        assert_true(good_beat(&s->good, 2000));
        zclock_sleep(100);
    }
    assert_true(daemon_files(&s->daemon) <= files + 10);
    for (unsigned i = 0; i < IDLERS; i++) {
        (void)fd_close(at_agents[i]);
        (void)fd_close(at_enrol[i]);
    }
    good_leave(&fresh);
    siege_holds(s);
}

static void a_result_that_nobody_ordered(void **state)
{
    struct siege *s = *state;
    static char op_id[] = "feedfacecafebeef", path[] = "/etc/shadow", what[] = "open";
    char *examples[] = {path};
    Godwit__FailureGroup group = GODWIT__FAILURE_GROUP__INIT, *groups[] = {&group};
    Godwit__Result result = GODWIT__RESULT__INIT;
    Godwit__Progress progress = GODWIT__PROGRESS__INIT;
    Godwit__Accepted accepted = GODWIT__ACCEPTED__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    struct good bad;
    siege_join(s, &bad);
    group.what = what;
    group.examples = examples;
    group.n_examples = 1;
    result.status = GODWIT__RESULT__STATUS__DONE;
    result.failures = groups;
    result.n_failures = 1;
    e.op_id = op_id;
    e.epoch = UINT64_MAX;
    e.body_case = GODWIT__ENVELOPE__BODY_ACCEPTED;
    e.accepted = &accepted;
    peer_say(&bad.peer, &e);
    e.body_case = GODWIT__ENVELOPE__BODY_PROGRESS;
    e.progress = &progress;
    peer_say(&bad.peer, &e);
    e.body_case = GODWIT__ENVELOPE__BODY_RESULT;
    e.result = &result;
    for (int i = 0; i < 3; i++)
        peer_say(&bad.peer, &e);
    assert_true(good_beat(&bad, ANSWER_MS)); /* in order: the results are behind us */
    good_leave(&bad);
    siege_holds(s);
}

/* Who it is comes from the key: an instance, a routing id or a running op that is another's gives
 * nothing. */
static void a_forged_instance_takes_nothing(void **state)
{
    struct siege *s = *state;
    struct good bad;
    siege_join(s, &bad);
    good_hello(&bad,
               "first"); /* the good agent's own words; welcomed as itself: see good_hello() */
    assert_true(good_beat(&s->good, ANSWER_MS));
    assert_null(peer_hear(&s->good.peer, SILENCE_MS));
    assert_true(good_beat(&bad, ANSWER_MS));
    good_leave(&bad);
    siege_holds(s);
}

static void a_routing_id_that_is_anothers_takes_nothing(void **state)
{
    struct siege *s = *state;
    struct good one, two;
    siege_join(s, &one);
    siege_join(s, &two);
    good_leave(&two);
    /* both claim one id; libzmq refuses the second, who must not hear what is said to the first */
    peer_close(&one.peer);
    struct good *both[] = {&one, &two};
    for (size_t i = 0; i < 2; i++) {
        struct peer *p = &both[i]->peer;
        p->sock = zsock_new(ZMQ_DEALER);
        p->monitor = NULL;
        zsock_set_identity(p->sock, "victim");
        assert_int_equal(curve_secure_client(p->sock, &p->key, s->daemon.server_key), 0);
        zsock_set_linger(p->sock, 0);
        assert_int_equal(zmq_connect(zsock_resolve(p->sock), s->daemon.agents_endpoint), 0);
        if (i == 0)
            good_hello(both[i], "claims");
    }
    peer_say_type(&two.peer, GODWIT__ENVELOPE__BODY_HELLO);
    assert_null(peer_hear(&two.peer, SILENCE_MS));
    assert_true(good_beat(&one, ANSWER_MS));
    assert_null(peer_hear(&two.peer, SILENCE_MS));
    good_leave(&one);
    good_leave(&two);
    siege_holds(s);
}

/* What an enrolled host may send without end. */
static const struct flood {
    const char *name;
    Godwit__Envelope__BodyCase type;
    size_t bytes; /* 0: an empty body of the type; else so much of no meaning */
    bool reads;   /* takes its answers */
} floods[] = {
    {"heartbeats",                   GODWIT__ENVELOPE__BODY_HEARTBEAT,     0,                   true },
    {"heartbeats, answers not read", GODWIT__ENVELOPE__BODY_HEARTBEAT,     0,                   false},
    {"types that are not its own",   GODWIT__ENVELOPE__BODY_ENROL_REQUEST, 0,                   false},
    {"empty results",                GODWIT__ENVELOPE__BODY_RESULT,        0,                   false},
    {"hellos",                       GODWIT__ENVELOPE__BODY_HELLO,         0,                   false},
    {"a megabyte of zeros",          0,                                    LIMIT_CONTROL_BYTES, false},
};

static uint64_t flood_once(const struct flood *f, struct peer *p, const void *bulk)
{
    uint64_t n = 0;
    for (int i = 0; i < 64; i++, n++) {
        if (!f->bytes)
            peer_say_type(p, f->type);
        else if (!peer_say_bytes(p, bulk, f->bytes, 100))
            break;
    }
    while (f->reads && n) {
        Godwit__Envelope *e = peer_hear(p, 0);
        if (!e)
            break;
        wire_free(e);
    }
    return n;
}

static void floods_cost_the_flooder(void **state)
{
    struct siege *s = *state;
    CLEANUP(mem_free) uint8_t *bulk = xcalloc(1, LIMIT_CONTROL_BYTES);
    for (size_t i = 0; i < ARRAY_SIZE(floods); i++) {
        struct good bad;
        siege_join(s, &bad);
        long memory = daemon_memory(&s->daemon, "VmRSS"), log = daemon_log_bytes(&s->daemon);
        int64_t end = clock_mono_ms() + FLOOD_MS, next = 0, worst = 0;
        uint64_t said = 0;
        long peak = memory;
        while (clock_mono_ms() < end) {
            said += flood_once(&floods[i], &bad.peer, bulk);
            int64_t now = clock_mono_ms();
            if (now < next)
                continue;
            assert_true(good_beat(&s->good, ANSWER_MS));
            worst = clock_mono_ms() - now > worst ? clock_mono_ms() - now : worst;
            next = now + 200;
            long rss = daemon_memory(&s->daemon, "VmRSS");
            peak = rss > peak ? rss : peak;
        }
        log = daemon_log_bytes(&s->daemon) - log;
        print_message("%s: %llu in %d s; slowest heartbeat of another %ld ms, memory +%ld KiB, "
                      "log %ld KiB\n",
                      floods[i].name, (unsigned long long)said, FLOOD_MS / 1000, (long)worst,
                      peak - memory, log >> 10);
#ifndef __SANITIZE_ADDRESS__ /* it keeps what was freed */
        assert_true(peak - memory < FLOOD_KIB_MAX);
#endif
        assert_true(worst < 2000);
        assert_true(log < 256 << 10);
        good_leave(&bad);
        siege_holds(s);
    }
}

const struct CMUnitTest hostile_session_cases[] = {
    cmocka_unit_test(a_revoked_key_is_cut_off_within_a_second),
    cmocka_unit_test(a_thousand_unfinished_handshakes),
    cmocka_unit_test(a_result_that_nobody_ordered),
    cmocka_unit_test(a_forged_instance_takes_nothing),
    cmocka_unit_test(a_routing_id_that_is_anothers_takes_nothing),
    cmocka_unit_test(floods_cost_the_flooder),
};
const size_t hostile_session_count = ARRAY_SIZE(hostile_session_cases);
