/* smb_write: requests that change something at the server, packed into chains like those that read.
 */
#include <errno.h>
#include <string.h>

#include "agent/store/smb_priv.h"

#define ACCESS_CHANGE 0x001f019eU   /* all but reading content and listing */
#define ACCESS_SETTINGS 0x001f0198U /* the same without its content: also of what is read only */
#define ACCESS_AUDIT 0x01000000U
#define ACCESS_ATTRIBUTES 0x00100180U
#define ACCESS_DELETE 0x00110080U
#define OPTION_FOLDER 0x00000001U
#define OPTION_FILE 0x00000040U
#define OPTION_BACKUP 0x00004000U
#define OPTION_REPARSE 0x00200000U
#define EPOCH 116444736000000000LL /* 1601 to 1970, in 100 ns */

enum { INFO_FILE = 1, INFO_SECURITY = 3 };
enum { CLASS_BASIC = 4, CLASS_RENAME = 10, CLASS_DISPOSITION = 13 };

static uint8_t *room(struct smb_call *c, size_t n)
{
    uint8_t *p = buf_reserve(&c->out, n);
    if (!p)
        return NULL;
    memset(p, 0, n);
    c->out.len += n;
    return p;
}

static void put_handle(uint8_t *p, const struct smb_handle *h)
{
    if (h)
        memcpy(p, h->id, sizeof h->id);
    else
        memset(p, 0xff, sizeof h->id);
}

/* The path in UTF-16 at the end of c; its bytes, or -errno. */
static int put_path(struct smb_call *c, const char *path, size_t len)
{
    size_t from = c->out.len;
    int rc = smb_utf16(path, len, &c->out);
    if (rc < 0)
        return rc;
    size_t n = c->out.len - from;
    return c->out.overflow ? -EMSGSIZE : n > 60000 ? -ENAMETOOLONG : (int)n;
}

int smb_put_make(struct smb_call *c, const char *path, size_t len, enum smb_make how)
{
    static const struct {
        uint32_t access, disposition, options;
    } ways[] = {
        [SMB_MAKE_FILE] = {ACCESS_CHANGE,     5, OPTION_FILE  },
        [SMB_MAKE_FOLDER] = {ACCESS_CHANGE,     2, OPTION_FOLDER},
        [SMB_MAKE_CHANGE] = {ACCESS_SETTINGS,   1, 0            },
        [SMB_MAKE_WRITABLE] = {ACCESS_ATTRIBUTES, 1, 0            },
        [SMB_MAKE_GONE] = {ACCESS_DELETE,     1, 0            },
    };
    int rc = smb_begin(c, SMB_CREATE, 0);
    uint8_t *p = rc == 0 ? room(c, 56) : NULL;
    if (!p)
        return -EMSGSIZE;
    bool audit = c->s->audit && how != SMB_MAKE_WRITABLE && how != SMB_MAKE_GONE;
    put16(p, 57);
    put32(p + 4, 2);
    put32(p + 24, ways[how].access | (audit ? ACCESS_AUDIT : 0));
    put32(p + 28, how == SMB_MAKE_FILE ? 0x80 : 0);
    put32(p + 32, 7);
    put32(p + 36, ways[how].disposition);
    put32(p + 40, OPTION_BACKUP | OPTION_REPARSE | ways[how].options);
    put16(p + 44, SMB_HEADER + 56);
    size_t at = c->parts[c->n - 1].at;
    int n = put_path(c, path, len);
    if (n < 0)
        return n;
    put16(c->out.data + at + SMB_HEADER + 46, (unsigned)n);
    if (n == 0)
        (void)room(c, 1);
    return c->out.overflow ? -EMSGSIZE : 0;
}

int smb_put_write(struct smb_call *c, const struct smb_handle *h, uint64_t at, const void *data,
                  uint32_t n)
{
    int rc = n > c->s->max_write ? -EINVAL : smb_begin(c, SMB_WRITE, n);
    uint8_t *p = rc == 0 ? room(c, 48) : NULL;
    if (!p)
        return rc < 0 ? rc : -EMSGSIZE;
    put16(p, 49);
    put16(p + 2, SMB_HEADER + 48);
    put32(p + 4, n);
    put64(p + 8, at);
    put_handle(p + 16, h);
    buf_put(&c->out, data, n);
    return c->out.overflow ? -EMSGSIZE : 0;
}

/* Its value follows. */
static uint8_t *set_info(struct smb_call *c, const struct smb_handle *h, unsigned type,
                         unsigned class, uint32_t what)
{
    int rc = smb_begin(c, SMB_SET_INFO, 0);
    uint8_t *p = rc == 0 ? room(c, 32) : NULL;
    if (!p)
        return NULL;
    put16(p, 33);
    p[2] = (uint8_t)type;
    p[3] = (uint8_t) class;
    put16(p + 8, SMB_HEADER + 32);
    put32(p + 12, what);
    put_handle(p + 16, h);
    return p;
}

/* To be called when the value is there. */
static int set_length(struct smb_call *c)
{
    size_t at = c->parts[c->n - 1].at + SMB_HEADER;
    if (c->out.overflow)
        return -EMSGSIZE;
    put32(c->out.data + at + 4, (uint32_t)(c->out.len - at - 32));
    return 0;
}

static uint64_t nt_time(struct timespec t)
{
    int64_t v = t.tv_sec * 10000000 + t.tv_nsec / 100 + EPOCH;
    return (t.tv_sec == 0 && t.tv_nsec == 0) || v < 0 ? 0 : (uint64_t)v; /* 0: as it is */
}

int smb_put_basic(struct smb_call *c, const struct smb_handle *h, const struct smb_info *i)
{
    uint8_t *p = set_info(c, h, INFO_FILE, CLASS_BASIC, 0) ? room(c, 40) : NULL;
    if (!p)
        return -EMSGSIZE;
    put64(p, nt_time(i->birth));
    put64(p + 8, nt_time(i->access));
    put64(p + 16, nt_time(i->write));
    put32(p + 32, i->attributes);
    return set_length(c);
}

int smb_put_set_descriptor(struct smb_call *c, const struct smb_handle *h, const void *sd,
                           size_t len, uint32_t what)
{
    what &= c->s->audit ? 0xf : 0x7;
    if (len > SMB_DESCRIPTOR_MAX || !set_info(c, h, INFO_SECURITY, 0, what))
        return -EMSGSIZE;
    buf_put(&c->out, sd, len);
    return set_length(c);
}

int smb_put_rename(struct smb_call *c, const struct smb_handle *h, const char *path, size_t len,
                   bool replace)
{
    uint8_t *p = set_info(c, h, INFO_FILE, CLASS_RENAME, 0) ? room(c, 20) : NULL;
    if (!p)
        return -EMSGSIZE;
    size_t at = c->out.len - 4;
    p[0] = replace;
    int n = put_path(c, path, len);
    if (n < 0)
        return n;
    put32(c->out.data + at, (uint32_t)n);
    return set_length(c);
}

int smb_put_remove(struct smb_call *c, const struct smb_handle *h)
{
    uint8_t *p = set_info(c, h, INFO_FILE, CLASS_DISPOSITION, 0) ? room(c, 1) : NULL;
    if (!p)
        return -EMSGSIZE;
    p[0] = 1;
    return set_length(c);
}

int smb_get_done(const struct smb_call *c, unsigned n)
{
    return smb_errno(smb_get_status(c, n));
}
