/* feed_events: each event names a folder by its handle, and a name in it; "." is the folder itself.
 * A file's own change names the file too; one of its number of names (FAN_ATTRIB) names it alone.
 */
#include "agent/feed/feed_events.h"

#include <string.h>
#include <sys/fanotify.h>

#ifndef FAN_EVENT_INFO_TYPE_OLD_DFID_NAME
#define FAN_EVENT_INFO_TYPE_OLD_DFID_NAME 10
#define FAN_EVENT_INFO_TYPE_NEW_DFID_NAME 12
#endif

struct sink {
    void (*fn)(void *arg, const struct feed_record *r);
    void *arg;
    struct feed_record record; /* too large for the stack of each call */
};

struct event {
    uint64_t mask;
    bool at_known, from_known, file_known;
    struct feed_place at, from, file; /* file: only a handle */
};

/* struct file_handle is u32 bytes, i32 type, bytes; then the name with its NUL, if there is one. */
static bool place_of(const uint8_t *p, size_t n, bool named, struct feed_place *ret)
{
    const size_t skip = sizeof(struct fanotify_event_info_fid);
    uint32_t head[2];
    if (n < skip + sizeof head)
        return false;
    memcpy(head, p + skip, sizeof head);
    p += skip + sizeof head;
    n -= skip + sizeof head;
    if (head[0] == 0 || head[0] > FEED_HANDLE_MAX || head[0] > n)
        return false;
    *ret = (struct feed_place){.folder.len = head[0]};
    memcpy(&ret->folder.type, &head[1], sizeof head[1]);
    memcpy(ret->folder.bytes, p, head[0]);
    p += head[0];
    n -= head[0];
    if (!named)
        return true;
    size_t len = strnlen((const char *)p, n);
    if (len == n || len > FEED_NAME_MAX)
        return false;
    if (len != 1 || p[0] != '.')
        memcpy(ret->name, p, len);
    return true;
}

static bool info_take(struct event *e, uint8_t type, const uint8_t *p, size_t n)
{
    switch (type) {
    case FAN_EVENT_INFO_TYPE_DFID_NAME:
    case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
        e->at_known = true;
        return place_of(p, n, true, &e->at);
    case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
        e->from_known = true;
        return place_of(p, n, true, &e->from);
    case FAN_EVENT_INFO_TYPE_FID:
        e->file_known = true;
        return place_of(p, n, false, &e->file);
    default:
        return true;
    }
}

static bool event_read(const uint8_t *p, size_t n, struct event *ret)
{
    while (n > 0) {
        struct fanotify_event_info_header h;
        if (n < sizeof h)
            return false;
        memcpy(&h, p, sizeof h);
        if (h.len < sizeof h || h.len > n || !info_take(ret, h.info_type, p, h.len))
            return false;
        p += h.len;
        n -= h.len;
    }
    return ret->at_known || ret->from_known || ret->file_known;
}

static void say(struct sink *s, enum feed_what what, const struct feed_place *at,
                const struct feed_place *from)
{
    s->record = (struct feed_record){.what = what, .at.folder = at->folder};
    if (what == FEED_WHOLE || what == FEED_MOVED)
        memcpy(s->record.at.name, at->name, sizeof at->name);
    if (from)
        s->record.from = *from;
    s->fn(s->arg, &s->record);
}

/* A folder that came to a name may hold anything, whatever was there before; so may one whose own
 * change is told at its parent. */
static void event_say(struct sink *s, const struct event *e)
{
    if (e->file_known)
        say(s, e->at_known || e->from_known ? FEED_FILE : FEED_NAMES, &e->file, NULL);
    if (e->from_known)
        say(s, FEED_FOLDER, &e->from, NULL);
    if (!e->at_known)
        return;
    say(s, FEED_FOLDER, &e->at, NULL);
    bool gone = !(e->mask & ~(FAN_DELETE | FAN_MOVED_FROM | FAN_ONDIR));
    if ((e->mask & FAN_ONDIR) && e->at.name[0] && !gone)
        say(s, FEED_WHOLE, &e->at, NULL);
    if (e->from_known && e->at.name[0] && e->from.name[0])
        say(s, FEED_MOVED, &e->at, &e->from);
}

bool feed_events_parse(const void *data, size_t len,
                       void (*fn)(void *arg, const struct feed_record *r), void *arg)
{
    struct sink s = {.fn = fn, .arg = arg};
    const uint8_t *p = data;
    while (len > 0) {
        struct fanotify_event_metadata m;
        if (len < sizeof m)
            return false;
        memcpy(&m, p, sizeof m);
        if (m.vers != FANOTIFY_METADATA_VERSION || m.metadata_len < sizeof m ||
            m.event_len < m.metadata_len || m.event_len > len || (m.mask & FAN_Q_OVERFLOW))
            return false;
        struct event e = {.mask = m.mask};
        if (!event_read(p + m.metadata_len, m.event_len - m.metadata_len, &e))
            return false;
        event_say(&s, &e);
        p += m.event_len;
        len -= m.event_len;
    }
    return true;
}
