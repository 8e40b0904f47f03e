/* smb_conn: the socket of an SMB connection: messages out and in, credits, and whose answer is
 * whose. What comes in is hostile until its signature is good, and bounded after that. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/store/smb_priv.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define ANSWER_MS 60000
#define DIAL_MS 10000
#define PORT_SMB "445"
#define WAKE_BYTES (256U << 10)

struct smb_frame *smb_frame_unref(struct smb_frame *f)
{
    if (!f || --f->refs > 0)
        return NULL;
    if (f->room >= SMB_SPARE_MIN && f->s->nspares < SMB_SPARES)
        f->s->spares[f->s->nspares++] = f;
    else
        free(f);
    return NULL;
}

static struct smb_frame *frame_new(struct smb *s, size_t n)
{
    struct smb_frame *f = NULL;
    for (unsigned i = 0; !f && n >= SMB_SPARE_MIN && i < s->nspares; i++) {
        if (s->spares[i]->room < n)
            continue;
        f = s->spares[i];
        s->spares[i] = s->spares[--s->nspares];
    }
    size_t room = f ? f->room : n;
    f = f ? f : malloc(sizeof *f + n);
    if (f)
        *f = (struct smb_frame){.s = s, .refs = 1, .len = n, .room = room};
    return f;
}

static int lost(struct smb *s, int rc)
{
    s->lost = true;
    return rc;
}

/* ── the socket ── */

