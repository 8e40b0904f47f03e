/* push_there: what the server has in the folder in hand, as digests of names in one sorted table,
 * and what of it goes. Worker threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/push/push_priv.h"
#include "common/base/filter.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

#define ENTRIES_MAX 4000000U /* of one folder */

static uint64_t folded(const char *name, size_t len)
{
    char low[768];
    size_t n = len < sizeof low ? len : sizeof low;
    for (size_t i = 0; i < n; i++)
        low[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    return XXH3_64bits(low, n);
}

static int open_folder(struct pusher *k, const char *path, size_t len, struct smb_handle *ret)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_ask(c, smb_put_open(c, path, len, SMB_OPEN_FOLDER));
    return rc == 0 ? smb_get_open(c, 0, ret, NULL) : rc;
}

static int close_folder(struct pusher *k, const struct smb_handle *h)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    return smb_is_lost(k->smb) ? -ENOTCONN : smb_ask(c, smb_put_close(c, h));
}

/* One answer. 1: more may follow. */
static int list_some(struct pusher *k, const struct smb_handle *h, bool first,
                     int (*each)(struct pusher *k, void *arg, const struct smb_entry *e), void *arg)
{
    const void *data = NULL;
    size_t n = 0;
    struct smb_entry e;
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_ask(c, smb_put_list(c, h, first));
    if (rc == 0)
        rc = smb_get_data(c, 0, &data, &n);
    if (rc < 0 || n == 0)
        return rc;
    struct cursor at = cursor_of(data, n);
    int more = 0;
    while (rc == 0 && (more = smb_entry_next(&at, &e)) == 1)
        rc = each(k, arg, &e);
    return rc < 0 ? rc : more < 0 ? more : 1;
}

int push_list(struct pusher *k, const char *path, size_t len,
              int (*each)(struct pusher *k, void *arg, const struct smb_entry *e), void *arg)
{
    struct smb_handle h;
    int rc = open_folder(k, path, len, &h);
    if (rc < 0)
        return rc;
    for (bool first = true; (rc = list_some(k, &h, first, each, arg)) == 1;)
        first = false;
    int closed = close_folder(k, &h);
    return rc < 0 ? rc : closed;
}

static int keep(struct pusher *k, void *arg, const struct smb_entry *e)
{
    (void)arg;
    if (k->nthere == ENTRIES_MAX)
        return -E2BIG;
    if (k->nthere == k->there_cap) {
        k->there_cap = k->there_cap ? 2 * k->there_cap : 256;
        k->there = xrealloc(k->there, k->there_cap * sizeof *k->there);
    }
    k->there[k->nthere++] = (struct there){.name = folded(e->name, e->name_len),
                                           .size = e->info.size,
                                           .write = e->info.write,
                                           .attributes = e->info.attributes};
    k->stale = k->stale || strncmp(e->name, PUSH_TEMP, sizeof PUSH_TEMP - 1) == 0;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct there *x = a, *y = b;
    return x->name < y->name ? -1 : x->name > y->name;
}

int there_read(struct pusher *k)
{
    size_t len = 0;
    CLEANUP(mem_free) char *path = push_path(k, NULL, &len);
    k->nthere = 0;
    k->stale = false;
    int rc = path ? push_list(k, path, len, keep, NULL) : -ENAMETOOLONG;
    if (k->nthere > 0)
        qsort(k->there, k->nthere, sizeof *k->there, by_name);
    return rc;
}

struct there *there_find(const struct pusher *k, const char *name, size_t len)
{
    const struct there key = {.name = folded(name, len)};
    return k->nthere ? bsearch(&key, k->there, k->nthere, sizeof key, by_name) : NULL;
}

/* ── what the source has not ── */

struct extras {
    bool all;
    struct buf names; /* u8 is a folder, name, NUL */
};

static int gather(struct pusher *k, void *arg, const struct smb_entry *e)
{
    struct extras *x = arg;
    const struct transfer_options *o = k->p->order->options;
    const struct there *t = there_find(k, e->name, e->name_len);
    bool temporary = strncmp(e->name, PUSH_TEMP, sizeof PUSH_TEMP - 1) == 0;
    bool folder = (e->info.attributes & (SMB_ATTR_FOLDER | SMB_ATTR_REPARSE)) == SMB_ATTR_FOLDER;
    /* What was not on the list before came since then. */
    if (e->odd || (t && t->seen) || (!temporary && (!x->all || !t)))
        return 0;
    if (!temporary && o->filter && !o->delete_excluded &&
        (filter_name(o->filter, k->path, k->path_len, e->name, e->name_len, folder) ||
         (!folder && filter_has_limits(o->filter))))
        return 0;
    buf_put_u8(&x->names, folder);
    buf_put(&x->names, e->name, e->name_len + 1);
    return x->names.overflow ? -E2BIG : 0;
}

int push_extras(struct pusher *k, bool all)
{
    struct extras x = {.all = all};
    size_t len = 0;
    CLEANUP(mem_free) char *path = push_path(k, NULL, &len);
    buf_init(&x.names, 64U << 20);
    int rc = path ? push_list(k, path, len, gather, &x) : 0;
    for (size_t at = 0; rc == 0 && at < x.names.len;) {
        bool folder = x.names.data[at];
        const char *name = (const char *)x.names.data + at + 1;
        CLEANUP(mem_free) char *whole = push_path(k, name, &len);
        at += 2 + strlen(name);
        int err = !whole           ? -ENAMETOOLONG
                  : push_is_dry(k) ? 0
                                   : push_remove(k, whole, len, folder, 0);
        if (smb_is_lost(k->smb))
            rc = err < 0 ? err : -ENOTCONN;
        else if (err < 0 && err != -ENOENT)
            push_failed(k, name, -err, "delete");
        else if (strncmp(name, PUSH_TEMP, sizeof PUSH_TEMP - 1) != 0)
            push_count(k, offsetof(struct counters, deleted), 1);
    }
    buf_done(&x.names);
    return smb_is_lost(k->smb) ? rc : 0;
}
