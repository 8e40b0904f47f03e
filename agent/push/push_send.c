/* push_send: files to the server. Content, descriptor, name, times and attributes of a small one go
 * as one message, many under way; a larger one, or one with streams, piece by piece. A file has its
 * name when its content and descriptor are whole, and its time of writing last: what was cut short
 * has another and is sent again. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/push/push_priv.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define CHANGED_TRIES 3

static void count_file(struct pusher *k, uint64_t bytes)
{
    push_count(k, offsetof(struct counters, files), 1);
    push_count(k, offsetof(struct counters, bytes), bytes);
    push_count(k, offsetof(struct counters, sent_bytes), bytes);
}

static char *temp_path(struct pusher *k, size_t *retlen)
{
    char name[64];
    (void)snprintf(name, sizeof name, PUSH_TEMP "%s-%u", k->p->token,
                   atomic_fetch_add(&k->p->next_temp, 1));
    return push_path(k, name, retlen);
}

static int open_file(const struct pusher *k, const char *name)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    int fd = openat(k->fd, name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(k->fd, name, flags);
    return fd < 0 ? -errno : fd;
}

static int read_at(int fd, uint8_t *to, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EBUSY;
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

static int held_still(int fd, const struct meta *was)
{
    struct meta now;
    int rc = meta_stat(fd, "", &now);
    return rc < 0 ? rc : meta_same_content(&now, was, true) ? 0 : -EBUSY;
}

/* ── the end of a file: the same chain behind an open, or with a handle ── */

static int put_rest(struct pusher *k, struct flying *f, const struct smb_handle *h,
                    const struct outgoing *x)
{
    size_t len = 0;
    unsigned n = h ? 0 : f->written;
    CLEANUP(mem_free) char *path = push_path(k, f->name, &len);
    int rc = path ? 0 : -ENAMETOOLONG;
    if (rc == 0 && x->sd) {
        rc = push_describe(f->call, h, x);
        f->described = ++n;
    }
    if (rc == 0)
        rc = smb_put_rename(f->call, h, path, len, f->replace);
    f->renamed = ++n;
    if (rc == 0)
        rc = smb_put_basic(f->call, h, &x->info);
    f->basic = ++n;
    return rc == 0 ? smb_put_close(f->call, h) : rc;
}

static void remove_temp(struct pusher *k, const char *temp, size_t len)
{
    if (!smb_is_lost(k->smb))
        (void)push_remove(k, temp, len, false, 0);
}

static int part(const struct flying *f, unsigned number)
{
    return number ? smb_get_done(f->call, number - 1) : 0;
}

/* ── a small one ── */

/* f->written and the like count parts from 1; the open is part 0 of the chain, so their number
 * there is one more. */
static int put_small(struct pusher *k, struct flying *f, const char *temp, size_t temp_len,
                     const struct outgoing *x)
{
    f->call = smb_call_new(k->smb);
    f->size = x->meta.size;
    int rc = smb_put_make(f->call, temp, temp_len, SMB_MAKE_FILE);
    f->written = 0;
    if (rc == 0 && f->size > 0) {
        rc = smb_put_write(f->call, NULL, 0, k->room, (uint32_t)f->size);
        f->written = 1;
    }
    return rc == 0 ? put_rest(k, f, NULL, x) : rc;
}

static void flying_done(struct flying *f)
{
    (void)smb_call_free(f->call);
    free(f->name);
    *f = (struct flying){.call = NULL};
}

static int again(struct pusher *k, const struct flying *f, int err);

/* What the server said to all parts of a file. -errno of the connection. */
static int judge(struct pusher *k, struct flying *f)
{
    unsigned open = f->handle ? 0 : 1;
    int err = open ? smb_get_done(f->call, 0) : 0;
    if (err == 0)
        err = part(f, f->written ? f->written + open : 0);
    if (err == 0)
        err = part(f, f->renamed + open);
    if (err == -ENOSPC || err == -EDQUOT || err == -EROFS)
        return err;
    if (err < 0)
        return again(k, f, err);
    if (part(f, f->basic + open) < 0)
        push_failed(k, f->name, -part(f, f->basic + open), "metadata");
    count_file(k, f->size);
    if (f->described == 0 || part(f, f->described + open) == 0)
        return 0;
    struct outgoing x;
    CLEANUP(fd_close) int fd = open_file(k, f->name);
    int rc = fd < 0 ? fd : push_outgoing(k, fd, f->name, &x);
    return rc == 0 && x.sd ? push_describe_less(k, f->name, &x) : 0;
}

static int take_oldest(struct pusher *k)
{
    struct flying f = k->window[k->head];
    k->window[k->head] = (struct flying){.call = NULL};
    k->head = (k->head + 1) % PUSH_WINDOW;
    k->n--;
    int rc = smb_wait(f.call);
    if (rc == 0)
        rc = judge(k, &f);
    flying_done(&f);
    return rc;
}

int push_drain(struct pusher *k)
{
    int rc = 0;
    while (rc == 0 && k->n > 0)
        rc = take_oldest(k);
    return rc;
}

