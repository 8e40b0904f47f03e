/* pull_walk: one folder of the share: its own attributes and its list by one message; its files
 * into the window or onto a listing; and what the destination answers. Worker threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/pull/pull_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define LISTING_BYTES (300U << 10)

/* The entries of a folder, one after the other. */
struct list {
    struct worker *w;
    struct smb_handle handle;
    struct smb_call *call; /* that holds the entries at c */
    struct cursor c;
    int err; /* why the list ends before its end */
};

/* ── the folder itself ── */

static int ask_folder(struct worker *w, const struct folder *f, struct smb_call *c,
                      struct pull_entry *e)
{
    int rc = pull_path(w, f, NULL, &e->path, &e->path_len);
    if (rc == 0)
        rc = smb_put_open(c, e->path, e->path_len, SMB_OPEN_FOLDER);
    if (rc == 0)
        rc = smb_put_descriptor(c, NULL);
    if (rc == 0)
        rc = smb_put_streams(c, NULL);
    if (rc == 0)
        rc = smb_put_list(c, NULL, true);
    return pull_ask(w, c, rc);
}

static bool is_gone(int rc)
{
    return rc == -ENOENT || rc == -ENOTDIR;
}

/* 1: l is at its first entry. 0: not there, or a failure that was counted. */
static int list_open(struct worker *w, struct folder *f, struct list *l)
{
    struct puller *k = w->own;
    struct smb_info info;
    const void *data = NULL;
    size_t len = 0;
    *l = (struct list){.w = w, .call = smb_call_new(k->smb)};
    struct pull_entry e = {.call = l->call, .open = 0, .descriptor = 1, .streams = 2, .folder = f};
    int rc = ask_folder(w, f, l->call, &e);
    if (rc < 0 && smb_is_lost(k->smb))
        return rc;
    if (rc == 0)
        rc = smb_get_open(l->call, 0, &l->handle, &info);
    bool open = rc == 0;
    if (rc == 0)
        rc = pull_attrs(w, &e, &info, true, &f->meta, &f->xattrs);
    if (rc == 0)
        rc = smb_get_data(l->call, 3, &data, &len);
    if (rc == 0) {
        l->c = cursor_of(data, len);
        return 1;
    }
    if (open)
        smb_shut(k->smb, &l->handle);
    if (smb_is_lost(k->smb))
        return -ENOTCONN;
    if (!is_gone(rc) || f->len == 0)
        worker_failed(w, f, NULL, -rc, "open folder");
    return 0;
}

/* 1: *ret. 0: the end, or l->err. -errno of the connection. */
static int list_next(struct list *l, struct smb_entry *ret)
{
    struct puller *k = l->w->own;
    for (;;) {
        int rc = smb_entry_next(&l->c, ret);
        if (rc != 0) {
            l->err = rc < 0 ? rc : 0;
            return rc < 0 ? 0 : 1;
        }
        const void *data = NULL;
        size_t len = 0;
        l->call = smb_call_free(l->call);
        l->call = smb_call_new(k->smb);
        rc = pull_ask(l->w, l->call, smb_put_list(l->call, &l->handle, false));
        if (rc < 0)
            return rc;
        l->err = smb_get_data(l->call, 0, &data, &len);
        if (l->err < 0 || len == 0)
            return 0;
        l->c = cursor_of(data, len);
    }
}

static void list_close(struct list *l)
{
    struct puller *k = l->w->own;
    l->call = smb_call_free(l->call);
    smb_shut(k->smb, &l->handle);
}

/* What cannot be taken: counted, and false. */
static bool is_usable(struct worker *w, struct folder *f, const struct smb_entry *e)
{
    if (e->odd) {
        worker_failed(w, f, e->name_len ? e->name : "?", e->name_len > 255 ? ENAMETOOLONG : EILSEQ,
                      "name");
        return false;
    }
    if (e->info.attributes & SMB_ATTR_REPARSE) {
        worker_failed(w, f, e->name, EOPNOTSUPP, "reparse point");
        return false;
    }
    return true;
}

