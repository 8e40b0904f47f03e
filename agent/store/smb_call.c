/* smb_call: requests packed into chains, and their answers taken apart within bounds. */
#include <errno.h>
#include <string.h>

#include "agent/store/smb_priv.h"

#define ACCESS_READ 0x00000001U
#define ACCESS_EA 0x00000008U
#define ACCESS_ATTRIBUTES 0x00000080U
#define ACCESS_CONTROL 0x00020000U
#define ACCESS_SYNCHRONIZE 0x00100000U
#define ACCESS_AUDIT 0x01000000U
#define OPTION_FOLDER 0x00000001U
#define OPTION_FILE 0x00000040U
#define OPTION_BACKUP 0x00004000U
#define OPTION_REPARSE 0x00200000U
#define CHARGE_BYTES 65536U
#define STANDARD_BYTES 24U
#define INTERNAL_BYTES 8U
#define VOLUME_BYTES 1024U
#define LIST_BYTES (256U << 10)

static uint8_t *room(struct smb_call *c, size_t n)
{
    uint8_t *p = buf_reserve(&c->out, n);
    if (!p)
        return NULL;
    memset(p, 0, n);
    c->out.len += n;
    return p;
}

int smb_begin(struct smb_call *c, enum smb_command command, uint32_t bytes)
{
    if (c->n == SMB_PARTS_MAX)
        return -EMSGSIZE;
    size_t pad = c->n ? (8 - (c->out.len - 4) % 8) % 8 : 0;
    (void)room(c, pad);
    c->parts[c->n].at = c->out.len;
    uint8_t *h = room(c, SMB_HEADER);
    if (!h)
        return -EMSGSIZE;
    uint32_t charge = bytes <= CHARGE_BYTES ? 1 : (bytes - 1) / CHARGE_BYTES + 1;
    memcpy(h, "\xfeSMB", 4);
    put16(h + 4, SMB_HEADER);
    put16(h + 6, charge);
    put16(h + 12, command);
    put32(h + 16, c->n ? SMB_FLAG_RELATED : 0);
    c->charge += charge;
    c->n++;
    return 0;
}

static int put_handle(struct smb_call *c, const struct smb_handle *h)
{
    uint8_t *p = room(c, sizeof h->id);
    if (!p)
        return -EMSGSIZE;
    if (h)
        memcpy(p, h->id, sizeof h->id);
    else
        memset(p, 0xff, sizeof h->id); /* of the open before */
    return 0;
}

int smb_put_open(struct smb_call *c, const char *path, size_t len, unsigned how)
{
    int rc = smb_begin(c, SMB_CREATE, 0);
    uint8_t *p = rc == 0 ? room(c, 56) : NULL;
    if (!p)
        return -EMSGSIZE;
    uint32_t access = ACCESS_ATTRIBUTES | ACCESS_CONTROL | ACCESS_SYNCHRONIZE;
    if (!(how & SMB_OPEN_ATTRIBUTES))
        access |= ACCESS_READ | ACCESS_EA;
    if (c->s->audit)
        access |= ACCESS_AUDIT;
    put16(p, 57);
    put32(p + 4, 2); /* impersonation */
    put32(p + 24, access);
    put32(p + 32, 7); /* others may read, write and delete meanwhile */
    put32(p + 36, 1); /* open what is there */
    put32(p + 40, OPTION_BACKUP | OPTION_REPARSE | (how & SMB_OPEN_FOLDER ? OPTION_FOLDER : 0) |
                      (how & SMB_OPEN_FILE ? OPTION_FILE : 0));
    put16(p + 44, SMB_HEADER + 56);
    size_t at = c->parts[c->n - 1].at, from = c->out.len;
    rc = smb_utf16(path, len, &c->out);
    if (rc < 0)
        return rc;
    size_t n = c->out.len - from;
    if (n > 60000)
        return -ENAMETOOLONG;
    put16(c->out.data + at + SMB_HEADER + 46, (unsigned)n);
    if (n == 0)
        (void)room(c, 1);
    return c->out.overflow ? -EMSGSIZE : 0;
}

static int put_query(struct smb_call *c, const struct smb_handle *h, unsigned type, unsigned class,
                     uint32_t additional, uint32_t max)
{
    int rc = smb_begin(c, SMB_QUERY_INFO, max);
    uint8_t *p = rc == 0 ? room(c, 24) : NULL;
    if (!p)
        return -EMSGSIZE;
    put16(p, 41);
    p[2] = (uint8_t)type;
    p[3] = (uint8_t) class;
    put32(p + 4, max);
    put32(p + 16, additional);
    rc = put_handle(c, h);
    (void)room(c, 1);
    return c->out.overflow ? -EMSGSIZE : rc;
}

int smb_put_descriptor(struct smb_call *c, const struct smb_handle *h)
{
    return put_query(c, h, 3, 0, c->s->audit ? 0xf : 0x7, SMB_DESCRIPTOR_MAX);
}

