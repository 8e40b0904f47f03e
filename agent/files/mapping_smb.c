/* mapping_smb: a share of a server without an agent as "files.map" looks at it: the SIDs in its
 * descriptors; those of files that stand together in a folder are asked for together. One
 * connection a page. Worker thread. */
#include <errno.h>
#include <string.h>

#include "agent/files/endpoint.h"
#include "agent/files/mapping_priv.h"
#include "agent/store/ntacl.h"
#include "agent/store/smb.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define AHEAD 32U
#define LOOKED_PATH (128U << 10)

struct share {
    struct smb *smb;
    const struct pull_source *from;
    struct buf path;
    struct smb_call *ahead[AHEAD]; /* of the names first … first + n - 1 of the folder at hand */
    size_t first;
    unsigned n;
};

/* From the share's root; name may be NULL. */
static int whole(struct share *s, const struct buf *folder, size_t len, const char *name)
{
    buf_clear(&s->path);
    buf_put(&s->path, s->from->base, s->from->base_len);
    if (len > 0 && s->path.len > 0)
        buf_put_u8(&s->path, '/');
    buf_put(&s->path, folder->data, len);
    if (name && s->path.len > 0)
        buf_put_u8(&s->path, '/');
    if (name)
        buf_put(&s->path, name, strlen(name));
    return s->path.overflow ? -ENAMETOOLONG : 0;
}

static int failed(const struct share *s, int rc)
{
    return rc < 0 && (smb_is_lost(s->smb) || rc == -ECANCELED) ? -ENOTCONN : rc;
}

static int ask(const struct share *s, struct smb_call *c, int rc)
{
    return failed(s, smb_ask(c, rc));
}

/* ── a folder ── */

static int add(struct mapper *m, struct names *k, const struct smb_entry *e)
{
    struct named *one;
    /* Neither is copied: the inventory names them. */
    if (e->odd || (e->info.attributes & SMB_ATTR_REPARSE))
        return 0;
    int rc = map_names_add(m, k, e->name, e->name_len, &one);
    if (rc < 0)
        return rc;
    one->size = e->info.size;
    one->written_ms = (int64_t)e->info.write.tv_sec * 1000 + e->info.write.tv_nsec / 1000000;
    one->attributes = e->info.attributes;
    return 0;
}

static int list_all(struct mapper *m, const struct smb_handle *h, struct names *ret)
{
    struct share *s = m->of;
    struct smb_entry e;
    for (bool first = true;; first = false) {
        const void *data = NULL;
        size_t len = 0;
        CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(s->smb);
        int rc = ask(s, c, smb_put_list(c, h, first));
        if (rc == 0)
            rc = smb_get_data(c, 0, &data, &len);
        if (rc < 0 || len == 0)
            return rc;
        struct cursor at = cursor_of(data, len);
        while ((rc = smb_entry_next(&at, &e)) == 1)
            if ((rc = add(m, ret, &e)) < 0)
                break;
        if (rc < 0)
            return rc;
    }
}

static int list(struct mapper *m, struct names *ret)
{
    struct share *s = m->of;
    struct smb_handle h;
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(s->smb);
    int rc = whole(s, &m->path, m->path.len, NULL);
    if (rc == 0)
        rc = smb_put_open(c, (const char *)s->path.data, s->path.len, SMB_OPEN_FOLDER);
    rc = ask(s, c, rc);
    if (rc == 0)
        rc = smb_get_open(c, 0, &h, NULL);
    if (rc < 0)
        return rc;
    rc = list_all(m, &h, ret);
    smb_shut(s->smb, &h);
    return rc;
}

static int see(struct mapper *m, const struct names *k, size_t i, struct map_seen *ret)
{
    const struct named *e = &k->list[i];
    (void)m;
    ret->folder = ret->enter = e->attributes & SMB_ATTR_FOLDER;
    ret->file = !ret->folder;
    ret->size = e->size;
    ret->written_ms = e->written_ms;
    return 0;
}

/* ── an entry ── */

