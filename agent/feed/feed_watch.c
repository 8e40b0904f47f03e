/* feed_watch: what the kernel says of one file system goes into its log. What it cannot say is a
 * loss. */
#include "agent/feed/feed_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/feed/feed_events.h"
#include "agent/feed/feed_log.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define READ_BYTES (64U << 10)
/* FIONREAD says 24 bytes for each event, whatever it is long; the kernel holds about 160. */
#define EVENT_TOLD ((int)sizeof(struct fanotify_event_metadata))
#define QUEUE_MAX 700000 /* events that the kernel may hold for us */

struct feed_watch {
    int fd;
    dev_t dev;
    struct feed_log *log;
    uint8_t *data;
};

/* Those where every change passes this kernel, and is told. Not network file systems (others change
 * them), nor layers (what is below them changes behind their back). */
static bool is_local(int root)
{
    static const uint32_t known[] = {0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0xF2F52010};
    struct statfs fs;
    if (fstatfs(root, &fs) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if ((uint32_t)fs.f_type == known[i])
            return true;
    return false;
}

static int mark(int fd, int root)
{
    const unsigned flags = FAN_MARK_ADD | FAN_MARK_FILESYSTEM;
    if (fanotify_mark(fd, flags, FEED_EVENTS | FEED_RENAME, root, NULL) == 0)
        return 0;
    if (errno == EINVAL && fanotify_mark(fd, flags, FEED_EVENTS, root, NULL) == 0)
        return 0;
    return -errno;
}

static int group_new(int root)
{
    /* Unlimited: the default of 16,384 events is a sixth of a second of a busy machine. */
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME |
                               FAN_REPORT_FID | FAN_UNLIMITED_QUEUE,
                           O_RDONLY | O_LARGEFILE | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = mark(fd, root);
    if (rc == 0)
        return fd;
    (void)fd_close(fd);
    return rc;
}

const char *feed_watch_why(int err)
{
    switch (-err) {
    case EPERM:
    case EACCES:
        return "this agent may not watch file systems";
    case ENOSYS:
    case EINVAL:
        return "this kernel cannot watch file systems";
    case EOPNOTSUPP:
    case ENODEV:
    case EXDEV:
        return "this kind of file system cannot be watched";
    default:
        return "the file system cannot be watched";
    }
}

int feed_watch_new(struct feed_watch **ret, int root, const char *log_path)
{
    struct stat st;
    if (!is_local(root))
        return -EOPNOTSUPP;
    if (fstat(root, &st) < 0)
        return -errno;
    int fd = group_new(root);
    if (fd < 0)
        return fd;
    struct feed_log *log = NULL;
    int rc = feed_log_new(&log, log_path);
    if (rc < 0) {
        (void)fd_close(fd);
        return rc;
    }
    struct feed_watch *w = xcalloc(1, sizeof *w);
    *w = (struct feed_watch){.fd = fd, .dev = st.st_dev, .log = log, .data = xmalloc(READ_BYTES)};
    *ret = w;
    return 0;
}

struct feed_watch *feed_watch_free(struct feed_watch *w)
{
    if (!w)
        return NULL;
    (void)fd_close(w->fd);
    (void)feed_log_free(w->log);
    free(w->data);
    free(w);
    return NULL;
}

struct feed_log *feed_watch_log(struct feed_watch *w)
{
    return w->log;
}

int feed_watch_fd(const struct feed_watch *w)
{
    return w->fd;
}

dev_t feed_watch_dev(const struct feed_watch *w)
{
    return w->dev;
}

/* Taking away an event that was never asked for changes nothing, and says whether there is a mark:
 * it goes with the last mount. */
int feed_watch_check(struct feed_watch *w, int root)
{
    if (fanotify_mark(w->fd, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, FAN_ACCESS, root, NULL) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    feed_log_lost(w->log, "the file system was mounted anew");
    return mark(w->fd, root);
}

static void take(void *arg, const struct feed_record *r)
{
    struct feed_watch *w = arg;
    feed_log_add(w->log, r);
}

/* When we cannot empty the queue in time it must not grow any more: the watch ends, and begins
 * again with the next pass (feed_watch_check). */
static void bound_queue(struct feed_watch *w)
{
    int waiting = 0;
    if (ioctl(w->fd, FIONREAD, &waiting) < 0 || waiting / EVENT_TOLD < QUEUE_MAX)
        return;
    (void)fanotify_mark(w->fd, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, AT_FDCWD, NULL);
    feed_log_lost(w->log, "more changed at once than could be noted");
}

static size_t count_events(const uint8_t *p, size_t n)
{
    size_t count = 0;
    struct fanotify_event_metadata m;
    for (; n >= sizeof m; count++) {
        memcpy(&m, p, sizeof m);
        if (m.event_len < sizeof m || m.event_len > n)
            break;
        p += m.event_len;
        n -= m.event_len;
    }
    return count;
}

bool feed_watch_read(struct feed_watch *w, int within_ms)
{
    int64_t until = clock_mono_ms() + within_ms;
    bound_queue(w);
    /* Those that come meanwhile are behind these: a busy file system is never empty. */
    int waiting = 0;
    size_t left = ioctl(w->fd, FIONREAD, &waiting) < 0 ? SIZE_MAX : (size_t)(waiting / EVENT_TOLD);
    do {
        if (left == 0)
            return true;
        ssize_t n = read(w->fd, w->data, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0) {
            feed_log_lost(w->log, "the kernel's events could not be read");
            return true;
        }
        if (!feed_events_parse(w->data, (size_t)n, take, w))
            feed_log_lost(w->log, "the kernel lost count of the changes");
        size_t count = count_events(w->data, (size_t)n);
        left -= count < left ? count : left;
    } while (clock_mono_ms() < until);
    return false;
}
