/* test_feed_events: buffers as the kernel makes them, and ones that it never would. */
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>

#include "agent/feed/feed_events.h"
#include "tests/unit/test.h"

struct made {
    uint8_t bytes[1024];
    size_t len;
};

static void begin(struct made *m, uint64_t mask)
{
    struct fanotify_event_metadata h = {.event_len = sizeof h,
                                        .vers = FANOTIFY_METADATA_VERSION,
                                        .metadata_len = sizeof h,
                                        .mask = mask,
                                        .fd = FAN_NOFD};
    m->len = sizeof h;
    memcpy(m->bytes, &h, sizeof h);
}

static void info(struct made *m, uint8_t type, uint32_t folder, const char *name)
{
    uint8_t *p = m->bytes + m->len;
    size_t len = sizeof(struct fanotify_event_info_fid) + 8 + sizeof folder + strlen(name) + 1;
    len = (len + 3) / 4 * 4;
    struct fanotify_event_info_header h = {.info_type = type, .len = (uint16_t)len};
    const uint32_t head[2] = {sizeof folder, 1};
    memset(p, 0, len);
    memcpy(p, &h, sizeof h);
    p += sizeof(struct fanotify_event_info_fid);
    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, &folder, sizeof folder);
    memcpy(p + sizeof head + sizeof folder, name, strlen(name) + 1);
    m->len += len;
    uint32_t all = (uint32_t)m->len;
    memcpy(m->bytes, &all, sizeof all);
}

static void write_down(void *arg, const struct feed_record *r)
{
    char *to = arg;
    uint32_t at = 0, from = 0;
    memcpy(&at, r->at.folder.bytes, sizeof at);
    memcpy(&from, r->from.folder.bytes, sizeof from);
    size_t n = strlen(to);
    if (r->what == FEED_FILE || r->what == FEED_NAMES)
        (void)snprintf(to + n, 256 - n, "%c%u ", r->what == FEED_FILE ? 'f' : 'n', at);
    else if (r->what == FEED_MOVED)
        (void)snprintf(to + n, 256 - n, "M%u/%s<%u/%s ", at, r->at.name, from, r->from.name);
    else
        (void)snprintf(to + n, 256 - n, "%c%u/%s ", r->what == FEED_WHOLE ? 'W' : 'F', at,
                       r->at.name);
}

static void events_become_records(void **state)
{
    (void)state;
    enum { DIR = FAN_ONDIR };
    static const struct {
        uint64_t mask;
        const char *name, *old, *want;
    } cases[] = {
        {FAN_MODIFY,                    "f", NULL, "F7/ "                  },
        {FAN_CREATE,                    "f", NULL, "F7/ "                  },
        {FAN_ATTRIB | DIR,              ".", NULL, "F7/ "                  },
        {FAN_ATTRIB | DIR,              "d", NULL, "F7/ W7/d "             },
        {FAN_CREATE | DIR,              "d", NULL, "F7/ W7/d "             },
        {FAN_DELETE | DIR,              "d", NULL, "F7/ "                  },
        {FAN_MOVED_FROM | DIR,          "d", NULL, "F7/ "                  },
        {FAN_MOVED_TO | DIR,            "d", NULL, "F7/ W7/d "             },
        {FAN_CREATE | FAN_DELETE | DIR, "d", NULL, "F7/ W7/d "             },
        {FEED_RENAME,                   "f", "g",  "F6/ F7/ M7/f<6/g "     },
        {FEED_RENAME | DIR,             "d", "e",  "F6/ F7/ W7/d M7/d<6/e "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct made m;
        char said[256] = "";
        begin(&m, cases[i].mask);
        if (cases[i].old) {
            info(&m, 10, 6, cases[i].old);
            info(&m, 12, 7, cases[i].name);
        } else {
            info(&m, FAN_EVENT_INFO_TYPE_DFID_NAME, 7, cases[i].name);
        }
        assert_true(feed_events_parse(m.bytes, m.len, write_down, said));
        assert_string_equal(said, cases[i].want);
    }
}

/* The file is said beside its folder; alone when the kernel names no folder. */
static void files_are_said_too(void **state)
{
    (void)state;
    struct made m;
    char said[256] = "";
    begin(&m, FAN_MODIFY);
    info(&m, FAN_EVENT_INFO_TYPE_DFID_NAME, 7, "f");
    info(&m, FAN_EVENT_INFO_TYPE_FID, 9, "");
    assert_true(feed_events_parse(m.bytes, m.len, write_down, said));
    begin(&m, FAN_ATTRIB);
    info(&m, FAN_EVENT_INFO_TYPE_FID, 9, "");
    assert_true(feed_events_parse(m.bytes, m.len, write_down, said));
    assert_string_equal(said, "f9 F7/ n9 ");
}

static void what_cannot_be_understood_is_a_loss(void **state)
{
    (void)state;
    struct made m;
    char said[256] = "";
    begin(&m, FAN_Q_OVERFLOW);
    assert_false(feed_events_parse(m.bytes, m.len, write_down, said));
    begin(&m, FAN_MODIFY); /* names nothing */
    assert_false(feed_events_parse(m.bytes, m.len, write_down, said));
    begin(&m, FAN_MODIFY);
    info(&m, FAN_EVENT_INFO_TYPE_DFID_NAME, 7, "name");
    for (size_t n = 1; n < m.len; n++) /* cut short */
        assert_false(feed_events_parse(m.bytes, n, write_down, said));
    for (size_t i = 0; i < m.len; i++) { /* any byte wrong: no crash */
        uint8_t was = m.bytes[i];
        m.bytes[i] = 0xff;
        said[0] = '\0';
        (void)feed_events_parse(m.bytes, m.len, write_down, said);
        m.bytes[i] = was;
    }
    said[0] = '\0';
    assert_true(feed_events_parse(m.bytes, m.len, write_down, said));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_become_records),
        cmocka_unit_test(files_are_said_too),
        cmocka_unit_test(what_cannot_be_understood_is_a_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
