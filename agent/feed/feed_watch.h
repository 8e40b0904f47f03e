/* feed_watch: one fanotify group for one file system, and the log it fills. One thread at a time:
 * the feed's lock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct feed_log;
struct feed_watch;

/* root: any folder on it. Why not, when < 0: feed_watch_why(). */
int feed_watch_new(struct feed_watch **ret, int root, const char *log_path);
struct feed_watch *feed_watch_free(struct feed_watch *w);
const char *feed_watch_why(int err); /* static */
struct feed_log *feed_watch_log(struct feed_watch *w);
int feed_watch_fd(const struct feed_watch *w); /* readable: call feed_watch_read() */
dev_t feed_watch_dev(const struct feed_watch *w);
/* Is it the file system that root stands on now? One that was unmounted since is watched anew, and
 * that is a loss. -errno: it cannot be watched any more. */
int feed_watch_check(struct feed_watch *w, int root);
/* Takes what the kernel had when it was called, within within_ms. True: all of it. */
bool feed_watch_read(struct feed_watch *w, int within_ms);