/* ── fresh ── */

static int fresh_one(struct worker *w, struct folder *f, const struct smb_entry *e)
{
    struct meta m;
    pull_meta(&e->info, e->info.attributes & SMB_ATTR_FOLDER, &m);
    if (walk_name_left_out(w, f, e->name, S_ISDIR(m.mode)) || walk_leaves_out(w, &m) ||
        !is_usable(w, f, e))
        return 0;
    if (e->info.attributes & SMB_ATTR_FOLDER)
        return walk_push(w, f, e->name, WALK_FRESH);
    return pull_fetch(w, f, e->name, &e->info, FETCH_NEW, NULL);
}

static int walk_fresh(struct worker *w, struct folder *f, struct list *l)
{
    struct smb_entry e;
    int rc = batch_folder(w, f), more = 1;
    while (rc == 0 && (more = list_next(l, &e)) == 1)
        rc = atomic_load(&w->s->broken) ? -ECANCELED : fresh_one(w, f, &e);
    if (rc == 0)
        rc = more;
    if (rc == 0 && l->err < 0)
        worker_failed(w, f, NULL, -l->err, "read folder");
    return rc;
}

/* ── listed ── */

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Windows dates a change of descriptor, attributes or streams; Samba tells the time of the last
 * write once more. Where no change time says anything, every file is looked at. */
static bool wants_look(struct pull *p, const struct transfer_options *o, const struct smb_info *i)
{
    if (i->attributes & (SMB_ATTR_FOLDER | SMB_ATTR_REPARSE))
        return false;
    if (!same_time(i->change, i->write))
        atomic_store(&p->tells_change, true);
    /* Streams of a depot are no part of what the destination compares. */
    return o->full_scan || p->depot >= 0 || !atomic_load(&p->tells_change);
}

/* Asks for what the list does not tell; answered in look_take(). */
static int look_ask(struct worker *w, const struct folder *f, struct look *k)
{
    struct puller *u = w->own;
    const char *path = NULL;
    size_t len = 0;
    k->call = NULL;
    if (k->e.odd || !wants_look(u->p, &w->s->spec->options, &k->e.info))
        return 0;
    int rc = pull_path(w, f, k->e.name, &path, &len);
    if (rc < 0)
        return 0;
    k->call = smb_call_new(u->smb);
    rc = smb_put_open(k->call, path, len, SMB_OPEN_ATTRIBUTES);
    if (rc == 0)
        rc = smb_put_descriptor(k->call, NULL);
    if (rc == 0)
        rc = smb_put_streams(k->call, NULL);
    if (rc == 0)
        rc = smb_put_close(k->call, NULL);
    if (rc == 0)
        rc = smb_send(k->call);
    return rc < 0 && smb_is_lost(u->smb) ? rc : 0;
}

/* What could not be seen is no failure here: reading the file tells why. */
static int look_take(struct worker *w, struct listing *l, struct look *k, struct listing_entry *x)
{
    struct puller *u = w->own;
    struct smb_info info;
    struct meta m;
    struct pull_entry e = {
        .call = k->call, .descriptor = 1, .streams = 2, .folder = l->folder, .name = k->e.name};
    int rc = k->call ? pull_wait(w, k->call) : -ENODATA;
    if (rc == 0)
        rc = smb_get_open(k->call, 0, NULL, &info);
    if (rc == 0)
        rc = pull_path(w, l->folder, k->e.name, &e.path, &e.path_len);
    if (rc == 0)
        rc = pull_attrs(w, &e, &k->e.info, false, &m, &u->xattrs);
    k->call = smb_call_free(k->call);
    if (smb_is_lost(u->smb))
        return rc < 0 ? rc : -ENOTCONN;
    if (rc < 0)
        return 0;
    x->meta = m;
    x->flags = 0;
    x->xattrs_digest = xattrs_digest(u->xattrs.data, u->xattrs.len);
    return 0;
}

