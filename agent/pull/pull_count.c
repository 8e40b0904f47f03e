/* pull_count: walks a share, one connection, in bounded memory; each file is opened as a transfer
 * would, many at once, which tells what the list does not: its names, its streams, who holds it.
 * The step's thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pull/pull.h"
#include "agent/step.h"
#include "agent/store/pathstack.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define STACK_BYTES (8U << 20)
#define PATH_MAX_BYTES (64U << 10)
#define LOOKS 32U

struct look {
    struct smb_entry e;
    struct smb_call *call; /* NULL: not opened */
};

struct walk {
    struct smb *smb;
    struct pathstack *stack;
    const struct pull_source *from;
    const struct pull_counting *how;
    uint64_t entries;   /* of the folder in hand */
    struct look *looks; /* LOOKS */
};

static size_t depth_of(const char *path, size_t len)
{
    size_t n = len > 0;
    for (size_t i = 0; i < len; i++)
        n += path[i] == '/';
    return n;
}

static int push(struct walk *w, const char *path, size_t len, const struct smb_entry *e)
{
    size_t n = len + (len > 0) + e->name_len;
    if (n > PATH_MAX_BYTES) {
        w->how->failed(w->how->arg, path, len, ENAMETOOLONG);
        return 0;
    }
    CLEANUP(mem_free) char *child = xmalloc(n + 1);
    memcpy(child, path, len);
    child[len] = '/';
    memcpy(child + n - e->name_len, e->name, e->name_len);
    return pathstack_push(w->stack, child, n, 0);
}

/* From the share's root; name NULL: the folder itself. malloc'd. */
static char *whole_path(const struct walk *w, const char *path, size_t len, const char *name)
{
    const struct pull_source *f = w->from;
    return xasprintf("%.*s%s%.*s%s%s", (int)f->base_len, f->base, f->base_len && len ? "/" : "",
                     (int)len, path, name && (f->base_len || len) ? "/" : "", name ? name : "");
}

/* ── what opening a file tells ── */

/* -errno of the connection only: what cannot be opened, the transfer will name. */
static int look_ask(struct walk *w, const char *path, size_t len, struct look *k)
{
    if (k->e.odd || k->e.info.attributes & (SMB_ATTR_FOLDER | SMB_ATTR_REPARSE))
        return 0;
    CLEANUP(mem_free) char *whole = whole_path(w, path, len, k->e.name);
    k->call = smb_call_new(w->smb);
    int rc = smb_put_open(k->call, whole, strlen(whole), SMB_OPEN_FILE);
    if (rc == 0)
        rc = smb_put_standard(k->call, NULL);
    if (rc == 0)
        rc = smb_put_streams(k->call, NULL);
    if (rc == 0)
        rc = smb_put_descriptor(k->call, NULL);
    if (rc == 0)
        rc = smb_put_close(k->call, NULL);
    if (rc == 0)
        rc = smb_send(k->call);
    if (rc == 0 || smb_is_lost(w->smb))
        return rc;
    k->call = smb_call_free(k->call);
    return 0;
}

static void streams_take(const struct smb_call *c, unsigned part, struct pull_seen *ret)
{
    const void *data = NULL;
    size_t len = 0;
    struct smb_stream s;
    if (smb_get_data(c, part, &data, &len) < 0)
        return;
    struct cursor at = cursor_of(data, len);
    while (smb_stream_next(&at, &s) == 1) {
        ret->streams++;
        ret->large += s.size > PULL_STREAM_MAX;
    }
}

static void descriptor_take(const struct walk *w, const struct smb_call *c, unsigned part)
{
    const void *sd = NULL;
    size_t len = 0;
    if (smb_get_data(c, part, &sd, &len) == 0)
        w->how->descriptor(w->how->arg, sd, len);
}

static int look_take(struct walk *w, struct look *k, struct pull_seen *ret)
{
    int rc = k->call ? smb_wait(k->call) : 0;
    if (rc < 0 || !k->call)
        return rc;
    rc = smb_get_open(k->call, 0, NULL, NULL);
    ret->held = rc == -ETXTBSY;
    if (rc == 0) {
        (void)smb_get_links(k->call, 1, &ret->links);
        streams_take(k->call, 2, ret);
        descriptor_take(w, k->call, 3);
    }
    k->call = smb_call_free(k->call);
    return smb_is_lost(w->smb) ? -ENOTCONN : 0;
}

static void looks_drop(struct walk *w)
{
    for (unsigned i = 0; i < LOOKS; i++)
        w->looks[i].call = smb_call_free(w->looks[i].call);
}

/* ── a folder ── */

static struct pull_counted counted(const char *path, size_t len, const struct smb_entry *e)
{
    return (struct pull_counted){.entry = e,
                                 .folder = path,
                                 .folder_len = len,
                                 .path_len = len + (len > 0) + e->name_len,
                                 .depth = depth_of(path, len) + 1};
}