void push_forget(struct pusher *k)
{
    for (; k->n > 0; k->n--) {
        flying_done(&k->window[k->head]);
        k->head = (k->head + 1) % PUSH_WINDOW;
    }
}

static int enter(struct pusher *k, struct flying *f)
{
    int rc = k->n == PUSH_WINDOW ? take_oldest(k) : 0;
    FAULT_POINT("push-file");
    if (rc == 0)
        rc = smb_send(f->call);
    if (rc < 0) {
        flying_done(f);
        return rc;
    }
    k->window[(k->head + k->n++) % PUSH_WINDOW] = *f;
    return 0;
}

/* ── a large one, or one with streams ── */

/* Of one write; rc of those before. */
static int answered(struct smb_call **c, int rc)
{
    if (*c && rc == 0)
        rc = smb_wait(*c);
    if (*c && rc == 0)
        rc = smb_get_done(*c, 0);
    *c = smb_call_free(*c);
    return rc;
}

/* Several writes under way. */
static int write_content(struct pusher *k, const struct smb_handle *h, int fd,
                         const struct outgoing *x)
{
    struct smb_call *calls[PUSH_WRITES] = {NULL};
    uint64_t size = x->meta.size, step = smb_write_max(k->smb);
    int rc = 0;
    for (uint64_t at = 0, i = 0; rc == 0 && at < size; at += step, i++) {
        struct smb_call **c = &calls[i % PUSH_WRITES];
        size_t n = size - at < step ? (size_t)(size - at) : (size_t)step;
        rc = answered(c, 0);
        if (rc == 0)
            rc = read_at(fd, k->room, n, at);
        if (rc == 0)
            rc = push_pace(k, n);
        *c = smb_call_new(k->smb);
        if (rc == 0)
            rc = smb_put_write(*c, h, at, k->room, (uint32_t)n);
        if (rc == 0)
            rc = smb_send(*c);
        FAULT_POINT("push-write");
    }
    for (unsigned i = 0; i < PUSH_WRITES; i++)
        rc = answered(&calls[i], rc);
    return rc;
}

static int open_temp(struct pusher *k, const char *temp, size_t len, struct smb_handle *ret)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_ask(c, smb_put_make(c, temp, len, SMB_MAKE_FILE));
    return rc == 0 ? smb_get_open(c, 0, ret, NULL) : rc;
}

static void close_handle(struct pusher *k, const struct smb_handle *h)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    if (!smb_is_lost(k->smb))
        (void)smb_ask(c, smb_put_close(c, h));
}

/* 0, or -errno of the file; the connection's shows in smb_is_lost(). */
static int send_whole(struct pusher *k, const char *name, int fd, const struct outgoing *x,
                      bool replace)
{
    struct smb_handle h;
    size_t len = 0;
    CLEANUP(mem_free) char *temp = temp_path(k, &len);
    struct flying f = {
        .name = xstrdup(name), .replace = replace, .size = x->meta.size, .handle = true};
    int rc = temp ? open_temp(k, temp, len, &h) : -ENAMETOOLONG;
    if (rc < 0) {
        flying_done(&f);
        return rc;
    }
    rc = write_content(k, &h, fd, x);
    if (rc == 0 && x->has_streams)
        rc = push_streams(k, temp, len);
    if (rc == 0)
        rc = held_still(fd, &x->meta);
    f.call = smb_call_new(k->smb);
    bool closes = rc == 0;
    if (rc == 0)
        rc = smb_ask(f.call, put_rest(k, &f, &h, x));
    if (rc == 0)
        rc = part(&f, f.renamed);
    if (rc == 0)
        rc = judge(k, &f);
    else if (!closes)
        close_handle(k, &h);
    if (rc < 0)
        remove_temp(k, temp, len);
    flying_done(&f);
    return rc;
}

/* ── one file ── */

static int small(struct pusher *k, const char *name, int fd, const struct outgoing *x, bool replace)
{
    size_t len = 0;
    int rc = read_at(fd, k->room, x->meta.size, 0);
    if (rc == 0)
        rc = held_still(fd, &x->meta);
    if (rc == 0)
        rc = push_pace(k, x->meta.size);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *temp = temp_path(k, &len);
    struct flying f = {.name = xstrdup(name), .replace = replace};
    rc = temp ? put_small(k, &f, temp, len, x) : -ENAMETOOLONG;
    if (rc < 0) {
        flying_done(&f);
        return rc;
    }
    return enter(k, &f);
}

/* whole: not as one message. -errno of the file. */
static int send_one(struct pusher *k, const char *name, bool replace, bool whole)
{
    struct outgoing x;
    int rc = 0;
    for (int i = 0; i < CHANGED_TRIES; i++) {
        CLEANUP(fd_close) int fd = open_file(k, name);
        rc = fd < 0 ? fd : push_outgoing(k, fd, name, &x);
        if (rc == 0 && !S_ISREG(x.meta.mode))
            rc = -EBUSY;
        if (rc == 0 && !whole && x.meta.size <= PUSH_SMALL && !x.has_streams)
            rc = small(k, name, fd, &x, replace);
        else if (rc == 0)
            rc = send_whole(k, name, fd, &x, replace);
        if (rc != -EBUSY || smb_is_lost(k->smb))
            break;
    }
    return rc;
}

