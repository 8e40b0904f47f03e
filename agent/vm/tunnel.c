/* tunnel: listens (source) or dials (destination) for each connection, and has it pumped. Threads:
 * the step's, one that accepts, one a connection; they share the list under one lock. */
#include "agent/vm/tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_server.h"
#include "agent/lane/lane_single.h"
#include "agent/store/pairname.h"
#include "agent/vm/note.h"
#include "agent/vm/pump.h"
#include "agent/vm/tunnel_priv.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define CONNECTIONS_MAX 64
#define ANSWER_MS 10000
#define DIAL_MS 5000
#define WAY_CONTROL TUNNEL_WAYS /* the lane that is there from the beginning to the end */

const char *tunnel_home = "/run/godwit-vm";
int64_t tunnel_come_ms = 15000; /* until the source's first lane is there */

struct connection {
    struct connection *next;
    struct tunnel *t;
    pthread_t thread;
    struct lane *lane;
    int fd; /* the hypervisor's side; -1: none yet */
    unsigned way;
    bool over;
};

struct tunnel {
    struct tunnel_conf conf;
    struct ticket ticket;
    bool source, has_acceptor;
    char *folder, *path[TUNNEL_WAYS];
    int listener[TUNNEL_WAYS], stop_fd;
    pthread_t acceptor;
    struct lane *control; /* the source's first lane */
    atomic_ullong bytes;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct connection *list;
    unsigned n;
    bool stopping, finished, lost, broken;
    bool reached; /* by the source's first lane */
    int64_t since_ms;
};

static const char *const names[TUNNEL_WAYS] = {"libvirt", "memory", "disks"};

static char *folder_of(const char *move)
{
    char token[PAIR_TOKEN_LEN + 1];
    pair_token(move, token);
    return xasprintf("%s/%s", tunnel_home, token);
}

char *tunnel_path(const char *move, enum tunnel_way way)
{
    CLEANUP(mem_free) char *folder = folder_of(move);
    return xasprintf("%s/%s", folder, names[way]);
}

/* ── sockets ── */

static int address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof ret->sun_path)
        return -ENAMETOOLONG;
    memcpy(ret->sun_path, path, strlen(path));
    return 0;
}

static int dial_once(const char *path)
{
    struct sockaddr_un a;
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -errno : address(path, &a);
    if (rc == 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) < 0)
        rc = -errno;
    if (rc < 0)
        return rc;
    rc = fd;
    fd = -1;
    return rc;
}

/* The hypervisor may listen a moment later than the first who comes. */
static int dial(const struct tunnel *t, unsigned way)
{
    static const char *const libvirt[] = {"/run/libvirt/libvirt-sock",
                                          "/run/libvirt/virtqemud-sock"};
    int64_t until = clock_mono_ms() + DIAL_MS;
    for (;;) {
        int fd = dial_once(way == TUNNEL_PEER ? libvirt[0] : t->path[way]);
        if (fd < 0 && way == TUNNEL_PEER)
            fd = dial_once(libvirt[1]);
        if (fd >= 0 || clock_mono_ms() > until)
            return fd;
        struct pollfd p = {.fd = t->stop_fd, .events = POLLIN};
        if (poll(&p, 1, 20) > 0)
            return -ECANCELED;
    }
}

static int listen_at(const char *path, mode_t mode)
{
    struct sockaddr_un a;
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = fd < 0 ? -errno : address(path, &a);
    (void)unlink(path);
    if (rc == 0 && (bind(fd, (const struct sockaddr *)&a, sizeof a) < 0 || chmod(path, mode) < 0 ||
                    listen(fd, 16) < 0))
        rc = -errno;
    if (rc < 0)
        return rc;
    rc = fd;
    fd = -1;
    return rc;
}

/* The hypervisor of machines may run as a user of its own, without a say over files: the folder is
 * root's and its group's, who alone come to the sockets in it. */
