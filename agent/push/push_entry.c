/* push_entry: what an entry of this host is to be at the server: attributes and time of creation as
 * smbd keeps them, its descriptor as smbd reads it, its streams. Worker threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/pull/smbacl.h"
#include "agent/push/push_priv.h"
#include "agent/store/meta_priv.h"
#include "agent/store/ntacl.h"
#include "common/base/mem.h"

#define STREAM_PREFIX "user.DosStream."
#define DOSATTRIB "user.DOSATTRIB"
#define STREAMS_MAX 64U

static bool is_stream(const struct xattr_view *x)
{
    return x->name_len > sizeof STREAM_PREFIX - 1 &&
           memcmp(x->name, STREAM_PREFIX, sizeof STREAM_PREFIX - 1) == 0 && x->value_len > 0;
}

static void take_attributes(struct pusher *k, struct outgoing *ret)
{
    struct cursor c = cursor_of(k->xattrs.data, k->xattrs.len);
    struct xattr_view x;
    while (xattrs_next(&c, &x)) {
        ret->has_streams = ret->has_streams || is_stream(&x);
        if (x.name_len == sizeof DOSATTRIB - 1 && memcmp(x.name, DOSATTRIB, x.name_len) == 0)
            (void)smb_dosattrib_take(x.value, x.value_len, &ret->info);
    }
}

static int take_descriptor(struct pusher *k, const char *name, struct outgoing *ret)
{
    struct push *p = k->p;
    struct smbacl_look look;
    int rc = smbacl_tell(p->smbacl, &ret->meta, k->xattrs.data, k->xattrs.len, &look);
    if (rc < 0)
        return rc;
    ret->sd = look.known ? look.xattrs : NULL;
    ret->sd_len = look.xattrs_len;
    buf_clear(&k->mapped);
    if (ret->sd && p->order->options->map)
        rc = ntacl_map_descriptor(ret->sd, ret->sd_len, p->order->options->map, &k->mapped);
    if (rc == 1) {
        ret->sd = k->mapped.data;
        ret->sd_len = k->mapped.len;
    } else if (rc < 0) {
        return rc; /* unmapped it would give somebody what was another's */
    }
    if (!smbacl_is_there(p->smbacl)) {
        if (!atomic_exchange(&p->noted_samba, true))
            push_note(k, name, EOPNOTSUPP, "NT ACLs (no Samba on this host)");
    } else if (!look.known) {
        push_note(k, name, -look.err, "NT ACL");
    } else if (!smb_has_audit(k->smb) && !atomic_exchange(&p->noted_audit, true)) {
        push_note(k, name, EPERM, "audit ACLs (no right to write)");
    }
    return 0;
}

int push_outgoing(struct pusher *k, int fd, const char *name, struct outgoing *ret)
{
    *ret = (struct outgoing){.sd = NULL};
    buf_clear(&k->xattrs);
    int rc = meta_stat(fd, "", &ret->meta);
    if (rc == 0)
        rc = xattrs_read(fd, &k->xattrs);
    if (rc == 0)
        rc = push_depot_enter(k, fd);
    if (rc < 0)
        return rc;
    bool folder = S_ISDIR(ret->meta.mode);
    ret->info = (struct smb_info){
        .write = ret->meta.mtime, .access = ret->meta.atime, .size = folder ? 0 : ret->meta.size};
    take_attributes(k, ret);
    if (k->p->depot >= 0) /* where there is a depot, smbd shows nothing else */
        ret->has_streams = k->streams >= 0;
    ret->info.attributes &= ~(uint32_t)SMB_ATTR_FOLDER;
    ret->info.attributes |= folder ? SMB_ATTR_FOLDER : ret->info.attributes ? 0 : 0x80U;
    return take_descriptor(k, name, ret);
}

/* Of the flags that an ACL was inherited a server keeps what comes with a request for it. */
#define SD_DACL_INHERITED 0x0400U
#define SD_SACL_INHERITED 0x0800U
#define SD_DACL_REQUEST 0x0100U
#define SD_SACL_REQUEST 0x0200U

static int describe(struct smb_call *c, const struct smb_handle *h, const struct outgoing *x,
                    uint32_t what)
{
    CLEANUP(mem_free) uint8_t *sd = xmemdup(x->sd, x->sd_len);
    if (x->sd_len < 20)
        return -EBADMSG;
    unsigned control = sd[2] | (unsigned)sd[3] << 8;
    control |= control & SD_DACL_INHERITED ? SD_DACL_REQUEST : 0;
    control |= control & SD_SACL_INHERITED ? SD_SACL_REQUEST : 0;
    sd[2] = (uint8_t)control;
    sd[3] = (uint8_t)(control >> 8);
    return smb_put_set_descriptor(c, h, sd, x->sd_len, what);
}

