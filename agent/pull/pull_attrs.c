/* pull_attrs: what one entry of the server becomes at the destination: owner, mode and NT ACL as
 * this host's smbd writes them, DOS attributes and streams as it reads them. Worker threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/pull/depot.h"
#include "agent/pull/pull_priv.h"
#include "agent/store/meta_priv.h"
#include "agent/store/ntacl.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define STREAM_PREFIX "user.DosStream."
#define XATTR_NAME_BYTES 255U

struct stream {
    char name[XATTR_NAME_BYTES + 1];
    size_t name_len;
    struct smb_stream of;
};

void pull_meta(const struct smb_info *i, bool folder, struct meta *ret)
{
    *ret = (struct meta){.mode = folder ? S_IFDIR | 0700 : S_IFREG | 0600,
                         .nlink = 1,
                         .size = folder ? 0 : i->size,
                         .blocks512 = folder ? 0 : (i->size + 511) / 512,
                         .ino = i->id,
                         .mtime = i->write,
                         .ctime = i->change,
                         .atime = i->access};
}

static void note(struct worker *w, const struct pull_entry *e, atomic_bool *once, int err,
                 const char *what)
{
    if (once && atomic_exchange(once, true))
        return;
    struct failure x = {
        e->folder->path, e->name, e->folder->len, e->name ? strlen(e->name) : 0, err, what};
    faillist_note(w->s->failures, &x);
}

/* Owner, mode and the attributes that go with them. */
static int descriptor(struct worker *w, const struct pull_entry *e, bool folder, struct meta *ret,
                      struct buf *b)
{
    struct puller *k = w->own;
    const void *sd = NULL;
    size_t len = 0;
    int rc = smb_get_data(e->call, e->descriptor, &sd, &len);
    if (rc < 0)
        return rc;
    struct smbacl_look look;
    buf_clear(&k->mapped);
    rc = w->s->spec->options.map
             ? ntacl_map_descriptor(sd, len, w->s->spec->options.map, &k->mapped)
             : 0;
    if (rc == 1) {
        sd = k->mapped.data;
        len = k->mapped.len;
    }
    if (rc >= 0) /* one that cannot be mapped must not give anybody what was another's */
        rc = smbacl_look(k->p->smbacl, sd, len, folder, &look);
    if (rc < 0)
        return rc;
    if (!smbacl_is_there(k->p->smbacl))
        note(w, e, &k->p->noted_samba, EOPNOTSUPP, "NT ACLs (no Samba on this host)");
    else if (!look.known)
        note(w, e, NULL, -look.err, "NT ACL");
    if (!smb_has_audit(k->smb))
        note(w, e, &k->p->noted_audit, EPERM, "audit ACLs (no right to read)");
    ret->mode = (ret->mode & S_IFMT) | look.mode;
    ret->uid = look.uid;
    ret->gid = look.gid;
    buf_put(b, look.xattrs, look.xattrs_len);
    return 0;
}

static void dos_attributes(const struct smb_info *info, struct buf *b)
{
    static const char name[] = "user.DOSATTRIB";
    struct buf value;
    buf_init(&value, 64);
    smb_dosattrib(info, &value);
    buf_put_blob(b, name, sizeof name - 1);
    buf_put_blob(b, value.data, value.len);
    buf_done(&value);
}

/* ── streams ── */

static int by_name(const void *a, const void *b)
{
    const struct stream *x = a, *y = b;
    return xattr_name_order(x->name, x->name_len, y->name, y->name_len);
}

static size_t list_streams(struct worker *w, const struct pull_entry *e, struct stream *to)
{
    const void *data = NULL;
    size_t len = 0, n = 0;
    int rc = smb_get_data(e->call, e->streams, &data, &len), more = 0;
    if (rc < 0 || len == 0)
        return 0; /* a file system without any */
    struct cursor c = cursor_of(data, len);
    struct smb_stream s;
    while ((more = smb_stream_next(&c, &s)) == 1) {
        size_t total = sizeof STREAM_PREFIX - 1 + s.name_len - 1;
        if (n == STREAMS_MAX || total > XATTR_NAME_BYTES || s.size > STREAM_BYTES_MAX) {
            note(w, e, NULL, E2BIG, "stream");
            continue;
        }
        to[n].of = s;
        to[n].name_len = total;
        memcpy(to[n].name, STREAM_PREFIX, sizeof STREAM_PREFIX - 1);
        memcpy(to[n].name + sizeof STREAM_PREFIX - 1, s.name + 1, s.name_len - 1);
        n++;
    }
    if (more < 0)
        note(w, e, NULL, EBADMSG, "streams");
    qsort(to, n, sizeof *to, by_name);
    return n;
}

/* Its content, with the zero byte that smbd wants behind it. */
static int read_stream(struct worker *w, const struct pull_entry *e, const struct stream *s,
                       struct buf *b)
{
    struct puller *k = w->own;
    CLEANUP(mem_free) char *path = xmalloc(e->path_len + s->of.name_len + 1);
    memcpy(path, e->path, e->path_len);
    memcpy(path + e->path_len, s->of.name, s->of.name_len);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_put_open(c, path, e->path_len + s->of.name_len, 0);
    if (rc == 0)
        rc = smb_put_read(c, NULL, 0, STREAM_BYTES_MAX);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = pull_ask(w, c, rc);
    if (rc < 0)
        return rc;
    const void *data = NULL;
    size_t len = 0;
    rc = smb_get_open(c, 0, NULL, NULL);
    if (rc == 0)
        rc = smb_get_data(c, 1, &data, &len);
    if (rc < 0)
        return rc;
    if (len != s->of.size)
        return -EBUSY;
    buf_put_blob(b, s->name, s->name_len);
    buf_put_varint(b, len + 1);
    buf_put(b, data, len);
    buf_put_u8(b, 0);
    return 0;
}

static bool has_named(const void *data, size_t len)
{
    struct cursor c = cursor_of(data, len);
    struct smb_stream s;
    return smb_stream_next(&c, &s) == 1;
}

/* The mark, by which smbd believes the depot; what is in it comes when the entry has its inode. */
static int mark(struct worker *w, const struct pull_entry *e, struct buf *b)
{
    buf_put_blob(b, DEPOT_MARK, sizeof DEPOT_MARK - 1);
    buf_put_blob(b, "1", 1);
    return pull_depot_note(w, e);
}

static int streams(struct worker *w, const struct pull_entry *e, struct buf *b)
{
    CLEANUP(mem_free) struct stream *list = NULL;
    const void *data = NULL;
    size_t len = 0;
    /* Most have the unnamed one alone: one record. */
    if (smb_get_data(e->call, e->streams, &data, &len) < 0 || len <= 38)
        return 0;
    if (pull_of(w)->depot >= 0)
        return has_named(data, len) ? mark(w, e, b) : 0;
    list = xcalloc(STREAMS_MAX, sizeof *list);
    size_t n = list_streams(w, e, list);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t before = b->len;
        rc = read_stream(w, e, &list[i], b);
        if (b->len > ENTRY_XATTRS_MAX || b->overflow) {
            note(w, e, NULL, E2BIG, "stream");
            b->len = before;
            b->overflow = false;
        }
    }
    return rc;
}

int pull_attrs(struct worker *w, const struct pull_entry *e, const struct smb_info *info,
               bool folder, struct meta *ret, struct buf *b)
{
    buf_clear(b);
    pull_meta(info, folder, ret);
    int rc = descriptor(w, e, folder, ret, b);
    if (rc < 0)
        return rc;
    dos_attributes(info, b);
    return streams(w, e, b);
}