static int make_folder(const struct tunnel *t)
{
    const struct passwd *u = getpwnam("libvirt-qemu");
    if (mkdir(tunnel_home, 0711) < 0 && errno != EEXIST)
        return -errno;
    if (mkdir(t->folder, 0770) < 0 && errno != EEXIST)
        return -errno;
    if (chown(t->folder, 0, u ? u->pw_gid : 0) < 0 || chmod(t->folder, 0770) < 0)
        return -errno;
    return 0;
}

/* ── connections ── */

static void *run(void *arg);

static void end_connection(struct connection *c, struct lane *l)
{
    struct tunnel *t = c->t;
    atomic_fetch_add(&t->bytes, l ? lane_wire_bytes(l) : 0);
    (void)pthread_mutex_lock(&t->lock);
    int fd = c->fd;
    c->lane = NULL;
    c->fd = -1;
    c->over = true;
    if (c->way == WAY_CONTROL && !t->finished)
        t->lost = true;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
    if (l)
        lane_close(l);
    (void)lane_free(l);
    if (fd >= 0)
        (void)fd_close(fd);
}

/* Takes lane or fd over in every case. */
static void add(struct tunnel *t, struct lane *l, int fd, unsigned way)
{
    struct connection *c = xcalloc(1, sizeof *c);
    *c = (struct connection){.t = t, .lane = l, .fd = fd, .way = way};
    (void)pthread_mutex_lock(&t->lock);
    bool ok =
        !t->stopping && t->n < CONNECTIONS_MAX && pthread_create(&c->thread, NULL, run, c) == 0;
    if (ok) {
        c->next = t->list;
        t->list = c;
        t->n++;
    }
    (void)pthread_mutex_unlock(&t->lock);
    if (ok)
        return;
    (void)lane_free(l);
    if (fd >= 0)
        (void)fd_close(fd);
    free(c);
}

/* Where it can be cut from now on; false: it is to end. */
static bool show(struct connection *c, struct lane *l, int fd, unsigned way)
{
    (void)pthread_mutex_lock(&c->t->lock);
    c->lane = l;
    c->fd = fd;
    c->way = way;
    /* One of the others may come to an agent that began anew meanwhile, to which that never does.
     */
    c->t->reached |= way == WAY_CONTROL;
    bool go = !c->t->stopping;
    (void)pthread_mutex_unlock(&c->t->lock);
    return go;
}

/* ── the source ── */

static int lane_to_peer(struct tunnel *t, unsigned way, struct lane **ret)
{
    const struct lane_single_way how = {.endpoints = t->conf.endpoints,
                                        .nendpoints = t->conf.nendpoints,
                                        .cancel_fd = t->conf.cancel_fd,
                                        .answer_ms = ANSWER_MS};
    uint8_t which = (uint8_t)way;
    int rc = lane_single_open(t->conf.identity, &t->ticket, &how, ret);
    if (rc == 0)
        lane_hurry(*ret);
    return rc < 0 ? rc : lane_send_copy(*ret, PUMP_OPEN, 0, &which, 1);
}

static void note_broken(struct tunnel *t, unsigned way)
{
    (void)pthread_mutex_lock(&t->lock);
    t->broken |= way == TUNNEL_DISKS;
    (void)pthread_mutex_unlock(&t->lock);
}

static void run_source(struct connection *c)
{
    struct lane *l = NULL;
    int fd = c->fd;
    int rc = lane_to_peer(c->t, c->way, &l);
    if (rc == 0 && c->way == TUNNEL_DISKS && c->t->conf.bucket)
        lane_set_bucket(l, c->t->conf.bucket);
    if (rc == 0 && show(c, l, fd, c->way))
        rc = pump(l, fd, PUMP_FROM_SOURCE);
    if (rc < 0)
        note_broken(c->t, c->way);
    end_connection(c, l);
}