int push_describe(struct smb_call *c, const struct smb_handle *h, const struct outgoing *x)
{
    return describe(c, h, x, SMB_SD_ALL);
}

int push_describe_less(struct pusher *k, const char *name, const struct outgoing *x)
{
    size_t len = 0;
    CLEANUP(mem_free) char *path = push_path(k, name, &len);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_put_make(c, path, len, SMB_MAKE_CHANGE);
    if (rc == 0)
        rc = describe(c, NULL, x, SMB_SD_ALL & ~SMB_SD_OWNER);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = smb_ask(c, rc);
    if (rc == 0)
        rc = smb_get_done(c, 0);
    if (rc == 0)
        rc = smb_get_done(c, 1);
    if (rc == 0)
        push_note(k, name, EPERM, "owner (no right to give)");
    else if (!smb_is_lost(k->smb))
        push_failed(k, name, -rc, "NT ACL");
    return smb_is_lost(k->smb) ? -ENOTCONN : 0;
}

/* ── streams ── */

/* path:NAME:$DATA of one, as smbd's attribute has it. malloc'd. */
static char *stream_path(const char *path, size_t len, const struct xattr_view *x, size_t *retlen)
{
    const char *name = x->name + sizeof STREAM_PREFIX - 1;
    size_t n = x->name_len - (sizeof STREAM_PREFIX - 1);
    char *whole = xmalloc(len + n + 2);
    memcpy(whole, path, len);
    whole[len] = ':';
    memcpy(whole + len + 1, name, n);
    whole[len + 1 + n] = '\0';
    *retlen = len + 1 + n;
    return whole;
}

/* Behind its content smbd keeps a zero byte. */
static int write_stream(struct pusher *k, const char *path, size_t len, const struct xattr_view *x)
{
    size_t n = 0;
    CLEANUP(mem_free) char *whole = stream_path(path, len, x, &n);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_put_make(c, whole, n, SMB_MAKE_FILE);
    if (rc == 0 && x->value_len > 1)
        rc = smb_put_write(c, NULL, 0, x->value, (uint32_t)x->value_len - 1);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = smb_ask(c, rc);
    if (rc == 0)
        rc = smb_get_done(c, 0);
    return rc == 0 ? smb_get_done(c, 1) : rc;
}

int push_streams(struct pusher *k, const char *path, size_t len)
{
    struct cursor c = cursor_of(k->xattrs.data, k->xattrs.len);
    struct xattr_view x;
    int rc = 0;
    if (k->p->depot >= 0)
        return k->streams >= 0 ? push_depot_each(k, path, len) : 0;
    while (rc == 0 && xattrs_next(&c, &x))
        if (is_stream(&x))
            rc = write_stream(k, path, len, &x);
    return rc;
}

/* Name as ":name:$DATA". */
static bool is_ours(const struct pusher *k, const struct smb_stream *s)
{
    struct cursor c = cursor_of(k->xattrs.data, k->xattrs.len);
    struct xattr_view x;
    if (k->p->depot >= 0)
        return k->streams >= 0 && push_depot_has(k, s);
    while (xattrs_next(&c, &x))
        if (is_stream(&x) && x.name_len - (sizeof STREAM_PREFIX - 1) == s->name_len - 1 &&
            memcmp(x.name + sizeof STREAM_PREFIX - 1, s->name + 1, s->name_len - 1) == 0)
            return true;
    return false;
}

int push_streams_prune(struct pusher *k, const char *path, size_t len, const void *data, size_t n,
                       bool keep_ours)
{
    struct cursor c = cursor_of(data, n);
    struct smb_stream s;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < STREAMS_MAX && smb_stream_next(&c, &s) == 1; i++) {
        if (keep_ours && is_ours(k, &s))
            continue;
        CLEANUP(mem_free) char *whole = xmalloc(len + s.name_len + 1);
        memcpy(whole, path, len);
        memcpy(whole + len, s.name, s.name_len);
        rc = push_remove(k, whole, len + s.name_len, false, 0);
        rc = rc == -ENOENT ? 0 : rc;
    }
    return rc;
}