int smb_put_streams(struct smb_call *c, const struct smb_handle *h)
{
    return put_query(c, h, 1, 22, 0, CHARGE_BYTES);
}

int smb_put_standard(struct smb_call *c, const struct smb_handle *h)
{
    return put_query(c, h, 1, 5, 0, STANDARD_BYTES);
}

int smb_put_internal(struct smb_call *c, const struct smb_handle *h)
{
    return put_query(c, h, 1, 6, 0, INTERNAL_BYTES);
}

int smb_put_volume(struct smb_call *c, const struct smb_handle *h)
{
    return put_query(c, h, 2, 1, 0, VOLUME_BYTES);
}

int smb_put_read(struct smb_call *c, const struct smb_handle *h, uint64_t at, uint32_t n)
{
    int rc = n > c->s->max_read ? -EINVAL : smb_begin(c, SMB_READ, n);
    uint8_t *p = rc == 0 ? room(c, 16) : NULL;
    if (!p)
        return rc < 0 ? rc : -EMSGSIZE;
    put16(p, 49);
    p[2] = SMB_HEADER + 16;
    put32(p + 4, n);
    put64(p + 8, at);
    rc = put_handle(c, h);
    (void)room(c, 17);
    return c->out.overflow ? -EMSGSIZE : rc;
}

int smb_put_list(struct smb_call *c, const struct smb_handle *h, bool first)
{
    uint32_t max = LIST_BYTES < c->s->max_transact ? LIST_BYTES : c->s->max_transact;
    int rc = smb_begin(c, SMB_QUERY_DIRECTORY, max);
    uint8_t *p = rc == 0 ? room(c, 8) : NULL;
    if (!p)
        return -EMSGSIZE;
    put16(p, 33);
    p[2] = 37; /* names with ids, times, sizes and attributes */
    p[3] = first ? 1 : 0;
    rc = put_handle(c, h);
    p = room(c, 8);
    if (!p)
        return -EMSGSIZE;
    put16(p, SMB_HEADER + 32);
    put16(p + 2, 2);
    put32(p + 4, max);
    buf_put_u16(&c->out, '*');
    return c->out.overflow ? -EMSGSIZE : rc;
}

int smb_put_close(struct smb_call *c, const struct smb_handle *h)
{
    int rc = smb_begin(c, SMB_CLOSE, 0);
    uint8_t *p = rc == 0 ? room(c, 8) : NULL;
    if (!p)
        return -EMSGSIZE;
    put16(p, 24);
    put16(p + 2, 1); /* with the times and size as they are then */
    return put_handle(c, h);
}

/* ── answers ── */

uint32_t smb_get_status(const struct smb_call *c, unsigned n)
{
    return n < c->n && c->parts[n].answered ? c->parts[n].status : 0xC0000001U;
}

const uint8_t *smb_range(const struct smb_call *c, unsigned n, size_t offset, size_t size)
{
    const struct smb_part *p = &c->parts[n];
    if (n >= c->n || !p->frame || offset > p->len || size > p->len - offset)
        return NULL;
    return p->frame->data + p->from + offset;
}

const uint8_t *smb_body(const struct smb_call *c, unsigned n, size_t need)
{
    return smb_range(c, n, SMB_HEADER, need);
}

static struct timespec time_of(const uint8_t *p)
{
    const uint64_t epoch = 116444736000000000ULL; /* 1601 to 1970, in 100 ns */
    uint64_t v = le64(p);
    if (v == 0 || v > INT64_MAX)
        return (struct timespec){0};
    int64_t t = (int64_t)(v - epoch), s = t / 10000000, rest = t % 10000000;
    if (rest < 0) {
        rest += 10000000;
        s--;
    }
    return (struct timespec){.tv_sec = s, .tv_nsec = rest * 100};
}

static void times_of(const uint8_t *p, struct smb_info *ret)
{
    ret->birth = time_of(p);
    ret->access = time_of(p + 8);
    ret->write = time_of(p + 16);
    ret->change = time_of(p + 24);
}

int smb_get_open(const struct smb_call *c, unsigned n, struct smb_handle *rethandle,
                 struct smb_info *ret)
{
    int rc = smb_errno(smb_get_status(c, n));
    const uint8_t *p = rc == 0 ? smb_body(c, n, 88) : NULL;
    if (!p)
        return rc < 0 ? rc : -EBADMSG;
    if (rethandle)
        memcpy(rethandle->id, p + 64, sizeof rethandle->id);
    if (ret) {
        *ret = (struct smb_info){
            .allocated = le64(p + 40), .size = le64(p + 48), .attributes = le32(p + 56)};
        times_of(p + 8, ret);
    }
    return 0;
}

int smb_get_close(const struct smb_call *c, unsigned n, struct smb_info *ret)
{
    int rc = smb_errno(smb_get_status(c, n));
    const uint8_t *p = rc == 0 ? smb_body(c, n, 60) : NULL;
    if (!p)
        return rc < 0 ? rc : -EBADMSG;
    *ret = (struct smb_info){
        .allocated = le64(p + 40), .size = le64(p + 48), .attributes = le32(p + 56)};
    times_of(p + 8, ret);
    return 0;
}

