/* mapping_local: a folder of this host as "files.map" looks at it: owners, POSIX ACLs and NT ACLs.
 * Worker thread. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/mapping_priv.h"
#include "agent/store/beneath.h"
#include "agent/store/dents.h"
#include "agent/store/meta.h"
#include "agent/store/meta_priv.h"
#include "agent/store/ntacl.h"
#include "common/base/cleanup.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"

#define ACL_HEAD 4U
#define ACL_ENTRY 8U
#define ACL_USER 0x02U
#define ACL_GROUP 0x08U

struct local {
    int root;
    bool one_file_system;
    dev_t dev;
    struct buf xattrs;
};

static void look_owner(struct mapper *m, const struct stat *st)
{
    uint32_t uid = idmap_uid(m->map, st->st_uid), gid = idmap_gid(m->map, st->st_gid);
    if (uid != st->st_uid)
        map_change(m, "owner %u -> %u", st->st_uid, uid);
    if (gid != st->st_gid)
        map_change(m, "group %u -> %u", st->st_gid, gid);
}

static void look_acl(struct mapper *m, const struct xattr_view *x, const char *what)
{
    struct cursor c = cursor_of(x->value, x->value_len);
    (void)cursor_u32(&c);
    for (size_t n = x->value_len >= ACL_HEAD ? (x->value_len - ACL_HEAD) / ACL_ENTRY : 0; n > 0;
         n--) {
        uint16_t tag = cursor_u16(&c);
        (void)cursor_u16(&c);
        uint32_t id = cursor_u32(&c);
        uint32_t to = tag == ACL_USER    ? idmap_uid(m->map, id)
                      : tag == ACL_GROUP ? idmap_gid(m->map, id)
                                         : id;
        if (!c.bad && to != id)
            map_change(m, "%s %s %u -> %u", what, tag == ACL_USER ? "user" : "group", id, to);
    }
}

static int look_xattrs(struct mapper *m, int dir, const char *name)
{
    struct local *l = m->of;
    CLEANUP(fd_close) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    buf_clear(&l->xattrs);
    if (fd < 0 || xattrs_read(fd, &l->xattrs) < 0)
        return -EIO;
    struct cursor c = cursor_of(l->xattrs.data, l->xattrs.len);
    struct xattr_view x;
    while (xattrs_next(&c, &x)) {
        if (x.name_len == 23 && memcmp(x.name, "system.posix_acl_access", 23) == 0)
            look_acl(m, &x, "ACL");
        else if (x.name_len == 24 && memcmp(x.name, "system.posix_acl_default", 24) == 0)
            look_acl(m, &x, "default ACL");
        else if (x.name_len == strlen(NTACL_NAME) && memcmp(x.name, NTACL_NAME, x.name_len) == 0)
            (void)ntacl_each(x.value, x.value_len, map_change_sid, m);
    }
    return 0;
}

static int look(struct mapper *m, const struct names *k, size_t i, const struct map_seen *seen)
{
    const struct local *l = m->of;
    look_owner(m, &seen->st);
    if (S_ISLNK(seen->st.st_mode))
        return 0;
    return look_xattrs(m, k ? k->fd : l->root, k ? k->list[i].name : ".");
}

static int list(struct mapper *m, struct names *ret)
{
    const struct local *l = m->of;
    CLEANUP(mem_free) struct dents *d = xmalloc(sizeof *d);
    struct dents_entry e;
    struct named *one;
    ret->fd =
        beneath_open(l->root, (const char *)m->path.data, m->path.len, O_RDONLY | O_DIRECTORY, 0);
    if (ret->fd < 0)
        return ret->fd;
    int rc;
    dents_init(d, ret->fd);
    while ((rc = dents_next(d, &e)) > 0)
        if ((rc = map_names_add(m, ret, e.name, e.len, &one)) < 0)
            break;
    return rc;
}

static int see(struct mapper *m, const struct names *k, size_t i, struct map_seen *ret)
{
    const struct local *l = m->of;
    struct stat *st = &ret->st;
    if (fstatat(k->fd, k->list[i].name, st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    ret->folder = S_ISDIR(st->st_mode);
    ret->enter = ret->folder && !(l->one_file_system && st->st_dev != l->dev);
    ret->file = S_ISREG(st->st_mode);
    ret->size = (uint64_t)st->st_size;
    ret->written_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    return 0;
}

static const struct map_tree tree = {list, see, look};

int map_local(struct mapper *m, const Godwit__MapOrder *o, struct fault *reterr)
{
    struct map_seen seen = {.folder = true};
    CLEANUP(fd_close) int root = beneath_root((const char *)o->path.data, o->path.len, false);
    if (root < 0 || fstat(root, &seen.st) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, root < 0 ? -root : errno,
                         "the source folder cannot be opened");
    struct local l = {root, o->one_file_system, seen.st.st_dev, {.data = NULL}};
    buf_init(&l.xattrs, XATTRS_MAX);
    m->tree = &tree;
    m->of = &l;
    int rc = map_look_root(m, &seen);
    if (rc == 0)
        rc = map_walk(m);
    buf_done(&l.xattrs);
    return rc;
}
