/* test_feed_log: what is said comes back in order, once between two cuts; losses are seen. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/feed/feed_log.h"
#include "tests/unit/test.h"

static char path[64];

static struct feed_record record(enum feed_what what, unsigned n, const char *name)
{
    struct feed_record r = {
        .what = what, .at.folder = {.type = 1, .len = 8}
    };
    memcpy(r.at.folder.bytes, &n, sizeof n);
    (void)snprintf(r.at.name, sizeof r.at.name, "%s", name);
    if (what == FEED_MOVED)
        r.from = r.at;
    return r;
}

static void add(struct feed_log *l, enum feed_what what, unsigned n, const char *name)
{
    struct feed_record r = record(what, n, name);
    feed_log_add(l, &r);
}

struct heard {
    unsigned count, last;
    char name[FEED_NAME_MAX + 1];
    int stop;
};

static int hear(void *arg, const struct feed_record *r)
{
    struct heard *h = arg;
    h->count++;
    memcpy(&h->last, r->at.folder.bytes, sizeof h->last);
    memcpy(h->name, r->at.name, sizeof h->name);
    return h->stop;
}

static unsigned count(struct feed_log *l, uint64_t from, uint64_t to)
{
    struct heard h = {0};
    assert_true(feed_log_has(l, from, to));
    assert_int_equal(feed_log_each(feed_log_fd(l), from, to, hear, &h), 0);
    return h.count;
}

static void what_is_said_twice_is_kept_once_until_a_cut(void **state)
{
    (void)state;
    struct feed_log *l = NULL;
    assert_int_equal(feed_log_new(&l, path), 0);
    uint64_t a = feed_log_cut(l);
    for (unsigned i = 0; i < 3; i++) {
        add(l, FEED_FOLDER, 1, "");
        add(l, FEED_WHOLE, 1, "name");
        add(l, FEED_MOVED, 1, "name");
    }
    uint64_t b = feed_log_cut(l);
    add(l, FEED_FOLDER, 1, "");
    uint64_t c = feed_log_cut(l);
    assert_int_equal(count(l, a, b), 3);
    assert_int_equal(count(l, b, c), 1);
    assert_int_equal(count(l, a, c), 4);
    assert_int_equal(feed_log_folders(l), 2);
    struct heard h = {.stop = 7};
    assert_int_equal(feed_log_each(feed_log_fd(l), a, c, hear, &h), 7);
    (void)feed_log_free(l);
    assert_int_equal(access(path, F_OK), -1);
}

static void many_records_pass_the_buffers(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    struct feed_log *l = NULL;
    assert_int_equal(feed_log_new(&l, path), 0);
    for (unsigned i = 0; i < MANY; i++)
        add(l, FEED_FOLDER, i, "");
    uint64_t end = feed_log_cut(l);
    assert_int_equal(count(l, 0, end), MANY);
    feed_log_drop(l, end);
    assert_false(feed_log_has(l, 0, end));
    assert_true(feed_log_has(l, end, end));
    (void)feed_log_free(l);
}

static void a_loss_makes_what_came_before_uncertain(void **state)
{
    (void)state;
    const char *why = NULL;
    struct feed_log *l = NULL;
    assert_int_equal(feed_log_new(&l, path), 0);
    add(l, FEED_FOLDER, 1, "");
    uint64_t a = feed_log_cut(l);
    assert_true(feed_log_certain(l, a, &why));
    feed_log_lost(l, "gone");
    assert_false(feed_log_certain(l, a, &why)); /* nothing was said after a but the loss */
    assert_string_equal(why, "gone");
    uint64_t b = feed_log_cut(l);
    assert_true(feed_log_certain(l, b, &why));
    add(l, FEED_FOLDER, 2, "");
    assert_int_equal(count(l, b, feed_log_cut(l)), 1);
    assert_false(feed_log_has(l, a, b));
    (void)feed_log_free(l);
}

static void more_than_it_holds_is_a_loss(void **state)
{
    (void)state;
    const char *why = NULL;
    struct feed_log *l = NULL;
    char name[201];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(feed_log_new(&l, path), 0);
    uint64_t a = feed_log_cut(l);
    for (unsigned i = 0; i < FEED_LOG_MAX / 200; i++)
        add(l, FEED_WHOLE, i, name);
    assert_false(feed_log_certain(l, a, &why));
    (void)feed_log_free(l);
}

/* A record cut short, of no known kind, or with more than it needs, is no list. */
static void damage_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        off_t at;
        uint8_t byte;
    } cases[] = {
        {"length 0",      0, 0   },
        {"length beyond", 1, 0x03},
        {"kind",          2, 9   },
        {"handle",        7, 0xff},
        {"too long",      0, 20  },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct feed_log *l = NULL;
        struct heard h = {0};
        assert_int_equal(feed_log_new(&l, path), 0);
        add(l, FEED_FOLDER, 1, "");
        add(l, FEED_FOLDER, 2, "");
        uint64_t end = feed_log_cut(l);
        assert_int_equal(pwrite(feed_log_fd(l), &cases[i].byte, 1, cases[i].at), 1);
        if (feed_log_each(feed_log_fd(l), 0, end, hear, &h) != -EBADMSG)
            fail_msg("%s", cases[i].what);
        (void)feed_log_free(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_twice_is_kept_once_until_a_cut),
        cmocka_unit_test(many_records_pass_the_buffers),
        cmocka_unit_test(a_loss_makes_what_came_before_uncertain),
        cmocka_unit_test(more_than_it_holds_is_a_loss),
        cmocka_unit_test(damage_is_found),
    };
    (void)snprintf(path, sizeof path, "/tmp/godwit-feed-log-%d", (int)getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
