/* exchange: the way of a bundle from the source's agent to the destination's: one lane, let in by a
 * ticket and a pinned key as all lanes are. Worker thread of the agent. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/bundle.h"
#include "agent/identity/undo.h"
#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_server.h"
#include "agent/lane/ticket.h"
#include "agent/step.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"

#define REC_PART 28   /* source: a part of the bundle; the last one is its SHA-256 alone */
#define REC_STORED 52 /* destination: it is on disk */
#define PART_BYTES (256U << 10)
#define CREDIT (1U << 20)
#define WAIT_MS 20000
#define ANSWER_MS 10000
#define ENDPOINTS_MAX 16

static int ticket_read(const Godwit__IdentityOrder *o, struct ticket *t, struct fault *reterr)
{
    if (!*o->ticket_id || strlen(o->ticket_id) > TICKET_ID_MAX ||
        o->ticket_secret.len != LANE_SECRET_BYTES || o->peer_pin.len != LANE_PIN_BYTES ||
        strlen(o->cutover) > TICKET_PAIR_MAX)
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the order has no ticket");
    t->not_after_ms = o->not_after_ms;
    (void)snprintf(t->id, sizeof t->id, "%s", o->ticket_id);
    (void)snprintf(t->pair, sizeof t->pair, "%s", o->cutover);
    memcpy(t->secret, o->ticket_secret.data, sizeof t->secret);
    memcpy(t->peer_pin, o->peer_pin.data, sizeof t->peer_pin);
    return 0;
}

/* ── the destination ── */

struct guest {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lane *lane;
    bool came;
};

/* Only the first lane is taken. */
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

static int store(const char *folder, const struct buf *b, const uint8_t *sum)
{
    uint8_t mine[SHA256_LEN];
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", folder);
    sha256_of(b->data ? b->data : (const uint8_t *)"", b->len, mine);
    if (b->overflow || memcmp(mine, sum, SHA256_LEN) != 0)
        return -EBADMSG;
    return file_write(path, 0600, b->data, b->len);
}

static int take(struct lane *l, const char *folder)
{
    struct lane_record r;
    struct buf b;
    const struct lane_welcome w = {.credit = CREDIT};
    int rc = lane_welcome_send(l, &w), got = 1;
    buf_init(&b, UNDO_JOURNAL_MAX);
    while (rc == 0 && (got = lane_receive(l, WAIT_MS, &r)) == 1 && r.type == REC_PART &&
           r.len != SHA256_LEN)
        buf_put(&b, r.data, r.len);
    if (rc == 0 && (got != 1 || r.type != REC_PART))
        rc = got < 0 ? got : got == 0 ? -ETIMEDOUT : -EPROTO;
    if (rc == 0)
        rc = store(folder, &b, r.data);
    if (rc == 0)
        rc = lane_send_copy(l, REC_STORED, 0, "", 0);
    if (b.data)
        explicit_bzero(b.data, b.len);
    buf_done(&b);
    return rc;
}

static int receive(struct step *s, const char *folder, struct ticket *t, struct fault *reterr)
{
    struct guest g = {.came = false};
    struct ticket_book *book = lane_server_book(step_env(s)->lanes);
    int64_t until = clock_mono_ms() + WAIT_MS;
    (void)pthread_mutex_init(&g.lock, NULL);
    clock_cond_init(&g.changed);
    t->enter = on_enter;
    t->arg = &g;
    int rc = ticket_add(book, t);
    if (rc == 0) {
        (void)pthread_mutex_lock(&g.lock);
        while (!g.came && !step_cancelled(s) && clock_mono_ms() < until)
            clock_cond_wait(&g.changed, &g.lock, 100);
        (void)pthread_mutex_unlock(&g.lock);
        ticket_remove(book, t->id);
        rc = g.lane ? 0 : -ETIMEDOUT;
    }
    if (g.lane) {
        lane_set_cancel(g.lane, step_cancel_fd(s));
        rc = take(g.lane, folder);
        lane_close(g.lane);
        (void)lane_free(g.lane);
    }
    (void)pthread_cond_destroy(&g.changed);
    (void)pthread_mutex_destroy(&g.lock);
    return rc < 0 ? fault_set(reterr, FAULT_RETRY, -rc, "the source's databases did not come: %s",
                              strerror(-rc))
                  : 0;
}

