/* pull_file: one answered file becomes an entry of a batch, or begins a transfer in pieces. Worker
 * threads. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/pull/pull_priv.h"
#include "agent/transfer/digest.h"

int pull_count_sent(struct worker *w, uint64_t n)
{
    (void)pthread_mutex_lock(&w->s->lock);
    w->s->sent += n;
    w->s->counters.sent_bytes += n;
    (void)pthread_mutex_unlock(&w->s->lock);
    return 0;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Between the open and the close of one chain. */
static bool held_still(const struct smb_info *a, const struct smb_info *b)
{
    return a->size == b->size && same_time(a->write, b->write) && same_time(a->change, b->change);
}

static struct batch_entry entry_of(struct worker *w, const char *name, enum batch_kind kind,
                                   const struct meta *m)
{
    struct puller *k = w->own;
    return (struct batch_entry){
        .kind = (uint8_t)kind,
        .name = {name,                         strlen(name) },
        .meta = *m,
        .xattrs = {(const char *)k->xattrs.data, k->xattrs.len}
    };
}

/* Undone when it does not fit, which bounds before make impossible. */
static int put(struct worker *w, const struct fetch *f, const struct meta *m, const void *data)
{
    size_t from = w->out.len;
    bool same = false;
    struct batch_entry e = entry_of(w, f->name, BATCH_FILE, m);
    digest_bytes(data, m->size, e.digest);
    if (f->check) {
        same = memcmp(e.digest, f->digest, DIGEST_BYTES) == 0;
        e.kind = same ? BATCH_META : BATCH_FILE;
    }
    e.nsegments = m->size > 0 && !same;
    batch_entry_put(&w->out, &e);
    if (e.nsegments) {
        buf_put_u64(&w->out, 0);
        buf_put_varint(&w->out, m->size);
        buf_put(&w->out, data, m->size);
    }
    if (w->out.overflow) {
        w->out.len = from;
        w->out.overflow = false;
        return -EMSGSIZE;
    }
    return same ? 0 : pull_count_sent(w, m->size);
}

static int emit_small(struct worker *w, struct fetch *f, const struct meta *m, int *reterr)
{
    const void *data = "";
    size_t len = 0;
    if (m->size > 0)
        *reterr = smb_get_data(f->call, 3, &data, &len);
    if (*reterr == 0 && len != m->size)
        *reterr = -EBUSY;
    if (*reterr < 0)
        return 0;
    int rc = batch_at(w, f->folder, 0);
    return rc < 0 ? rc : put(w, f, m, data);
}

static int emit_meta(struct worker *w, const struct fetch *f, const struct meta *m)
{
    int rc = batch_at(w, f->folder, 0);
    struct batch_entry e = entry_of(w, f->name, BATCH_META, m);
    if (rc == 0)
        batch_entry_put(&w->out, &e);
    return rc;
}

/* Checked by its change time alone: reading all of it to compare digests costs what sending costs
 * on the way from the server. */
static int emit_large(struct worker *w, struct fetch *f, const struct meta *m, int *reterr)
{
    if (pull_may_hand(w, f, m))
        return pull_hand(w, f);
    int rc = batch_at(w, f->folder, 0);
    if (rc == 0)
        rc = pull_large(w, f->folder, f->name, m);
    if (rc != -EBUSY)
        return rc;
    *reterr = rc;
    return 0;
}

int pull_emit(struct worker *w, struct fetch *f, int *reterr)
{
    struct puller *k = w->own;
    struct smb_info info, after;
    struct meta m;
    struct pull_entry e = {.call = f->call,
                           .open = 0,
                           .descriptor = 1,
                           .streams = 2,
                           .folder = f->folder,
                           .name = f->name};
    unsigned close_at = pull_reads(f) ? 4 : 3;
    *reterr = smb_get_open(f->call, 0, NULL, &info);
    if (*reterr == 0)
        *reterr = smb_get_close(f->call, close_at, &after);
    if (*reterr == 0 && (info.size != f->size || !held_still(&info, &after))) {
        f->size = info.size;
        *reterr = -EBUSY;
    }
    if (*reterr == 0)
        *reterr = pull_path(w, f->folder, f->name, &e.path, &e.path_len);
    info.id = f->id;
    if (*reterr == 0)
        *reterr = pull_attrs(w, &e, &info, false, &m, &k->xattrs);
    if (*reterr == 0 && m.size > LARGE_BYTES_MAX)
        *reterr = -EFBIG;
    if (*reterr < 0)
        return smb_is_lost(k->smb) ? *reterr : 0;
    if (f->want == FETCH_NEW)
        walk_count(w, &m, false);
    if (f->want == FETCH_NEW)
        f->want = FETCH_DATA;
    if (f->want == FETCH_META)
        return emit_meta(w, f, &m);
    return m.size <= BATCH_FILE_MAX ? emit_small(w, f, &m, reterr) : emit_large(w, f, &m, reterr);
}
