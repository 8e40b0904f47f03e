/* smb: one connection to one share of a server without an agent, by SMB 2.1 to 3.1.1. Opens with
 * backup intent; reads names, attributes, content, streams and whole security descriptors, many
 * requests under way at once; and writes them. Every answer is signed. One thread a connection. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/fault.h"

struct smb;

/* How to prove who we are. Secrets are borrowed for the call and wiped by the caller. */
enum smb_proof { SMB_PASSWORD = 0, SMB_CCACHE = 1, SMB_KEYTAB = 2 };
struct smb_login {
    enum smb_proof proof;
    const char *user;   /* "DOMAIN\user", "user@realm" or "user"; with CCACHE may be "" */
    const void *secret; /* the password, or the file's bytes */
    size_t secret_len;
};

struct smb_place {
    const char *address; /* host name or address, with ":PORT" or without */
    const char *share;
    struct smb_login login;
    int cancel_fd; /* readable: every wait ends with -ECANCELED; -1: none */
};

#define SMB_READ_MAX (1U << 20)
#define SMB_DESCRIPTOR_MAX (64U << 10)
#define SMB_PARTS_MAX 6

/* -errno with a sentence: what was wrong and what to do. */
int smb_connect(struct smb **ret, const struct smb_place *p, struct fault *reterr);
struct smb *smb_close(struct smb *s);
DEFINE_CLEANUP(smb_close, struct smb *)
bool smb_has_audit(const struct smb *s); /* the account may read audit ACLs */
bool smb_is_lost(const struct smb *s);   /* of no use any more */

struct smb_info { /* of an open, or of an entry of a folder */
    struct timespec birth, access, write, change;
    uint64_t size, allocated, id;
    uint32_t attributes; /* FILE_ATTRIBUTE_* */
};
#define SMB_ATTR_FOLDER 0x10U
#define SMB_ATTR_SPARSE 0x200U
#define SMB_ATTR_REPARSE 0x400U
#define SMB_ATTR_ENCRYPTED 0x4000U

struct smb_handle {
    uint8_t id[16];
};

/* A chain of requests that goes out as one message and is answered part by part. */
struct smb_call;
struct smb_call *smb_call_new(struct smb *s);
struct smb_call *smb_call_free(struct smb_call *c); /* also one that is under way */
DEFINE_CLEANUP(smb_call_free, struct smb_call *)

enum smb_open_how { SMB_OPEN_ATTRIBUTES = 1, SMB_OPEN_FOLDER = 2, SMB_OPEN_FILE = 4 };
/* Path in UTF-8 from the share's root, '/' between names, "" the root itself; a stream is
 * "path:name:$DATA". Parts after an open refer to it; else they take a handle. */
int smb_put_open(struct smb_call *c, const char *path, size_t len, unsigned how);
int smb_put_descriptor(struct smb_call *c, const struct smb_handle *h);
int smb_put_streams(struct smb_call *c, const struct smb_handle *h);
int smb_put_standard(struct smb_call *c, const struct smb_handle *h); /* for smb_get_links() */
/* The number of a file in its volume (u64), and the volume (its serial, u32, at byte 8). */
int smb_put_internal(struct smb_call *c, const struct smb_handle *h);
int smb_put_volume(struct smb_call *c, const struct smb_handle *h);
int smb_put_read(struct smb_call *c, const struct smb_handle *h, uint64_t at, uint32_t n);
int smb_put_list(struct smb_call *c, const struct smb_handle *h, bool first);
int smb_put_close(struct smb_call *c, const struct smb_handle *h);

/* ── writing ── */
enum smb_make {
    SMB_MAKE_FILE,     /* an empty one, whatever was there */
    SMB_MAKE_FOLDER,   /* a new one; -EEXIST */
    SMB_MAKE_CHANGE,   /* what is there */
    SMB_MAKE_WRITABLE, /* the same, for its attributes alone */
    SMB_MAKE_GONE,     /* the same, for smb_put_remove() */
};
int smb_put_make(struct smb_call *c, const char *path, size_t len, enum smb_make how);
int smb_put_write(struct smb_call *c, const struct smb_handle *h, uint64_t at, const void *data,
                  uint32_t n); /* at most smb_write_max() */
uint32_t smb_write_max(const struct smb *s);
uint32_t smb_read_max(const struct smb *s); /* what smb_put_read() takes */
/* Times (zero: as it is) and attributes (0: likewise). */
int smb_put_basic(struct smb_call *c, const struct smb_handle *h, const struct smb_info *i);
#define SMB_SD_OWNER 1U
#define SMB_SD_ALL 0xfU /* the audit ACL only when smb_has_audit() */
int smb_put_set_descriptor(struct smb_call *c, const struct smb_handle *h, const void *sd,
                           size_t len, uint32_t what);
int smb_put_rename(struct smb_call *c, const struct smb_handle *h, const char *path, size_t len,
                   bool replace);
int smb_put_remove(struct smb_call *c, const struct smb_handle *h); /* when it is closed */
int smb_get_done(const struct smb_call *c, unsigned n);             /* part n: 0 or -errno */

int smb_send(struct smb_call *c); /* waits until the server takes it */
int smb_wait(struct smb_call *c); /* until all parts are answered; -errno of the connection */
int smb_ask(struct smb_call *c, int built); /* both, unless building it came to -errno already */
void smb_shut(struct smb *s,
              const struct smb_handle *h); /* what comes of it, nobody wants to know */

/* Part n of an answered call: 0, or -errno of this part. Data is borrowed from the call. */
int smb_get_open(const struct smb_call *c, unsigned n, struct smb_handle *rethandle,
                 struct smb_info *ret);
int smb_get_data(const struct smb_call *c, unsigned n, const void **ret, size_t *retlen);
/* What a read brought, to be written to, as may the bytes in front of it, which are the caller's.
 */
int smb_take_data(struct smb_call *c, unsigned n, size_t before, uint8_t **ret, size_t *retlen);
int smb_get_close(const struct smb_call *c, unsigned n, struct smb_info *ret);
int smb_get_links(const struct smb_call *c, unsigned n, uint32_t *ret); /* names of one file */
uint32_t smb_get_status(const struct smb_call *c, unsigned n);

/* What smb_put_list() brought: 1 *ret set; 0 no more. -EBADMSG: not well formed. */
struct smb_entry {
    char name[768]; /* UTF-8; a half of a surrogate pair stands as three bytes of its own */
    size_t name_len;
    bool odd; /* a name that no file system here can hold */
    struct smb_info info;
};
int smb_entry_next(struct cursor *c, struct smb_entry *ret);

/* What smb_put_streams() brought, without the unnamed one. Name as ":name:$DATA" has it. */
struct smb_stream {
    char name[768];
    size_t name_len;
    uint64_t size;
};
int smb_stream_next(struct cursor *c, struct smb_stream *ret);

/* Can a path of SMB hold this name: is it UTF-8 of at most 255 units? */
bool smb_name_good(const char *name, size_t len);
/* The value of user.DOSATTRIB as smbd keeps it. */
void smb_dosattrib(const struct smb_info *i, struct buf *ret);
/* Takes attributes and time of creation out of such a value (versions 3 to 5). -EBADMSG. */
int smb_dosattrib_take(const void *value, size_t len, struct smb_info *ret);
int smb_errno(uint32_t status); /* -errno, 0 for success */
