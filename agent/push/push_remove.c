/* push_remove: takes an entry of the server away, a folder with all that it holds; a link or mount
 * point by itself, never what it leads to. Worker threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/push/push_priv.h"
#include "common/base/mem.h"

int push_writable(struct pusher *k, const char *path, size_t len)
{
    const struct smb_info plain = {.attributes = 0x80};
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_put_make(c, path, len, SMB_MAKE_WRITABLE);
    if (rc == 0)
        rc = smb_put_basic(c, NULL, &plain);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = smb_ask(c, rc);
    if (rc == 0)
        rc = smb_get_done(c, 0);
    return rc == 0 ? smb_get_done(c, 1) : rc;
}

static int remove_one(struct pusher *k, const char *path, size_t len)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_put_make(c, path, len, SMB_MAKE_GONE);
    if (rc == 0)
        rc = smb_put_remove(c, NULL);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = smb_ask(c, rc);
    if (rc == 0)
        rc = smb_get_done(c, 0);
    return rc == 0 ? smb_get_done(c, 1) : rc;
}

static int gather(struct pusher *k, void *arg, const struct smb_entry *e)
{
    struct buf *names = arg;
    (void)k;
    if (e->odd)
        return 0; /* then its folder stays, and says so */
    buf_put_u8(names,
               (e->info.attributes & (SMB_ATTR_FOLDER | SMB_ATTR_REPARSE)) == SMB_ATTR_FOLDER);
    buf_put(names, e->name, e->name_len + 1);
    return names->overflow ? -E2BIG : 0;
}

static int remove_below(struct pusher *k, const char *path, size_t len,
                        unsigned depth) // NOLINT(misc-no-recursion)
{
    struct buf names;
    buf_init(&names, 16U << 20);
    int rc = depth > PUSH_DEPTH_MAX ? -ENAMETOOLONG : push_list(k, path, len, gather, &names);
    for (size_t at = 0; rc == 0 && at < names.len;) {
        const char *name = (const char *)names.data + at + 1;
        size_t n = strlen(name);
        CLEANUP(mem_free) char *child = xmalloc(len + n + 2);
        memcpy(child, path, len);
        child[len] = '/';
        memcpy(child + len + 1, name, n + 1);
        rc = push_remove(k, child, len + 1 + n, names.data[at], depth + 1);
        rc = rc == -ENOENT ? 0 : rc;
        at += 2 + n;
    }
    buf_done(&names);
    return rc;
}

int push_remove(struct pusher *k, const char *path, size_t len, bool folder,
                unsigned depth) // NOLINT(misc-no-recursion)
{
    int rc = step_cancelled(k->p->step) ? -ECANCELED : 0;
    if (rc == 0 && folder)
        rc = remove_below(k, path, len, depth);
    if (rc == 0)
        rc = remove_one(k, path, len);
    if (rc == -EACCES && push_writable(k, path, len) == 0)
        rc = remove_one(k, path, len);
    return rc;
}
