/* lane_hello: packs and checks LaneHello and LaneWelcome. */
#include "agent/lane/lane_hello.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lane/lane_priv.h"
#include "common/base/mem.h"
#include "proto/files.pb-c.h"

#define PROCESS_BYTES 32
#define MUST_KNOWN 0ULL /* must bits that this version understands */

static int text_take(char *to, size_t size, const char *from)
{
    size_t n = strlen(from);
    if (n == 0 || n >= size)
        return -EBADMSG;
    memcpy(to, from, n + 1);
    return 0;
}

/* Known to this process alone: whoever says it inside TLS is this process. */
static uint8_t own[PROCESS_BYTES];
static pthread_once_t own_once = PTHREAD_ONCE_INIT;

static void own_make(void)
{
    if (RAND_bytes(own, sizeof own) != 1)
        abort();
}

static ProtobufCBinaryData own_process(void)
{
    (void)pthread_once(&own_once, own_make);
    return (ProtobufCBinaryData){.len = sizeof own, .data = own};
}

static bool is_own(const ProtobufCBinaryData *said)
{
    ProtobufCBinaryData us = own_process();
    return said->len == us.len && CRYPTO_memcmp(said->data, us.data, us.len) == 0;
}

/* One that is longer than any is left out: nobody relies on it but for refusing. */
static void root_take(const Godwit__LaneHello *m, struct lane_entry *e)
{
    e->root_len = m->root.len <= sizeof e->root ? m->root.len : 0;
    if (e->root_len > 0)
        memcpy(e->root, m->root.data, e->root_len);
}

int lane_hello_parse(const void *data, size_t len, struct lane_hello *ret)
{
    if (len > LANE_HELLO_MAX)
        return -EBADMSG;
    Godwit__LaneHello *m = godwit__lane_hello__unpack(NULL, len, data);
    if (!m)
        return -EBADMSG;
    struct lane_hello h = {
        .entry = {.session = m->session, .lane = m->lane, .can = m->can},
        .near = is_own(&m->process)
    };
    int rc = 0;
    if (m->version != LANE_VERSION || (m->must & ~MUST_KNOWN))
        rc = -EPROTONOSUPPORT;
    else if (m->ticket_secret.len != LANE_SECRET_BYTES ||
             text_take(h.id, sizeof h.id, m->ticket_id) < 0 ||
             text_take(h.pair, sizeof h.pair, m->pair) < 0)
        rc = -EBADMSG;
    if (rc == 0) {
        memcpy(h.secret, m->ticket_secret.data, LANE_SECRET_BYTES);
        root_take(m, &h.entry);
        *ret = h;
    }
    godwit__lane_hello__free_unpacked(m, NULL);
    return rc;
}

int lane_hello_send(struct lane *l, const struct lane_hello *h)
{
    struct lane_hello copy = *h; /* protobuf-c wants what it may write to */
    Godwit__LaneHello m = GODWIT__LANE_HELLO__INIT;
    m.version = LANE_VERSION;
    m.ticket_id = copy.id;
    m.ticket_secret = (ProtobufCBinaryData){.len = LANE_SECRET_BYTES, .data = copy.secret};
    m.pair = copy.pair;
    m.session = h->entry.session;
    m.lane = h->entry.lane;
    m.can = h->entry.can;
    m.root = (ProtobufCBinaryData){.len = copy.entry.root_len, .data = copy.entry.root};
    lane_set_near(l, h->near);
    if (lane_is_near(l))
        m.process = own_process();
    uint8_t out[LANE_HELLO_MAX];
    size_t len = godwit__lane_hello__pack(&m, out);
    int rc = lane_send_copy(l, LANE_REC_HELLO, 0, out, len);
    OPENSSL_cleanse(out, sizeof out);
    OPENSSL_cleanse(&copy, sizeof copy);
    return rc;
}

static int welcome_send(struct lane *l, const Godwit__LaneWelcome *m)
{
    uint8_t out[LANE_HELLO_MAX];
    if (godwit__lane_welcome__get_packed_size(m) > sizeof out)
        return -EMSGSIZE;
    size_t len = godwit__lane_welcome__pack(m, out);
    return lane_send_copy(l, LANE_REC_WELCOME, 0, out, len);
}

int lane_welcome_send(struct lane *l, const struct lane_welcome *w)
{
    Godwit__LaneWelcome m = GODWIT__LANE_WELCOME__INIT;
    m.can = w->can;
    m.credit = w->credit;
    m.fresh = w->fresh;
    m.last_session = w->last;
    struct lane_pipe *p = NULL;
    uint8_t id[PIPE_ID_BYTES];
    if (lane_is_near(l) && lane_pipe_new(&p, id) == 0)
        m.near = (ProtobufCBinaryData){.len = sizeof id, .data = id};
    int rc = welcome_send(l, &m);
    if (rc < 0)
        (void)lane_pipe_drop(p, PIPE_DESTINATION);
    return rc < 0 ? rc : p ? lane_pipe_begin(l, p, PIPE_DESTINATION) : lane_seal_begin(l);
}

int lane_refuse(struct lane *l, const struct fault *why)
{
    Godwit__LaneWelcome m = GODWIT__LANE_WELCOME__INIT;
    Godwit__FaultInfo f = GODWIT__FAULT_INFO__INIT;
    struct fault copy = *why;
    f.what_next = (uint32_t)why->what_next;
    f.err = (uint32_t)why->err;
    f.text = copy.text;
    m.fault = &f;
    return welcome_send(l, &m);
}

static int refused(const Godwit__FaultInfo *f, struct fault *reterr)
{
    enum fault_class what = f->what_next == FAULT_STOP_JOB ? FAULT_STOP_JOB : FAULT_RETRY;
    (void)fault_set(reterr, what, (int)(f->err & 0xfff), "%.200s", f->text);
    return -EACCES;
}

int lane_welcome_receive(struct lane *l, int timeout_ms, struct lane_welcome *ret,
                         struct fault *reterr)
{
    struct lane_record r;
    int rc = lane_receive(l, timeout_ms, &r);
    if (rc <= 0)
        return rc < 0 ? rc : -ETIMEDOUT;
    Godwit__LaneWelcome *m = NULL;
    if (r.type == LANE_REC_WELCOME && r.len <= LANE_HELLO_MAX)
        m = godwit__lane_welcome__unpack(NULL, r.len, r.data);
    if (!m)
        return -EBADMSG;
    rc = 0;
    if (m->fault)
        rc = refused(m->fault, reterr);
    else if (m->must & ~MUST_KNOWN)
        rc = -EPROTONOSUPPORT;
    else
        *ret = (struct lane_welcome){
            .can = m->can, .credit = m->credit, .fresh = m->fresh, .last = m->last_session};
    bool near = rc == 0 && m->near.len > 0;
    struct lane_pipe *p =
        near && m->near.len == PIPE_ID_BYTES ? lane_pipe_take(m->near.data) : NULL;
    godwit__lane_welcome__free_unpacked(m, NULL);
    /* Only where we asked for it: else -EBADMSG. */
    return rc < 0 ? rc : near ? lane_pipe_begin(l, p, PIPE_SOURCE) : lane_seal_begin(l);
}