static int list_one(struct worker *w, struct listing *l, struct look *k)
{
    const struct smb_entry *e = &k->e;
    struct listing_entry x = {
        .name = {e->name, e->name_len},
          .flags = ENTRY_UNSEEN
    };
    pull_meta(&e->info, e->info.attributes & SMB_ATTR_FOLDER, &x.meta);
    if (walk_name_left_out(w, l->folder, e->name, S_ISDIR(x.meta.mode)))
        return 0;
    if (walk_leaves_out(w, &x.meta)) { /* as in walk.c */
        l->folder->incomplete = l->folder->incomplete || !w->s->spec->options.delete_excluded;
        return 0;
    }
    if (!is_usable(w, l->folder, e)) {
        l->folder->incomplete = true;
        return 0;
    }
    int rc = look_take(w, l, k, &x);
    if (rc < 0)
        return rc;
    walk_count(w, &x.meta, false);
    l->items[l->count++] = (struct item){x.meta, (uint32_t)l->names.len, 0};
    buf_put(&l->names, e->name, e->name_len + 1);
    listing_entry_put(&w->record, &x);
    return 0;
}

/* Up to WINDOW_FILES entries, of which *next is the first. *more: as list_next() has it. */
static int list_some(struct worker *w, struct listing *l, struct list *from, struct smb_entry *next,
                     int *more)
{
    struct puller *u = w->own;
    unsigned n = 0, room = LISTING_ENTRIES - l->count;
    int rc = 0;
    while (rc == 0 && *more == 1 && n < WINDOW_FILES && n < room) {
        u->looks[n].e = *next;
        rc = look_ask(w, l->folder, &u->looks[n++]);
        if (rc == 0)
            *more = list_next(from, next);
    }
    if (*more < 0)
        rc = *more;
    for (unsigned i = 0; i < n; i++) {
        if (rc == 0)
            rc = list_one(w, l, &u->looks[i]);
        u->looks[i].call = smb_call_free(u->looks[i].call);
    }
    return rc;
}

static int walk_listed(struct worker *w, struct folder *f, struct list *from)
{
    struct smb_entry e;
    uint8_t flags = LISTING_FIRST;
    int more = list_next(from, &e), rc = more < 0 ? more : 0;
    flags |= f->len == 0 && more == 0 && from->err == 0 ? LISTING_EMPTY : 0;
    while (rc == 0) {
        struct listing *l = walk_listing_new(f);
        size_t flags_at = walk_block_begin(w, f, flags), count_at = w->record.len - 4;
        while (rc == 0 && more == 1 && l->count < LISTING_ENTRIES &&
               w->record.len < count_at + LISTING_BYTES)
            rc = list_some(w, l, from, &e, &more);
        if (rc < 0) {
            listing_free(w, l);
            return rc;
        }
        if (more == 0)
            flags |= LISTING_LAST | (from->err == 0 && !f->incomplete ? LISTING_COMPLETE : 0);
        rc = walk_block_send(w, l, flags_at, count_at, flags);
        flags = 0;
        if (rc == 0)
            rc = walk_answers_due(w);
        if (more == 0)
            break;
    }
    if (rc == 0 && from->err < 0)
        worker_failed(w, f, NULL, -from->err, "read folder");
    return rc;
}

/* ── one entry alone: a failed one that is tried again ── */

static int look_at(struct worker *w, struct folder *f, const char *name, struct smb_entry *ret)
{
    struct puller *k = w->own;
    const char *path = NULL;
    size_t len = 0;
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = pull_path(w, f, name, &path, &len);
    if (rc == 0)
        rc = smb_put_open(c, path, len, SMB_OPEN_ATTRIBUTES);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = pull_ask(w, c, rc);
    *ret = (struct smb_entry){.name_len = strlen(name)};
    if (ret->name_len >= sizeof ret->name)
        return -ENAMETOOLONG;
    memcpy(ret->name, name, ret->name_len);
    return rc == 0 ? smb_get_open(c, 0, NULL, &ret->info) : rc;
}

