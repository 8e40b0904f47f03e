/* smb_setup: the beginning of a connection: dialect, log-on, share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/store/smb_priv.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define TOKEN_MAX (64U << 10)
#define ROUNDS_MAX 8
#define SESSION_GUEST 3U /* as guest, or as nobody */
#define SESSION_SEALED 4U
#define SHARE_SEALED 0x8000U

static uint8_t *room(struct smb_call *c, size_t n)
{
    uint8_t *p = buf_reserve(&c->out, n);
    if (!p)
        abort(); /* a few hundred bytes into an empty buffer */
    memset(p, 0, n);
    c->out.len += n;
    return p;
}

static int ask(struct smb_call *c)
{
    int rc = smb_send(c);
    return rc == 0 ? smb_wait(c) : rc;
}

static int gone(const struct smb_place *p, int rc, const char *when, struct fault *reterr)
{
    return fault_set(reterr, FAULT_RETRY, -rc, "%s %s: %s", p->address, when,
                     rc == -EBADMSG ? "its answer is not well formed or not signed"
                                    : strerror(-rc));
}

/* ── dialect ── */

static void put_context(struct smb_call *c, unsigned type, const void *data, size_t n)
{
    (void)room(c, (8 - (c->out.len - 4) % 8) % 8);
    uint8_t *p = room(c, 8 + n);
    put16(p, type);
    put16(p + 2, (unsigned)n);
    memcpy(p + 8, data, n);
}

static void put_negotiate(struct smb_call *c)
{
    static const uint16_t dialects[] = {0x0210, 0x0300, 0x0302, 0x0311};
    (void)smb_begin(c, SMB_NEGOTIATE, 0);
    uint8_t *p = room(c, 36);
    put16(p, 36);
    put16(p + 2, ARRAY_SIZE(dialects));
    put16(p + 4, 2);    /* signatures are required */
    put32(p + 8, 0x44); /* large reads, encryption */
    (void)text_random(p + 12, 16);
    for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
        buf_put_u16(&c->out, dialects[i]);
    (void)room(c, (8 - (c->out.len - 4) % 8) % 8);
    size_t contexts = c->out.len - 4;
    uint8_t preauth[38] = {1, 0, 32, 0, 1, 0}; /* SHA-512, a salt of 32 */
    (void)text_random(preauth + 6, 32);
    put_context(c, 1, preauth, sizeof preauth);
    put_context(c, 2, "\1\0\2\0", 4);         /* AES-128-GCM */
    put_context(c, 8, "\3\0\2\0\1\0\0\0", 8); /* GMAC, CMAC, HMAC */
    p = c->out.data + 4 + SMB_HEADER;
    put32(p + 28, (uint32_t)contexts);
    put16(p + 32, 3);
}

/* One context of the answer. */
static void take_context(struct smb *s, unsigned type, const uint8_t *p, size_t n)
{
    if (type == 2 && n >= 4)
        s->can_seal = le16(p + 2) == 2;
    if (type == 8 && n >= 4 && le16(p + 2) <= SMB_SIGN_GMAC)
        s->signing = (enum smb_signing)le16(p + 2);
}