static int data_at(const struct smb_call *c, unsigned n, size_t offset, size_t len,
                   const void **ret, size_t *retlen)
{
    const uint8_t *data = smb_range(c, n, offset, len);
    if (!data)
        return -EBADMSG;
    *ret = data;
    *retlen = len;
    return 0;
}

int smb_get_data(const struct smb_call *c, unsigned n, const void **ret, size_t *retlen)
{
    uint32_t status = smb_get_status(c, n);
    if (n >= c->n)
        return -EINVAL;
    unsigned command = le16(c->out.data + c->parts[n].at + 12);
    *ret = "";
    *retlen = 0;
    if ((command == SMB_READ && status == ST_END_OF_FILE) ||
        (command == SMB_QUERY_DIRECTORY &&
         (status == ST_NO_MORE_FILES || status == ST_NO_SUCH_FILE)))
        return 0;
    if (status)
        return smb_errno(status);
    const uint8_t *p = smb_body(c, n, 8);
    if (!p)
        return -EBADMSG;
    if (command == SMB_READ)
        return data_at(c, n, p[2], le32(p + 4), ret, retlen);
    return data_at(c, n, le16(p + 2), le32(p + 4), ret, retlen);
}

int smb_take_data(struct smb_call *c, unsigned n, size_t before, uint8_t **ret, size_t *retlen)
{
    const void *data = NULL;
    int rc = smb_get_data(c, n, &data, retlen);
    if (rc < 0 || *retlen == 0)
        return rc;
    const struct smb_part *p = &c->parts[n];
    size_t at = (size_t)((const uint8_t *)data - p->frame->data);
    if (at < p->from + before) /* the server says where it begins */
        return -EBADMSG;
    *ret = p->frame->data + at;
    return 0;
}

int smb_get_links(const struct smb_call *c, unsigned n, uint32_t *ret)
{
    const void *data = NULL;
    size_t len = 0;
    int rc = smb_get_data(c, n, &data, &len);
    if (rc == 0 && len < STANDARD_BYTES - 2) /* its padding may be left out */
        rc = -EBADMSG;
    if (rc == 0)
        *ret = le32((const uint8_t *)data + 16);
    return rc;
}

/* ── lists ── */

static bool odd_name(const char *name, size_t n)
{
    return n == 0 || n > 255 || memchr(name, '/', n) || memchr(name, '\0', n) ||
           (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.');
}

/* The record at c, whose first four bytes tell where the next one is; NULL: bad. */
static const uint8_t *record(struct cursor *c, size_t least, size_t *retlen)
{
    size_t left = cursor_left(c);
    if (left < least)
        return NULL;
    size_t next = le32(c->at);
    if (next > left || (next && next < least))
        return NULL;
    *retlen = next ? next : left;
    const uint8_t *p = c->at;
    c->at = next ? c->at + next : c->end;
    return p;
}

int smb_entry_next(struct cursor *c, struct smb_entry *ret)
{
    while (cursor_left(c) > 0) {
        size_t len = 0;
        const uint8_t *p = record(c, 104, &len);
        if (!p || le32(p + 60) > len - 104)
            return -EBADMSG;
        size_t n = le32(p + 60);
        if ((n == 2 && memcmp(p + 104, ".\0", 2) == 0) ||
            (n == 4 && memcmp(p + 104, ".\0.\0", 4) == 0))
            continue;
        ret->name_len = smb_utf8(p + 104, n, ret->name, sizeof ret->name - 1);
        ret->name[ret->name_len] = '\0';
        ret->odd = odd_name(ret->name, ret->name_len);
        ret->info = (struct smb_info){.size = le64(p + 40),
                                      .allocated = le64(p + 48),
                                      .attributes = le32(p + 56),
                                      .id = le64(p + 96)};
        times_of(p + 8, &ret->info);
        return 1;
    }
    return 0;
}

int smb_stream_next(struct cursor *c, struct smb_stream *ret)
{
    while (cursor_left(c) > 0) {
        size_t len = 0;
        const uint8_t *p = record(c, 24, &len);
        if (!p || le32(p + 4) > len - 24)
            return -EBADMSG;
        ret->name_len = smb_utf8(p + 24, le32(p + 4), ret->name, sizeof ret->name - 1);
        ret->name[ret->name_len] = '\0';
        ret->size = le64(p + 8);
        if (ret->name_len == 0 || ret->name[0] != ':' || memchr(ret->name, '\0', ret->name_len))
            return -EBADMSG;
        if (strcmp(ret->name, "::$DATA") != 0)
            return 1;
    }
    return 0;
}

int smb_ask(struct smb_call *c, int built)
{
    int rc = built == 0 ? smb_send(c) : built;
    return rc == 0 ? smb_wait(c) : rc;
}

void smb_shut(struct smb *s, const struct smb_handle *h)
{
    if (smb_is_lost(s))
        return;
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(s);
    (void)smb_ask(c, smb_put_close(c, h));
}