static int take_one(struct walk *w, const char *path, size_t len, struct look *k)
{
    struct pull_counted x = counted(path, len, &k->e);
    int rc = look_take(w, k, &x.seen);
    if (rc < 0)
        return rc;
    w->entries++;
    w->how->entry(w->how->arg, &x);
    bool go = (k->e.info.attributes & (SMB_ATTR_FOLDER | SMB_ATTR_REPARSE)) == SMB_ATTR_FOLDER;
    return go && !k->e.odd ? push(w, path, len, &k->e) : 0;
}

/* Up to LOOKS entries. *retmore: as smb_entry_next() has it. */
static int take_some(struct walk *w, const char *path, size_t len, struct cursor *c, int *retmore)
{
    unsigned n = 0;
    int rc = 0;
    while (rc == 0 && n < LOOKS && (*retmore = smb_entry_next(c, &w->looks[n].e)) == 1) {
        struct pull_counted x = counted(path, len, &w->looks[n].e);
        if (!w->how->leaves_out(w->how->arg, &x))
            rc = look_ask(w, path, len, &w->looks[n++]);
    }
    for (unsigned i = 0; rc == 0 && i < n; i++)
        rc = take_one(w, path, len, &w->looks[i]);
    return rc;
}

/* The entries of one answer. */
static int take(struct walk *w, const char *path, size_t len, const void *data, size_t n)
{
    struct cursor c = cursor_of(data, n);
    int rc = 0, more = 1;
    while (rc == 0 && more == 1)
        rc = take_some(w, path, len, &c, &more);
    return rc < 0 ? rc : more;
}

static int open_folder(struct walk *w, const char *path, size_t len, struct smb_handle *ret)
{
    CLEANUP(mem_free) char *whole = whole_path(w, path, len, NULL);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(w->smb);
    int rc = smb_put_open(c, whole, strlen(whole), SMB_OPEN_FOLDER);
    if (rc == 0)
        rc = smb_put_descriptor(c, NULL);
    rc = smb_ask(c, rc);
    if (rc == 0)
        rc = smb_get_open(c, 0, ret, NULL);
    if (rc == 0)
        descriptor_take(w, c, 1);
    return rc;
}

/* *reterr: of the folder. */
static int list_folder(struct walk *w, const char *path, size_t len, int *reterr)
{
    struct smb_handle h;
    *reterr = open_folder(w, path, len, &h);
    if (*reterr < 0)
        return smb_is_lost(w->smb) ? *reterr : 0;
    int rc = 0;
    w->entries = 0;
    for (bool first = true; rc == 0 && *reterr == 0; first = false) {
        const void *data = NULL;
        size_t n = 0;
        CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(w->smb);
        rc = smb_ask(c, smb_put_list(c, &h, first));
        if (rc == 0)
            *reterr = smb_get_data(c, 0, &data, &n);
        if (rc < 0 || *reterr < 0 || n == 0)
            break;
        rc = take(w, path, len, data, n);
    }
    w->how->folder(w->how->arg, w->entries);
    if (rc < 0)
        return rc;
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(w->smb);
    return smb_ask(c, smb_put_close(c, &h));
}

static int walk(struct walk *w, const struct step *step)
{
    int rc = pathstack_push(w->stack, "", 0, 0);
    while (rc == 0) {
        CLEANUP(mem_free) char *path = NULL;
        size_t len = 0;
        uint32_t flags = 0;
        int err = 0;
        if (step_cancelled(step))
            return -ECANCELED;
        int got = pathstack_pop(w->stack, false, &path, &len, &flags);
        if (got != 1)
            return got;
        rc = list_folder(w, path, len, &err);
        pathstack_done(w->stack);
        if (rc == 0 && err < 0 && len == 0)
            return err;
        if (rc == 0 && err < 0 && err != -ENOENT)
            w->how->failed(w->how->arg, path, len, -err);
    }
    return rc;
}

int pull_count(struct step *step, const struct pull_source *from, const struct pull_counting *how,
               struct fault *reterr)
{
    struct walk w = {.from = from, .how = how};
    int rc = smb_connect(&w.smb, &from->place, reterr);
    if (rc < 0)
        return rc;
    rc = pathstack_new(&w.stack, step_env(step)->state_dir, STACK_BYTES);
    w.looks = xcalloc(LOOKS, sizeof *w.looks);
    if (rc == 0)
        rc = walk(&w, step);
    looks_drop(&w);
    free(w.looks);
    (void)pathstack_free(w.stack);
    (void)smb_close(w.smb);
    if (rc < 0 && rc != -ECANCELED)
        return fault_set(reterr, rc == -ENOENT || rc == -EACCES ? FAULT_STOP_JOB : FAULT_RETRY, -rc,
                         "cannot count '/%.*s' of the share %.60s on %s: %s", (int)from->base_len,
                         from->base, from->place.share, from->place.address, strerror(-rc));
    return rc;
}