static int take_contexts(struct smb *s, const struct smb_call *c, const uint8_t *body)
{
    size_t at = le32(body + 60);
    s->signing = SMB_SIGN_CMAC;
    for (unsigned i = le16(body + 6); i > 0; i--) {
        at = (at + 7) & ~(size_t)7;
        const uint8_t *p = smb_range(c, 0, at, 8);
        const uint8_t *data = p ? smb_range(c, 0, at + 8, le16(p + 2)) : NULL;
        if (!data)
            return -EBADMSG;
        take_context(s, le16(p), data, le16(p + 2));
        at += 8 + le16(p + 2);
    }
    return 0;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void preauth_both(struct smb *s, const struct smb_call *c, bool answer_too)
{
    smb_preauth(s->preauth, c->out.data + 4, c->out.len - 4);
    const struct smb_part *p = &c->parts[0];
    if (answer_too)
        smb_preauth(s->preauth, p->frame->data + p->from, p->len);
}

static int negotiate(struct smb *s, const struct smb_place *p, struct fault *reterr)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(s);
    put_negotiate(c);
    int rc = ask(c);
    if (rc < 0)
        return gone(p, rc, "does not speak SMB 2.1 or later", reterr);
    const uint8_t *body = smb_body(c, 0, 64);
    if (smb_get_status(c, 0) || !body)
        return fault_set(reterr, FAULT_STOP_JOB, EPROTONOSUPPORT,
                         "%s does not speak SMB 2.1 or later", p->address);
    s->dialect = le16(body + 4);
    s->max_read = least(le32(body + 32), SMB_READ_MAX);
    s->max_write = least(le32(body + 36), SMB_READ_MAX);
    s->max_transact = least(le32(body + 28), SMB_READ_MAX);
    s->signing = s->dialect < 0x0300 ? SMB_SIGN_HMAC : SMB_SIGN_CMAC;
    bool known = s->dialect == 0x0210 || s->dialect == 0x0300 || s->dialect == 0x0302 ||
                 s->dialect == 0x0311;
    if (!known || s->max_read < 65536 || s->max_write < 65536 || s->max_transact < 65536)
        return fault_set(reterr, FAULT_STOP_JOB, EPROTONOSUPPORT,
                         "%s chose dialect %04x, which was not offered", p->address, s->dialect);
    if (s->dialect != 0x0311)
        return 0;
    rc = take_contexts(s, c, body);
    if (rc < 0)
        return gone(p, rc, "negotiates", reterr);
    preauth_both(s, c, true);
    return 0;
}

/* ── log-on ── */

static void put_session(struct smb_call *c, const void *token, size_t n)
{
    (void)smb_begin(c, SMB_SESSION_SETUP, 0);
    uint8_t *p = room(c, 24);
    put16(p, 25);
    p[3] = 2;
    put16(p + 12, SMB_HEADER + 24);
    put16(p + 14, (unsigned)n);
    buf_put(&c->out, token, n);
}

static int refused(const struct smb *s, const struct smb_place *p, uint32_t status,
                   struct fault *reterr)
{
    (void)s;
    if (smb_errno(status) == -EKEYREJECTED)
        return fault_set(reterr, FAULT_STOP_JOB, EKEYREJECTED,
                         "%s refuses the log-on of %.80s (status %08X): is the password right and "
                         "the account usable? Change it: godwit credential add",
                         p->address, p->login.user, status);
    return fault_set(reterr, FAULT_STOP_JOB, EACCES, "%s refuses the log-on of %.80s: status %08X",
                     p->address, p->login.user, status);
}

/* The last answer carries the session's first signature. */
static int session_made(struct smb *s, const struct smb_place *p, struct smb_auth *auth,
                        struct smb_call *c, struct fault *reterr)
{
    uint8_t key[SMB_KEY];
    const uint8_t *body = smb_body(c, 0, 8);
    if (!body)
        return gone(p, -EBADMSG, "logs on", reterr);
    if (le16(body + 2) & SESSION_GUEST)
        return fault_set(reterr, FAULT_STOP_JOB, EKEYREJECTED,
                         "%s knows no user %.80s: it would only let in a guest. Change it: godwit "
                         "credential add",
                         p->address, p->login.user);
    int rc = smb_auth_key(auth, key);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the log-on at %s gave no key", p->address);
    smb_keys(s, key);
    explicit_bzero(key, sizeof key);
    s->is_signed = true;
    const struct smb_part *a = &c->parts[0];
    if (!smb_signature_good(s, a->frame->data + a->from, a->len))
        return gone(p, -EBADMSG, "logs on", reterr);
    s->sealed = (le16(body + 2) & SESSION_SEALED) != 0;
    return 0;
}

/* 1: another round. */
static int round_trip(struct smb *s, const struct smb_place *p, struct smb_auth *auth, void **token,
                      size_t *len, struct fault *reterr)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(s);
    put_session(c, *token, *len);
    free(*token);
    *token = NULL;
    int rc = ask(c);
    if (rc < 0)
        return gone(p, rc, "ends the log-on", reterr);
    uint32_t status = smb_get_status(c, 0);
    bool more = status == ST_MORE_PROCESSING;
    const uint8_t *body = smb_body(c, 0, 8);
    if ((!more && status) || !body)
        return refused(s, p, status, reterr);
    s->session = le64(c->parts[0].frame->data + c->parts[0].from + 40);
    if (s->dialect == 0x0311)
        preauth_both(s, c, more);
    size_t n = le16(body + 6);
    const uint8_t *in = smb_range(c, 0, le16(body + 4), n);
    if (!in || n > TOKEN_MAX)
        return gone(p, -EBADMSG, "logs on", reterr);
    if (n > 0 || more)
        rc = smb_auth_step(auth, in, n, token, len, reterr);
    if (rc < 0 || more)
        return rc < 0 ? rc : 1;
    return session_made(s, p, auth, c, reterr);
}