static void *accept_all(void *arg)
{
    struct tunnel *t = arg;
    struct pollfd p[TUNNEL_WAYS + 1];
    for (int i = 0; i < TUNNEL_WAYS; i++)
        p[i] = (struct pollfd){.fd = t->listener[i], .events = POLLIN};
    p[TUNNEL_WAYS] = (struct pollfd){.fd = t->stop_fd, .events = POLLIN};
    while (poll(p, TUNNEL_WAYS + 1, -1) >= 0 || errno == EINTR) {
        if (p[TUNNEL_WAYS].revents)
            break;
        for (unsigned i = 0; i < TUNNEL_WAYS; i++) {
            int fd = p[i].revents ? accept4(t->listener[i], NULL, NULL, SOCK_CLOEXEC) : -1;
            if (fd >= 0)
                add(t, NULL, fd, i);
        }
    }
    return NULL;
}

/* ── the destination ── */

static void run_destination(struct connection *c)
{
    struct lane *l = c->lane;
    struct tunnel *t = c->t;
    struct lane_record r;
    const struct lane_welcome w = {.credit = LANE_INBOX_MAX};
    lane_set_cancel(l, t->conf.cancel_fd);
    lane_hurry(l);
    int rc = lane_welcome_send(l, &w);
    int got = rc < 0 ? rc : lane_receive(l, ANSWER_MS, &r);
    if (got != 1 || r.type != PUMP_OPEN || r.len != 1 || r.data[0] > WAY_CONTROL) {
        end_connection(c, l);
        return;
    }
    unsigned way = r.data[0];
    int fd = way == WAY_CONTROL ? -1 : dial(t, way);
    if (!show(c, l, fd, way) || (fd < 0 && way != WAY_CONTROL)) {
        end_connection(c, l);
        return;
    }
    if (fd >= 0) {
        (void)pump(l, fd, PUMP_FROM_DESTINATION);
    } else if (lane_receive(l, -1, &r) == 1 && r.type == PUMP_END) {
        (void)pthread_mutex_lock(&t->lock);
        t->finished = true;
        (void)pthread_mutex_unlock(&t->lock);
    }
    end_connection(c, l);
}

static void *run(void *arg)
{
    struct connection *c = arg;
    if (c->t->source)
        run_source(c);
    else
        run_destination(c);
    return NULL;
}

static void on_enter(void *arg, struct lane *l, const struct lane_entry *entry)
{
    (void)entry;
    add(arg, l, -1, WAY_CONTROL + 1);
}

/* ── both ── */

static struct tunnel *new_tunnel(const struct tunnel_conf *c, const char *move, bool source)
{
    struct tunnel *t = xcalloc(1, sizeof *t);
    t->conf = *c;
    t->ticket = *c->ticket;
    t->source = source;
    t->folder = folder_of(move);
    for (unsigned i = 0; i < TUNNEL_WAYS; i++) {
        t->path[i] = tunnel_path(move, (enum tunnel_way)i);
        t->listener[i] = -1;
    }
    t->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    t->since_ms = clock_mono_ms();
    (void)pthread_mutex_init(&t->lock, NULL);
    clock_cond_init(&t->changed);
    return t;
}

