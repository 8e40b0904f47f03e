/* smb_priv: what the files of the SMB client share. */
#pragma once
#include "agent/store/smb.h"
#include "agent/store/smb_gmac.h"

#define SMB_HEADER 64U
#define SMB_FRAME_MAX (9U << 20)
#define SMB_CALLS_MAX 64U
#define SMB_KEY 16U

enum smb_command {
    SMB_NEGOTIATE = 0,
    SMB_SESSION_SETUP = 1,
    SMB_TREE_CONNECT = 3,
    SMB_CREATE = 5,
    SMB_CLOSE = 6,
    SMB_READ = 8,
    SMB_WRITE = 9,
    SMB_QUERY_DIRECTORY = 14,
    SMB_QUERY_INFO = 16,
    SMB_SET_INFO = 17,
    SMB_OPLOCK_BREAK = 18,
};
enum { SMB_FLAG_RESPONSE = 1, SMB_FLAG_ASYNC = 2, SMB_FLAG_RELATED = 4, SMB_FLAG_SIGNED = 8 };
enum smb_signing { SMB_SIGN_HMAC = 0, SMB_SIGN_CMAC = 1, SMB_SIGN_GMAC = 2 };

#define ST_PENDING 0x00000103U
#define ST_MORE_PROCESSING 0xC0000016U
#define ST_BUFFER_OVERFLOW 0x80000005U
#define ST_NO_MORE_FILES 0x80000006U
#define ST_NO_SUCH_FILE 0xC000000FU
#define ST_END_OF_FILE 0xC0000011U
#define ST_ACCESS_DENIED 0xC0000022U
#define ST_PRIVILEGE_NOT_HELD 0xC0000061U
#define ST_LOGON_FAILURE 0xC000006DU
#define ST_BAD_NETWORK_NAME 0xC00000CCU

#define SMB_SPARES 8U /* as many reads as a piece of a large file has under way */
#define SMB_SPARE_MIN (256U << 10)

struct smb_frame { /* one message of the server */
    struct smb *s;
    unsigned refs;
    size_t len, room;
    uint8_t data[];
};

struct smb_part {
    uint64_t mid;
    size_t at; /* of its header in the request */
    bool answered;
    uint32_t status;
    struct smb_frame *frame;
    size_t from, len; /* of its answer, header included */
};

struct smb_call {
    struct smb *s;
    struct smb_call *next;
    struct buf out; /* four bytes of length first */
    struct smb_part parts[SMB_PARTS_MAX];
    unsigned n, nanswered;
    uint32_t charge;
    bool sent;
};

struct smb {
    int fd, cancel_fd;
    int low; /* bytes that the socket wakes us for */
    bool lost, audit, is_signed, sealed;
    uint16_t dialect;
    enum smb_signing signing;
    bool can_seal;
    uint32_t max_read, max_write, max_transact, tree;
    uint64_t session, mid, seal_nonce;
    uint32_t credits;
    uint8_t sign_key[SMB_KEY], seal_key[SMB_KEY], open_key[SMB_KEY];
    uint8_t preauth[64];
    struct smb_gmac *gmac;  /* of sign_key; NULL: signatures are made otherwise */
    struct smb_call *calls; /* under way */
    unsigned ncalls;
    struct smb_frame *spares[SMB_SPARES]; /* large ones, used again: fresh memory costs more */
    unsigned nspares;
};

/* smb_text.c: 0, or -EILSEQ when the bytes are no UTF-8. '/' becomes a backslash. */
int smb_utf16(const char *s, size_t n, struct buf *ret);
/* Bytes written, at most max; 0: does not fit. */
size_t smb_utf8(const uint8_t *le, size_t bytes, char *ret, size_t max);

/* smb_auth.c */
struct smb_auth;
int smb_auth_new(struct smb_auth **ret, const struct smb_login *l, const char *server,
                 struct fault *reterr);
struct smb_auth *smb_auth_free(struct smb_auth *a);
DEFINE_CLEANUP(smb_auth_free, struct smb_auth *)
/* 1: go on with the server's answer; 0: done. *ret is malloc'd. */
int smb_auth_step(struct smb_auth *a, const void *in, size_t in_len, void **ret, size_t *retlen,
                  struct fault *reterr);
int smb_auth_key(struct smb_auth *a, uint8_t ret[SMB_KEY]);

/* smb_sign.c */
void smb_preauth(uint8_t hash[64], const void *message, size_t n);
void smb_keys(struct smb *s, const uint8_t session_key[SMB_KEY]);
void smb_sign_done(struct smb *s);
void smb_sign(const struct smb *s, uint8_t *message, size_t n);
bool smb_signature_good(const struct smb *s, uint8_t *message, size_t n);
#define SMB_TRANSFORM 52U
/* The message at m becomes transform header and ciphertext in ret. */
int smb_seal(struct smb *s, const uint8_t *m, size_t n, struct buf *ret);
/* In place; the message then begins at SMB_TRANSFORM. */
int smb_unseal(const struct smb *s, uint8_t *frame, size_t n);

/* smb_call.c */
/* Begins a part: a header of this command. */
int smb_begin(struct smb_call *c, enum smb_command command, uint32_t bytes);
void smb_end(struct smb_call *c);
const uint8_t *smb_body(const struct smb_call *c, unsigned n, size_t need); /* NULL: short */
/* size bytes at offset (from the header) of part n; NULL: not within it */
const uint8_t *smb_range(const struct smb_call *c, unsigned n, size_t offset, size_t size);

/* smb_conn.c */
struct smb_frame *smb_frame_unref(struct smb_frame *f);
int smb_dial(struct smb *s, const char *address, struct fault *reterr);

/* smb_setup.c */
int smb_setup(struct smb *s, const struct smb_place *p, const char *server, struct fault *reterr);

static inline uint16_t le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t le32(const uint8_t *p)
{
    return (uint32_t)le16(p) | (uint32_t)le16(p + 2) << 16;
}
static inline uint64_t le64(const uint8_t *p)
{
    return (uint64_t)le32(p) | (uint64_t)le32(p + 4) << 32;
}
static inline void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void put32(uint8_t *p, uint32_t v)
{
    put16(p, v & 0xffff);
    put16(p + 2, v >> 16);
}
static inline void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}