static int log_on(struct smb *s, const struct smb_place *p, const char *server,
                  struct fault *reterr)
{
    CLEANUP(smb_auth_free) struct smb_auth *auth = NULL;
    void *token = NULL;
    size_t len = 0;
    int rc = smb_auth_new(&auth, &p->login, server, reterr);
    if (rc == 0)
        rc = smb_auth_step(auth, NULL, 0, &token, &len, reterr);
    for (int i = 0; rc >= 0 && i < ROUNDS_MAX; i++) {
        if (!token || len > TOKEN_MAX) {
            rc = gone(p, -EPROTO, "logs on", reterr);
            break;
        }
        rc = round_trip(s, p, auth, &token, &len, reterr);
        if (rc == 0)
            break;
    }
    free(token);
    return rc > 0 ? gone(p, -EPROTO, "does not end the log-on", reterr) : rc;
}

/* ── share ── */

static int tree_connect(struct smb *s, const struct smb_place *p, const char *server,
                        struct fault *reterr)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(s);
    CLEANUP(mem_free) char *path = xasprintf("//%s/%s", server, p->share);
    (void)smb_begin(c, SMB_TREE_CONNECT, 0);
    uint8_t *b = room(c, 8);
    size_t at = c->out.len;
    put16(b, 9);
    put16(b + 4, SMB_HEADER + 8);
    int rc = smb_utf16(path, strlen(path), &c->out);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the share's name is not UTF-8");
    put16(c->out.data + at - 2, (unsigned)(c->out.len - at));
    rc = ask(c);
    if (rc < 0)
        return gone(p, rc, "was lost", reterr);
    uint32_t status = smb_get_status(c, 0);
    const uint8_t *body = smb_body(c, 0, 16);
    if (status == ST_BAD_NETWORK_NAME)
        return fault_set(reterr, FAULT_STOP_JOB, ENODEV,
                         "%s has no share %.80s: is its name right?", p->address, p->share);
    if (status == ST_ACCESS_DENIED)
        return fault_set(reterr, FAULT_STOP_JOB, EACCES,
                         "%.80s may not connect to the share %.60s of %s: let a user in that may",
                         p->login.user, p->share, p->address);
    if (status || !body)
        return fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO,
                         "%s does not give the share %.80s: status %08X", p->address, p->share,
                         status);
    s->tree = le32(c->parts[0].frame->data + c->parts[0].from + 36);
    s->sealed = s->sealed || (le32(body + 4) & SHARE_SEALED) != 0;
    return 0;
}

/* Is this account let to audit ACLs? Asked once, at the share's root. */
static void probe_audit(struct smb *s)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(s);
    s->audit = true;
    int rc = smb_put_open(c, "", 0, SMB_OPEN_FOLDER | SMB_OPEN_ATTRIBUTES);
    if (rc == 0)
        rc = smb_put_descriptor(c, NULL);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    if (rc == 0)
        rc = ask(c);
    s->audit = rc == 0 && smb_get_status(c, 0) == 0 && smb_get_status(c, 1) == 0;
}

int smb_setup(struct smb *s, const struct smb_place *p, const char *server, struct fault *reterr)
{
    int rc = negotiate(s, p, reterr);
    if (rc == 0)
        rc = log_on(s, p, server, reterr);
    if (rc == 0)
        rc = tree_connect(s, p, server, reterr);
    if (rc < 0)
        return rc;
    if (s->sealed && !(s->dialect == 0x0311 && s->can_seal))
        return fault_set(reterr, FAULT_STOP_JOB, EPROTONOSUPPORT,
                         "%s wants encryption that this agent does not have (AES-128-GCM of SMB "
                         "3.1.1)",
                         p->address);
    probe_audit(s);
    return s->lost ? gone(p, -ENOTCONN, "was lost", reterr) : 0;
}
