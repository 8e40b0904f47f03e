/* test_pace: when a transfer asks for more lanes because its link loses packets. */
#include "agent/transfer/sender_priv.h"
#include "common/base/bucket.h"
#include "tests/unit/test.h"

static struct link {
    bool is_long, queued;
    unsigned resent; /* of each lane, of SENT packets */
} now;
static struct bucket bucket;

#define SENT 1000

bool __wrap_lane_is_long(const struct lane *l);
bool __wrap_lane_is_long(const struct lane *l)
{
    (void)l;
    return now.is_long;
}

void __wrap_lane_loss(const struct lane *l, struct lane_loss *ret);
void __wrap_lane_loss(const struct lane *l, struct lane_loss *ret)
{
    (void)l;
    *ret = (struct lane_loss){.sent = SENT, .resent = now.resent, .queued = now.queued};
}

struct bucket *__wrap_step_bucket(struct step *s);
struct bucket *__wrap_step_bucket(struct step *s)
{
    (void)s;
    return &bucket;
}

/* A session with so many lanes, and so many to come. */
struct session {
    struct transfer_spec spec;
    struct sender sender;
    struct worker workers[LANES_MOST];
    struct pace pace;
};

static void session_of(struct session *s, unsigned lanes, unsigned coming)
{
    *s = (struct session){.sender = {.step = NULL}};
    s->sender.spec = &s->spec;
    bucket_init(&bucket, BUCKET_UNLIMITED);
    (void)pthread_mutex_init(&s->sender.lock, NULL);
    atomic_store(&s->sender.nconnecting, coming);
    for (unsigned i = 0; i < lanes; i++) {
        s->workers[i].lane = (struct lane *)&s->workers[i];
        s->workers[i].next = s->sender.workers;
        s->sender.workers = &s->workers[i];
    }
    pace_begin(&s->pace);
}

static unsigned look(struct session *s, struct link l)
{
    now = l;
    s->pace.loss_looked_ms = 0; /* as if it were long ago */
    return pace_wants_for_loss(&s->sender, &s->pace);
}

static void a_link_that_loses_gets_all_lanes_at_once(void **state)
{
    (void)state;
    static struct session s;
    session_of(&s, 2, 2);
    assert_int_equal(look(&s, (struct link){.is_long = true}), 0);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 1}), 0);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 2}), LANES_MOST - 4);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 9}), 0); /* once */
    session_of(&s, LANES_MOST, 0);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 9}), 0);
}

static void a_look_follows_another_after_a_while(void **state)
{
    (void)state;
    static struct session s;
    session_of(&s, 1, 0);
    assert_int_equal(look(&s, (struct link){.is_long = true}), 0);
    now.resent = 9;
    assert_int_equal(pace_wants_for_loss(&s.sender, &s.pace), 0);
}

static void what_a_queue_drops_brings_no_lanes(void **state)
{
    (void)state;
    static struct session s;
    session_of(&s, 4, 0);
    assert_int_equal(look(&s, (struct link){.is_long = true, .queued = true, .resent = 9}), 0);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 9}), 0);
}

static void many_lost_at_once_bring_none(void **state)
{
    (void)state;
    static struct session s;
    session_of(&s, 4, 0);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = SENT / 20}), 0);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 9}), 0);
    session_of(&s, 4, 0);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = SENT / 50}), LANES_MOST - 4);
}

static void a_short_link_a_wish_or_a_rate_brings_none(void **state)
{
    (void)state;
    static struct session s;
    session_of(&s, 1, 0);
    assert_int_equal(look(&s, (struct link){.resent = 9}), 0);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 9}), 0);
    session_of(&s, 1, 0);
    s.spec.options.lanes = 1;
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 9}), 0);
    session_of(&s, 1, 0);
    bucket_init(&bucket, 1000);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 9}), 0);
    bucket_init(&bucket, BUCKET_UNLIMITED);
    assert_int_equal(look(&s, (struct link){.is_long = true, .resent = 9}), LANES_MOST - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_that_loses_gets_all_lanes_at_once),
        cmocka_unit_test(a_look_follows_another_after_a_while),
        cmocka_unit_test(what_a_queue_drops_brings_no_lanes),
        cmocka_unit_test(many_lost_at_once_bring_none),
        cmocka_unit_test(a_short_link_a_wish_or_a_rate_brings_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