int tunnel_serve(const struct tunnel_conf *c, const char *move, struct tunnel **ret)
{
    struct tunnel *t = new_tunnel(c, move, false);
    int rc = c->lanes ? make_folder(t) : -ENOTCONN;
    t->ticket.enter = on_enter;
    t->ticket.arg = t;
    /* What a crash left in the way of who listens there next. */
    (void)unlink(t->path[TUNNEL_MEMORY]);
    (void)unlink(t->path[TUNNEL_DISKS]);
    if (rc == 0)
        rc = ticket_add(lane_server_book(c->lanes), &t->ticket);
    if (rc < 0) {
        t->conf.lanes = NULL;
        (void)tunnel_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

int tunnel_wait(struct tunnel *t, int timeout_ms)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    int rc = -EAGAIN;
    (void)pthread_mutex_lock(&t->lock);
    while (rc == -EAGAIN) {
        struct pollfd p = {.fd = t->conf.cancel_fd, .events = POLLIN};
        if (t->finished)
            rc = 0;
        else if (t->lost)
            rc = -ECONNRESET;
        else if (!t->reached && clock_mono_ms() - t->since_ms > tunnel_come_ms)
            rc = -ENOTCONN;
        else if (t->conf.cancel_fd >= 0 && poll(&p, 1, 0) > 0)
            rc = -ECANCELED;
        else if (clock_mono_ms() >= until)
            rc = -ETIMEDOUT;
        else
            clock_cond_wait(&t->changed, &t->lock, 100);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return rc;
}

int tunnel_open(const struct tunnel_conf *c, const char *move, struct tunnel **ret)
{
    struct tunnel *t = new_tunnel(c, move, true);
    int rc = make_folder(t);
    for (unsigned i = 0; rc == 0 && i < TUNNEL_WAYS; i++) {
        /* The other libvirt obeys whoever comes to it that way: root alone. */
        t->listener[i] = listen_at(t->path[i], i == TUNNEL_PEER ? 0600 : 0660);
        rc = t->listener[i] < 0 ? t->listener[i] : 0;
    }
    if (rc == 0)
        rc = lane_to_peer(t, WAY_CONTROL, &t->control);
    if (rc == 0)
        rc = -pthread_create(&t->acceptor, NULL, accept_all, t);
    t->has_acceptor = rc == 0;
    if (rc < 0) {
        (void)tunnel_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

void tunnel_finish(struct tunnel *t)
{
    if (t->control)
        (void)lane_send_copy(t->control, PUMP_END, 0, "", 0);
}

void tunnel_cut(struct tunnel *t, enum tunnel_way way)
{
    (void)pthread_mutex_lock(&t->lock);
    for (struct connection *c = t->list; c; c = c->next) {
        if (c->over || c->way != (unsigned)way)
            continue;
        if (c->lane)
            lane_abort(c->lane);
        if (c->fd >= 0)
            (void)shutdown(c->fd, SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&t->lock);
}

bool tunnel_broken(struct tunnel *t)
{
    (void)pthread_mutex_lock(&t->lock);
    bool broken = t->broken;
    (void)pthread_mutex_unlock(&t->lock);
    return broken;
}

uint64_t tunnel_bytes(const struct tunnel *t)
{
    return atomic_load(&t->bytes);
}

void tunnel_forget(const char *move)
{
    CLEANUP(mem_free) char *folder = folder_of(move);
    (void)note_remove_tree(folder);
}

static void stop_all(struct tunnel *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->stopping = true;
    for (struct connection *c = t->list; c; c = c->next) {
        if (c->lane)
            lane_abort(c->lane);
        if (c->fd >= 0)
            (void)shutdown(c->fd, SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&t->lock);
    (void)eventfd_write(t->stop_fd, 1);
}

struct tunnel *tunnel_free(struct tunnel *t)
{
    if (!t)
        return NULL;
    stop_all(t);
    if (t->has_acceptor)
        (void)pthread_join(t->acceptor, NULL);
    if (!t->source && t->conf.lanes)
        ticket_remove(lane_server_book(t->conf.lanes), t->ticket.id);
    while (t->list) {
        struct connection *c = t->list;
        (void)pthread_join(c->thread, NULL);
        t->list = c->next;
        free(c);
    }
    if (t->control)
        lane_close(t->control);
    (void)lane_free(t->control);
    for (unsigned i = 0; i < TUNNEL_WAYS; i++) {
        if (t->listener[i] >= 0)
            (void)fd_close(t->listener[i]);
        (void)unlink(t->path[i]);
        free(t->path[i]);
    }
    (void)rmdir(t->folder);
    (void)fd_close(t->stop_fd);
    explicit_bzero(t->ticket.secret, sizeof t->ticket.secret);
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->lock);
    free(t->folder);
    free(t);
    return NULL;
}
