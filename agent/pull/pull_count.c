/* pull_count: walks a share by names alone, one connection, in bounded memory. The step's thread.
 */
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

struct walk {
    struct smb *smb;
    struct pathstack *stack;
    const struct pull_source *from;
    const struct pull_counting *how;
    uint64_t entries; /* of the folder in hand */
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

/* The entries of one answer. */
static int take(struct walk *w, const char *path, size_t len, const void *data, size_t n)
{
    struct cursor c = cursor_of(data, n);
    struct smb_entry e;
    int rc, more;
    while ((more = smb_entry_next(&c, &e)) == 1) {
        struct pull_counted x = {&e, len + (len > 0) + e.name_len, depth_of(path, len) + 1};
        w->entries++;
        w->how->entry(w->how->arg, &x);
        bool go = (e.info.attributes & (SMB_ATTR_FOLDER | SMB_ATTR_REPARSE)) == SMB_ATTR_FOLDER;
        rc = go && !e.odd ? push(w, path, len, &e) : 0;
        if (rc < 0)
            return rc;
    }
    return more;
}

static int ask(struct smb_call *c, int rc)
{
    if (rc == 0)
        rc = smb_send(c);
    return rc == 0 ? smb_wait(c) : rc;
}

static int open_folder(struct walk *w, const char *path, size_t len, struct smb_handle *ret)
{
    const struct pull_source *f = w->from;
    CLEANUP(mem_free)
    char *whole = xasprintf("%.*s%s%.*s", (int)f->base_len, f->base, f->base_len && len ? "/" : "",
                            (int)len, path);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(w->smb);
    int rc = ask(c, smb_put_open(c, whole, strlen(whole), SMB_OPEN_FOLDER));
    return rc == 0 ? smb_get_open(c, 0, ret, NULL) : rc;
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
        rc = ask(c, smb_put_list(c, &h, first));
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
    return ask(c, smb_put_close(c, &h));
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
    if (rc == 0)
        rc = walk(&w, step);
    (void)pathstack_free(w.stack);
    (void)smb_close(w.smb);
    if (rc < 0 && rc != -ECANCELED)
        return fault_set(reterr, rc == -ENOENT || rc == -EACCES ? FAULT_STOP_JOB : FAULT_RETRY, -rc,
                         "cannot count '/%.*s' of the share %.60s on %s: %s", (int)from->base_len,
                         from->base, from->place.share, from->place.address, strerror(-rc));
    return rc;
}