static int send_one(struct worker *w, struct folder *f, struct look *k)
{
    struct listing *l = walk_listing_new(f);
    size_t flags_at = walk_block_begin(w, f, LISTING_FIRST), at = w->record.len - 4;
    int rc = list_one(w, l, k);
    if (rc == 0)
        return walk_block_send(w, l, flags_at, at, LISTING_FIRST | LISTING_LAST);
    listing_free(w, l);
    return rc;
}

/* Its folder's own attributes go with it. */
static int walk_one(struct worker *w, char *path, size_t len)
{
    struct puller *k = w->own;
    char *slash = memrchr(path, '/', len);
    size_t parent = slash ? (size_t)(slash - path) : 0, from = slash ? parent + 1 : 0;
    CLEANUP(mem_free) char *name = xmemdup(path + from, len - from);
    struct folder *f = walk_folder_new(path, parent, false);
    struct list l;
    struct look one = {.call = NULL};
    int rc = list_open(w, f, &l);
    if (rc == 1) {
        list_close(&l);
        rc = look_at(w, f, name, &one.e);
        if (rc == 0) {
            rc = send_one(w, f, &one);
        } else if (!smb_is_lost(k->smb)) {
            if (!is_gone(rc))
                worker_failed(w, f, name, -rc, "open");
            rc = 0;
        }
    } else {
        l.call = smb_call_free(l.call);
    }
    folder_unref(w, f);
    return rc;
}

int pull_folder(struct worker *w, char *path, size_t len, uint32_t flags)
{
    if ((flags & WALK_ONE) && len > 0)
        return walk_one(w, path, len);
    if (flags & WALK_FILE)
        return pull_handed(w, path, len, flags);
    struct folder *f = walk_folder_new(path, len, flags & WALK_FRESH);
    struct list l;
    int rc = list_open(w, f, &l);
    if (rc == 1) {
        FAULT_POINT("folder-open");
        rc = f->fresh ? walk_fresh(w, f, &l) : walk_listed(w, f, &l);
        list_close(&l);
        if (rc == 0)
            rc = pull_drain(w);
    } else {
        l.call = smb_call_free(l.call);
    }
    folder_unref(w, f);
    return rc;
}

/* ── answers ── */

static int answer_one(struct worker *w, struct listing *l, uint32_t i)
{
    struct folder *f = l->folder;
    const struct item *it = &l->items[i];
    const char *name = (const char *)l->names.data + it->name;
    enum verdict v = l->verdicts[i];
    struct smb_info info = {.size = it->meta.size, .id = it->meta.ino};
    if (v == VERDICT_EXISTS || v == VERDICT_FRESH) {
        if (!S_ISDIR(it->meta.mode))
            return -EPROTO;
        return walk_push(w, f, name, v == VERDICT_FRESH ? WALK_FRESH : 0);
    }
    if (v == VERDICT_SAME || v == VERDICT_META)
        walk_count_unchanged(w, it);
    if (S_ISDIR(it->meta.mode) || w->s->spec->options.dry_run || v == VERDICT_SAME ||
        v == VERDICT_SKIP)
        return 0;
    enum fetch_want want = v == VERDICT_META ? FETCH_META : FETCH_DATA;
    const uint8_t *digest = v == VERDICT_CHECK ? l->digests + (size_t)i * DIGEST_BYTES : NULL;
    return pull_fetch(w, f, name, &info, want, digest);
}

int pull_answer(struct worker *w, struct listing *l)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < l->count; i++)
        rc = answer_one(w, l, i);
    listing_free(w, l);
    return rc == 0 ? pull_drain(w) : rc;
}