static int wait_for(const struct smb *s, short events, int timeout_ms)
{
    struct pollfd p[2] = {
        {.fd = s->fd,        .events = events},
        {.fd = s->cancel_fd, .events = POLLIN}
    };
    int n;
    do {
        n = poll(p, 2, timeout_ms);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (p[1].revents)
        return -ECANCELED;
    return n == 0 ? -ETIMEDOUT : 0;
}

static int send_all(struct smb *s, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(s->fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
            int rc = wait_for(s, POLLOUT, ANSWER_MS);
            if (rc < 0)
                return lost(s, rc);
            continue;
        }
        if (k < 0)
            return lost(s, -errno);
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* Where much is to come, woken for much of it at once: each time costs what copying 64 KiB does. */
static void wake_for(struct smb *s, size_t n)
{
    int low = n < WAKE_BYTES ? 1 : (int)WAKE_BYTES;
    if (low == s->low)
        return;
    (void)setsockopt(s->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    s->low = low;
}

static int receive_all(struct smb *s, uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t k = recv(s->fd, p, n, 0);
        if (k < 0 && (errno == EAGAIN || errno == EINTR)) {
            wake_for(s, n);
            int rc = wait_for(s, POLLIN, ANSWER_MS);
            if (rc < 0)
                return lost(s, rc);
            continue;
        }
        if (k <= 0)
            return lost(s, k < 0 ? -errno : -ECONNRESET);
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static int dial_one(struct smb *s, const struct addrinfo *a)
{
    int yes = 1, err = 0;
    socklen_t len = sizeof err;
    s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return -errno;
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    int rc = connect(s->fd, a->ai_addr, a->ai_addrlen) < 0 ? -errno : 0;
    if (rc == -EINPROGRESS)
        rc = wait_for(s, POLLOUT, DIAL_MS);
    if (rc == 0 && getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0)
        rc = -err;
    if (rc < 0) {
        (void)fd_close(s->fd);
        s->fd = -1;
    }
    return rc;
}

int smb_dial(struct smb *s, const char *address, struct fault *reterr)
{
    char host[256];
    (void)snprintf(host, sizeof host, "%s", address);
    char *colon = strrchr(host, ':');
    const char *port = PORT_SMB;
    if (colon && strchr(host, ':') == colon) {
        *colon = '\0';
        port = colon + 1;
    }
    struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int bad = getaddrinfo(host, port, &want, &list);
    if (bad)
        return fault_set(reterr, FAULT_RETRY, EHOSTUNREACH, "the name %s is not known: %s", host,
                         gai_strerror(bad));
    int rc = -EHOSTUNREACH;
    for (const struct addrinfo *a = list; a && rc < 0 && rc != -ECANCELED; a = a->ai_next)
        rc = dial_one(s, a);
    freeaddrinfo(list);
    return rc == 0 ? 0
                   : fault_set(reterr, FAULT_RETRY, -rc, "%s port %s does not answer: %s", host,
                               port, strerror(-rc));
}

/* ── out ── */

static int frame_send(struct smb *s, struct buf *out)
{
    struct buf sealed;
    buf_init(&sealed, SMB_FRAME_MAX + 64);
    struct buf *b = out;
    int rc = 0;
    if (s->sealed) {
        static const uint8_t room[4];
        buf_put(&sealed, room, sizeof room);
        rc = smb_seal(s, out->data + 4, out->len - 4, &sealed);
        b = &sealed;
    }
    size_t n = b->len - 4;
    if (rc == 0) {
        uint8_t head[4] = {0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        memcpy(b->data, head, 4);
        rc = send_all(s, b->data, b->len);
    }
    buf_done(&sealed);
    return rc;
}

/* Numbers and signs the parts. */
static void dress(struct smb_call *c)
{
    struct smb *s = c->s;
    for (unsigned i = 0; i < c->n; i++) {
        size_t from = c->parts[i].at, to = i + 1 < c->n ? c->parts[i + 1].at : c->out.len;
        uint8_t *h = c->out.data + from;
        unsigned charge = le16(h + 6);
        c->parts[i].mid = s->mid;
        put64(h + 24, s->mid);
        put32(h + 36, s->tree);
        put64(h + 40, s->session);
        put16(h + 14, charge + 32);
        if (i + 1 < c->n)
            put32(h + 20, (uint32_t)(to - from));
        s->mid += charge;
        if (s->is_signed && !s->sealed)
            smb_sign(s, h, to - from);
    }
}

static int frame_receive(struct smb *s);

int smb_send(struct smb_call *c)
{
    struct smb *s = c->s;
    if (s->lost)
        return -ENOTCONN;
    if (c->out.overflow || c->n == 0)
        return -EMSGSIZE;
    while (s->credits < c->charge || s->ncalls >= SMB_CALLS_MAX) {
        int rc = s->ncalls ? frame_receive(s) : lost(s, -EPROTO);
        if (rc < 0)
            return rc;
    }
    s->credits -= c->charge;
    dress(c);
    c->next = s->calls;
    s->calls = c;
    s->ncalls++;
    c->sent = true;
    return frame_send(s, &c->out);
}

/* ── in ── */

static struct smb_part *part_of(struct smb *s, uint64_t mid, struct smb_call **retcall)
{
    for (struct smb_call *c = s->calls; c; c = c->next)
        for (unsigned i = 0; i < c->n; i++)
            if (c->parts[i].mid == mid && !c->parts[i].answered) {
                *retcall = c;
                return &c->parts[i];
            }
    return NULL;
}

static void unlist(struct smb_call *c)
{
    for (struct smb_call **at = &c->s->calls; *at; at = &(*at)->next) {
        if (*at != c)
            continue;
        *at = c->next;
        c->s->ncalls--;
        return;
    }
}

static bool may_be_unsigned(const struct smb *s, const uint8_t *h)
{
    bool interim = le32(h + 8) == ST_PENDING && (le32(h + 16) & SMB_FLAG_ASYNC);
    return !s->is_signed || s->sealed || interim || le64(h + 24) == UINT64_MAX;
}

static int answer(struct smb *s, struct smb_frame *f, size_t from, size_t len)
{
    uint8_t *h = f->data + from;
    struct smb_call *c = NULL;
    if (!may_be_unsigned(s, h) && !smb_signature_good(s, h, len))
        return -EBADMSG;
    uint32_t status = le32(h + 8);
    s->credits += le16(h + 14);
    struct smb_part *p = part_of(s, le64(h + 24), &c);
    if (!p || status == ST_PENDING)
        return 0; /* a break of what we never asked for, or not the answer yet */
    p->answered = true;
    p->status = status;
    p->frame = f;
    p->from = from;
    p->len = len;
    f->refs++;
    if (++c->nanswered == c->n)
        unlist(c);
    return 0;
}

static int answers(struct smb *s, struct smb_frame *f, size_t at)
{
    while (at + SMB_HEADER <= f->len) {
        const uint8_t *h = f->data + at;
        size_t next = le32(h + 20), len = next ? next : f->len - at;
        if (memcmp(h, "\xfeSMB", 4) != 0 || len < SMB_HEADER || len > f->len - at ||
            !(le32(h + 16) & SMB_FLAG_RESPONSE))
            return -EBADMSG;
        int rc = answer(s, f, at, len);
        if (rc < 0 || !next)
            return rc;
        at += next;
    }
    return -EBADMSG;
}

static int frame_receive(struct smb *s)
{
    uint8_t head[4];
    int rc = receive_all(s, head, sizeof head);
    if (rc < 0)
        return rc;
    size_t n = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (head[0] != 0 || n < SMB_HEADER || n > SMB_FRAME_MAX)
        return lost(s, -EBADMSG);
    struct smb_frame *f = frame_new(s, n);
    if (!f)
        return lost(s, -ENOMEM);
    rc = receive_all(s, f->data, n);
    bool is_sealed = rc == 0 && memcmp(f->data, "\xfdSMB", 4) == 0;
    if (rc == 0 && is_sealed != s->sealed)
        rc = -EBADMSG;
    if (rc == 0 && is_sealed)
        rc = smb_unseal(s, f->data, n);
    if (rc == 0)
        rc = answers(s, f, is_sealed ? SMB_TRANSFORM : 0);
    (void)smb_frame_unref(f);
    return rc < 0 ? lost(s, rc) : 0;
}

int smb_wait(struct smb_call *c)
{
    while (c->nanswered < c->n) {
        int rc = c->s->lost || !c->sent ? -ENOTCONN : frame_receive(c->s);
        if (rc < 0)
            return rc;
    }
    return 0;
}

struct smb_call *smb_call_new(struct smb *s)
{
    struct smb_call *c = xcalloc(1, sizeof *c);
    c->s = s;
    buf_init(&c->out, SMB_READ_MAX + (256U << 10));
    buf_put_u32(&c->out, 0);
    return c;
}

/* What is under way must be answered first: else its answer would be nobody's. */
struct smb_call *smb_call_free(struct smb_call *c)
{
    if (!c)
        return NULL;
    if (c->sent && !c->s->lost)
        (void)smb_wait(c);
    unlist(c);
    for (unsigned i = 0; i < c->n; i++)
        (void)smb_frame_unref(c->parts[i].frame);
    buf_done(&c->out);
    free(c);
    return NULL;
}

/* ── from open to close ── */

int smb_connect(struct smb **ret, const struct smb_place *p, struct fault *reterr)
{
    char server[256];
    struct smb *s = xcalloc(1, sizeof *s);
    s->fd = -1;
    s->cancel_fd = p->cancel_fd;
    s->credits = 1;
    s->low = 1;
    (void)snprintf(server, sizeof server, "%s", p->address);
    char *colon = strrchr(server, ':');
    if (colon && strchr(server, ':') == colon)
        *colon = '\0';
    int rc = smb_dial(s, p->address, reterr);
    if (rc == 0)
        rc = smb_setup(s, p, server, reterr);
    if (rc < 0) {
        (void)smb_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

struct smb *smb_close(struct smb *s)
{
    if (!s)
        return NULL;
    s->lost = true;
    if (s->fd >= 0)
        (void)fd_close(s->fd);
    while (s->nspares > 0)
        free(s->spares[--s->nspares]);
    smb_sign_done(s);
    explicit_bzero(s, sizeof *s);
    free(s);
    return NULL;
}

bool smb_has_audit(const struct smb *s)
{
    return s->audit;
}

uint32_t smb_read_max(const struct smb *s)
{
    return s->max_read;
}

uint32_t smb_write_max(const struct smb *s)
{
    return s->max_write;
}

bool smb_is_lost(const struct smb *s)
{
    return s->lost;
}