static bool ends_the_run(const struct pusher *k, int rc)
{
    return smb_is_lost(k->smb) || rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS ||
           rc == -ECANCELED;
}

static void failed_file(struct pusher *k, const char *name, int rc)
{
    const char *what = rc == -EBUSY    ? "changed while read"
                       : rc == -EEXIST ? "another name is the same to the server"
                                       : "write";
    struct stat st;
    if (rc == -ENOENT && fstatat(k->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return; /* gone here since its folder was read */
    push_failed(k, name, -rc, what);
}

/* One that the server refused in one message: a file that is read only stands in its place, or it
 * fails. */
static int again(struct pusher *k, const struct flying *f, int err)
{
    size_t len = 0;
    int rc = err;
    if (smb_is_lost(k->smb))
        return -ENOTCONN;
    CLEANUP(mem_free) char *path = push_path(k, f->name, &len);
    if (err == -EACCES && f->replace && push_writable(k, path, len) == 0)
        rc = send_one(k, f->name, true, true);
    if (rc < 0 && ends_the_run(k, rc))
        return rc;
    if (rc < 0) {
        failed_file(k, f->name, rc);
        k->stale = true; /* its temporary is taken away when the folder is done */
    }
    return 0;
}

int push_file(struct pusher *k, const char *name, const struct there *t)
{
    int rc = send_one(k, name, t != NULL, false);
    if (rc == -EACCES && t && !smb_is_lost(k->smb)) {
        size_t len = 0;
        CLEANUP(mem_free) char *path = push_path(k, name, &len);
        if (push_writable(k, path, len) == 0)
            rc = send_one(k, name, true, false);
    }
    if (rc < 0 && ends_the_run(k, rc))
        return rc;
    if (rc < 0)
        failed_file(k, name, rc);
    return 0;
}

/* ── all but content ── */

static int set_basic(struct pusher *k, const char *path, size_t len, const struct smb_info *i)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_put_make(c, path, len, SMB_MAKE_CHANGE);
    if (rc == 0)
        rc = smb_put_basic(c, NULL, i);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = smb_ask(c, rc);
    if (rc == 0)
        rc = smb_get_done(c, 0);
    return rc == 0 ? smb_get_done(c, 1) : rc;
}

/* data: the streams that the server has. Of what is read only none can be written; and who writes
 * one changes the times. */
static int streams_too(struct pusher *k, const char *path, size_t len, const struct outgoing *x,
                       const void *data, size_t n)
{
    struct cursor at = cursor_of(data, n);
    struct smb_stream s;
    if (!x->has_streams && smb_stream_next(&at, &s) != 1)
        return 0;
    int rc = S_ISREG(x->meta.mode) ? push_writable(k, path, len) : 0;
    if (rc == 0)
        rc = push_streams_prune(k, path, len, data, n, true);
    if (rc == 0 && x->has_streams)
        rc = push_streams(k, path, len);
    int set = smb_is_lost(k->smb) ? -ENOTCONN : set_basic(k, path, len, &x->info);
    return rc < 0 ? rc : set;
}

static int ask_same(struct smb_call *c, const char *path, size_t len, const struct outgoing *x)
{
    int rc = smb_put_make(c, path, len, SMB_MAKE_CHANGE);
    if (rc == 0)
        rc = smb_put_streams(c, NULL);
    if (rc == 0 && x->sd)
        rc = push_describe(c, NULL, x);
    if (rc == 0)
        rc = smb_put_basic(c, NULL, &x->info);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = smb_ask(c, rc);
    if (rc == 0)
        rc = smb_get_done(c, 0);
    return rc == 0 ? smb_get_done(c, x->sd ? 3 : 2) : rc;
}

int push_same(struct pusher *k, const char *name)
{
    struct outgoing x;
    const void *data = NULL;
    size_t len = 0, n = 0;
    CLEANUP(mem_free) char *path = push_path(k, name, &len);
    CLEANUP(fd_close) int own = name ? open_file(k, name) : -1;
    int rc = !path ? -ENAMETOOLONG : name && own < 0 ? own : 0;
    if (rc == 0)
        rc = push_outgoing(k, name ? own : k->fd, name, &x);
    if (rc < 0) {
        if (rc != -ENOENT)
            push_failed(k, name, -rc, "metadata");
        return 0;
    }
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    rc = ask_same(c, path, len, &x);
    bool described = rc < 0 || !x.sd || smb_get_done(c, 2) == 0;
    if (rc == 0 && smb_get_data(c, 1, &data, &n) == 0)
        rc = streams_too(k, path, len, &x, data, n);
    if (smb_is_lost(k->smb))
        return rc < 0 ? rc : -ENOTCONN;
    if (rc < 0)
        push_failed(k, name, -rc, "metadata");
    return described ? 0 : push_describe_less(k, name, &x);
}
