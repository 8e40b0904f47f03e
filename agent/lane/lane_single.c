/* lane_single: the first that comes with the ticket. Worker threads. */
#include "agent/lane/lane_single.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_server.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/sha256.h"

#define ENDPOINTS_MAX 16
#define PART_BYTES (256U << 10)

int lane_single_ticket(const struct lane_single_order *o, struct ticket *ret)
{
    if (!o->ticket_id || !*o->ticket_id || strlen(o->ticket_id) > TICKET_ID_MAX ||
        strlen(o->pair) > TICKET_PAIR_MAX || o->secret_len != LANE_SECRET_BYTES ||
        o->pin_len != LANE_PIN_BYTES)
        return -EINVAL;
    ret->not_after_ms = o->not_after_ms;
    (void)snprintf(ret->id, sizeof ret->id, "%s", o->ticket_id);
    (void)snprintf(ret->pair, sizeof ret->pair, "%s", o->pair);
    memcpy(ret->secret, o->secret, sizeof ret->secret);
    memcpy(ret->peer_pin, o->pin, sizeof ret->peer_pin);
    return 0;
}

/* ── waiting ── */

struct guest {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lane *lane; /* handed over, ours from then on */
    bool came;
};

static void on_enter(void *arg, struct lane *l, const struct lane_entry *entry)
{
    struct guest *g = arg;
    (void)entry;
    (void)pthread_mutex_lock(&g->lock);
    bool first = !g->came;
    if (first)
        g->lane = l;
    g->came = true;
    (void)pthread_cond_broadcast(&g->changed);
    (void)pthread_mutex_unlock(&g->lock);
    if (first)
        return;
    lane_close(l);
    (void)lane_free(l);
}

static bool is_cancelled(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Until the source is here, or will not come any more. */
static int wait_for(struct guest *g, int cancel_fd, int wait_ms)
{
    int64_t until = clock_mono_ms() + wait_ms;
    int rc = 0;
    (void)pthread_mutex_lock(&g->lock);
    while (!g->came && rc == 0) {
        clock_cond_wait(&g->changed, &g->lock, 100);
        if (!g->came && is_cancelled(cancel_fd))
            rc = -ECANCELED;
        else if (!g->came && clock_mono_ms() >= until)
            rc = -ETIMEDOUT;
    }
    (void)pthread_mutex_unlock(&g->lock);
    return rc;
}

int lane_single_await(struct lane_server *server, const struct ticket *t, int cancel_fd,
                      int wait_ms, struct lane **ret)
{
    struct guest g = {.came = false};
    struct ticket mine = *t;
    if (!server)
        return -ENOTCONN;
    mine.enter = on_enter;
    mine.arg = &g;
    (void)pthread_mutex_init(&g.lock, NULL);
    clock_cond_init(&g.changed);
    struct ticket_book *book = lane_server_book(server);
    int rc = ticket_add(book, &mine);
    if (rc == 0) {
        rc = wait_for(&g, cancel_fd, wait_ms);
        ticket_remove(book, mine.id); /* from now on nobody else comes */
    }
    (void)pthread_cond_destroy(&g.changed);
    (void)pthread_mutex_destroy(&g.lock);
    explicit_bzero(mine.secret, sizeof mine.secret);
    if (!g.lane)
        return rc;
    lane_set_cancel(g.lane, cancel_fd); /* it may have come at the very end */
    *ret = g.lane;
    return 0;
}

/* ── opening ── */

static int enter(const struct lane_identity *id, const struct ticket *t,
                 const struct lane_single_way *way, struct lane **ret)
{
    struct lane_hello h = {
        .entry = {.session = 1, .lane = 0}
    };
    struct lane_welcome w;
    struct fault why = {.err = 0};
    int rc = -EDESTADDRREQ;
    memcpy(h.id, t->id, sizeof h.id);
    memcpy(h.pair, t->pair, sizeof h.pair);
    memcpy(h.secret, t->secret, sizeof h.secret);
    for (size_t i = 0; i < way->nendpoints && i < ENDPOINTS_MAX && !*ret; i++)
        rc = lane_connect(ret, id, way->endpoints[i], t->peer_pin, way->cancel_fd);
    if (rc == 0)
        rc = lane_hello_send(*ret, &h);
    if (rc == 0)
        rc = lane_welcome_receive(*ret, way->answer_ms, &w, &why);
    explicit_bzero(h.secret, sizeof h.secret);
    return rc;
}

int lane_single_open(const struct lane_identity *id, const struct ticket *t,
                     const struct lane_single_way *way, struct lane **ret)
{
    int64_t until = clock_mono_ms() + way->answer_ms;
    struct lane *l = NULL;
    if (!id)
        return -ENOTCONN;
    for (;;) {
        int rc = enter(id, t, way, &l);
        if (rc == 0) {
            *ret = l;
            return 0;
        }
        l = lane_free(l);
        if (rc != -EACCES || clock_mono_ms() > until || is_cancelled(way->cancel_fd))
            return rc;
        struct pollfd p = {.fd = way->cancel_fd, .events = POLLIN};
        (void)poll(&p, 1, 100);
    }
}

/* ── a whole ── */

int lane_single_give(struct lane *l, uint8_t type, uint8_t kept, const void *data, size_t len,
                     int wait_ms)
{
    uint8_t sum[SHA256_LEN];
    struct lane_record r;
    int rc = 0;
    sha256_of(data, len, sum);
    for (size_t at = 0; rc == 0 && at < len;) {
        size_t n = len - at < PART_BYTES ? len - at : PART_BYTES;
        if (n == SHA256_LEN) /* that length alone means the end */
            n--;
        rc = lane_send_copy(l, type, 0, (const uint8_t *)data + at, n);
        at += n;
    }
    if (rc == 0)
        rc = lane_send_copy(l, type, 0, sum, sizeof sum);
    if (rc < 0)
        return rc;
    rc = lane_receive(l, wait_ms, &r);
    return rc < 0 ? rc : rc == 0 ? -ETIMEDOUT : r.type == kept ? 0 : -EPROTO;
}

int lane_single_take(struct lane *l, uint8_t type, int wait_ms, struct buf *b)
{
    uint8_t mine[SHA256_LEN];
    struct lane_record r;
    int got;
    while ((got = lane_receive(l, wait_ms, &r)) == 1 && r.type == type && r.len != SHA256_LEN)
        buf_put(b, r.data, r.len);
    if (got != 1 || r.type != type)
        return got < 0 ? got : got == 0 ? -ETIMEDOUT : -EPROTO;
    sha256_of(b->data ? b->data : (const uint8_t *)"", b->len, mine);
    return b->overflow || memcmp(mine, r.data, SHA256_LEN) != 0 ? -EBADMSG : 0;
}
