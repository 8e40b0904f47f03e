/* lane_hello: packs and checks LaneHello and LaneWelcome. */
#include "agent/lane/lane_hello.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lane/lane_priv.h"
#include "common/base/mem.h"
#include "proto/files.pb-c.h"

#define MUST_KNOWN 0ULL /* must bits that this version understands */

static int text_take(char *to, size_t size, const char *from)
{
    size_t n = strlen(from);
    if (n == 0 || n >= size)
        return -EBADMSG;
    memcpy(to, from, n + 1);
    return 0;
}

int lane_hello_parse(const void *data, size_t len, struct lane_hello *ret)
{
    if (len > LANE_HELLO_MAX)
        return -EBADMSG;
    Godwit__LaneHello *m = godwit__lane_hello__unpack(NULL, len, data);
    if (!m)
        return -EBADMSG;
    struct lane_hello h = {
        .entry = {.session = m->session, .lane = m->lane, .can = m->can}
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
    m.credit = w->credit;
    m.fresh = w->fresh;
    m.last_session = w->last;
    int rc = welcome_send(l, &m);
    return rc < 0 ? rc : lane_seal_begin(l);
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
        *ret =
            (struct lane_welcome){.credit = m->credit, .fresh = m->fresh, .last = m->last_session};
    godwit__lane_welcome__free_unpacked(m, NULL);
    return rc < 0 ? rc : lane_seal_begin(l);
}