/* ── the source ── */

static int enter(struct step *s, const Godwit__IdentityOrder *o, const struct ticket *t,
                 struct lane **ret)
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
    for (size_t i = 0; i < o->n_peer_endpoints && i < ENDPOINTS_MAX && !*ret; i++)
        rc = lane_connect(ret, step_env(s)->identity, o->peer_endpoints[i], t->peer_pin,
                          step_cancel_fd(s));
    if (rc == 0)
        rc = lane_hello_send(*ret, &h);
    if (rc == 0)
        rc = lane_welcome_receive(*ret, ANSWER_MS, &w, &why);
    explicit_bzero(h.secret, sizeof h.secret);
    return rc;
}

/* The destination may be told a moment later than this host. */
static int enter_soon(struct step *s, const Godwit__IdentityOrder *o, const struct ticket *t,
                      struct lane **ret)
{
    int64_t until = clock_mono_ms() + ANSWER_MS;
    for (;;) {
        int rc = enter(s, o, t, ret);
        if (rc == 0 || rc == -ECANCELED || clock_mono_ms() > until || step_cancelled(s))
            return rc;
        *ret = lane_free(*ret);
        struct pollfd p = {.fd = step_cancel_fd(s), .events = POLLIN};
        (void)poll(&p, 1, 50);
    }
}

static int give(struct lane *l, const uint8_t *data, size_t len)
{
    uint8_t sum[SHA256_LEN];
    struct lane_record r;
    int rc = 0;
    sha256_of(data, len, sum);
    for (size_t at = 0; rc == 0 && at < len;) {
        size_t n = len - at < PART_BYTES ? len - at : PART_BYTES;
        if (n == SHA256_LEN) /* that length alone means the end */
            n--;
        rc = lane_send_copy(l, REC_PART, 0, data + at, n);
        at += n;
    }
    if (rc == 0)
        rc = lane_send_copy(l, REC_PART, 0, sum, sizeof sum);
    if (rc < 0)
        return rc;
    rc = lane_receive(l, WAIT_MS, &r);
    return rc < 0 ? rc : rc == 0 ? -ETIMEDOUT : r.type == REC_STORED ? 0 : -EPROTO;
}

static int send(struct step *s, const struct site *v, const Godwit__IdentityOrder *o,
                const struct ticket *t, struct fault *reterr)
{
    struct lane *l = NULL;
    uint8_t *data = NULL;
    size_t len = 0;
    if (!o->plan)
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    int rc = bundle_make(v, o->plan, &data, &len, reterr);
    if (rc < 0)
        return rc;
    rc = enter_soon(s, o, t, &l);
    if (rc == 0)
        rc = give(l, data, len);
    if (l)
        lane_close(l);
    (void)lane_free(l);
    explicit_bzero(data, len);
    free(data);
    return rc < 0
               ? fault_set(reterr, FAULT_RETRY, -rc,
                           "the databases cannot be handed to the destination: %s", strerror(-rc))
               : 0;
}

int bundle_exchange(struct step *s, const struct site *v, const Godwit__IdentityOrder *o,
                    struct fault *reterr)
{
    struct ticket t = {.not_after_ms = 0};
    int rc = ticket_read(o, &t, reterr);
    if (rc == 0 && (!step_env(s)->lanes || !step_env(s)->identity))
        rc = fault_set(reterr, FAULT_STOP_JOB, ENOTSUP, "this agent has no lanes");
    if (rc == 0)
        rc = o->n_peer_endpoints ? send(s, v, o, &t, reterr) : receive(s, v->folder, &t, reterr);
    explicit_bzero(t.secret, sizeof t.secret);
    return rc;
}