static int send(struct share *s, bool folder, struct smb_call **ret)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(s->smb);
    int rc = smb_put_open(c, (const char *)s->path.data, s->path.len,
                          SMB_OPEN_ATTRIBUTES | (folder ? SMB_OPEN_FOLDER : 0));
    if (rc == 0)
        rc = smb_put_descriptor(c, NULL);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    if (rc == 0)
        rc = smb_send(c);
    if (rc < 0)
        return failed(s, rc);
    *ret = c;
    c = NULL;
    return 0;
}

static int take(struct mapper *m, struct smb_call *c)
{
    struct share *s = m->of;
    const void *sd = NULL;
    size_t len = 0;
    int rc = smb_wait(c);
    if (rc < 0)
        return failed(s, rc);
    rc = smb_get_open(c, 0, NULL, NULL);
    if (rc == 0)
        rc = smb_get_data(c, 1, &sd, &len);
    if (rc == 0)
        rc = ntacl_each_descriptor(sd, len, map_change_sid, m);
    return rc;
}

static void forget(struct share *s)
{
    for (unsigned i = 0; i < s->n; i++)
        s->ahead[i] = smb_call_free(s->ahead[i]);
    s->n = 0;
}

/* Files from number i on, until a folder stands between: what is below that comes first. */
static int ask_ahead(struct mapper *m, const struct names *k, size_t i)
{
    struct share *s = m->of;
    int rc = 0;
    size_t above = m->path.len - strlen(k->list[i].name);
    forget(s);
    s->first = i;
    while (rc == 0 && s->n < AHEAD && i + s->n < k->n) {
        const struct named *e = &k->list[i + s->n];
        if (e->attributes & SMB_ATTR_FOLDER)
            break;
        s->ahead[s->n] = NULL;
        rc = whole(s, &m->path, above > 0 ? above - 1 : 0, e->name);
        if (rc == 0)
            rc = send(s, false, &s->ahead[s->n]);
        if (rc == -ENOTCONN)
            return rc;
        s->n++;
        rc = 0;
    }
    return rc;
}

static int look_folder(struct mapper *m)
{
    struct share *s = m->of;
    CLEANUP(smb_call_free) struct smb_call *c = NULL;
    forget(s);
    int rc = whole(s, &m->path, m->path.len, NULL);
    if (rc == 0)
        rc = send(s, true, &c);
    return rc == 0 ? take(m, c) : rc;
}

static int look(struct mapper *m, const struct names *k, size_t i, const struct map_seen *seen)
{
    struct share *s = m->of;
    if (seen->folder)
        return look_folder(m);
    bool asked = i >= s->first && i < s->first + s->n;
    int rc = asked ? 0 : ask_ahead(m, k, i);
    if (rc < 0)
        return rc;
    struct smb_call *c = s->ahead[i - s->first];
    return c ? take(m, c) : -ENAMETOOLONG;
}

static const struct map_tree tree = {list, see, look};

/* ── the share ── */

static int look_all(struct mapper *m, struct share *s, struct fault *reterr)
{
    const struct map_seen root = {.folder = true};
    int rc = smb_connect(&s->smb, &s->from->place, reterr);
    if (rc < 0)
        return rc;
    buf_init(&s->path, LOOKED_PATH);
    m->tree = &tree;
    m->of = s;
    rc = map_look_root(m, &root);
    if (rc == 0)
        rc = map_walk(m);
    if (rc == -ENOTCONN)
        (void)fault_set(reterr, FAULT_RETRY, ENOTCONN, "the connection to %.80s was lost",
                        s->from->place.address);
    forget(s);
    buf_done(&s->path);
    s->smb = smb_close(s->smb);
    return rc;
}

int map_endpoint(struct mapper *m, const Godwit__MapOrder *o, struct fault *reterr)
{
    struct endpoint_source from;
    struct share s = {.n = 0};
    int rc = endpoint_of_order(m->step, o->smb, &from, reterr);
    s.from = &from.pull;
    if (rc == 0)
        rc = look_all(m, &s, reterr);
    endpoint_source_done(&from);
    return rc;
}
