/* mapping: the step "files.map": which entries an id map would change, before and after, one page
 * of them at a time. Folders are read in the order of their names, so that the next page goes on
 * behind the last; nothing is kept between two pages, and nothing is changed. Worker thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "agent/files/order.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/store/dents.h"
#include "agent/store/meta.h"
#include "agent/store/meta_priv.h"
#include "agent/store/ntacl.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define ROWS_MAX 500U
#define PAGE_BYTES (160U << 10) /* of a page's texts */
#define PAGE_MS 3000
#define CHANGES_MAX 200U         /* of one entry */
#define NAMES_MAX (256ULL << 20) /* bytes of the names on the way down, together */
#define PATH_MAX_BYTES (64U << 10)
#define DEPTH_MAX 512U /* each level holds a descriptor */
#define ACL_HEAD 4U
#define ACL_ENTRY 8U
#define ACL_USER 0x02U
#define ACL_GROUP 0x08U

struct mapper {
    struct step *step;
    int root;
    const struct idmap *map;
    struct filter *filter;
    bool one_file_system;
    dev_t dev;
    char *after; /* bytes of the path that the page before ended with; NULL: none, or passed */
    struct buf path, xattrs;
    uint64_t held; /* bytes of names */
    unsigned depth;
    int64_t until_ms;
    size_t texts;
    Godwit__MapRow *row; /* of the entry at hand; NULL: nothing changed yet */
    Godwit__MapPage page;
    bool full;
};

/* ── what changes ── */

__attribute__((format(printf, 2, 3))) static void change(struct mapper *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    if (!m->row) {
        m->row = xmalloc(sizeof *m->row);
        godwit__map_row__init(m->row);
        m->row->path = text_printable((const char *)m->path.data, m->path.len);
        m->row->changes = xcalloc(CHANGES_MAX, sizeof(char *));
        m->texts += strlen(m->row->path) + 8;
    }
    for (size_t i = 0; i < m->row->n_changes; i++)
        if (strcmp(m->row->changes[i], text) == 0)
            return;
    if (m->row->n_changes == CHANGES_MAX)
        return;
    m->texts += strlen(text) + 4;
    m->row->changes[m->row->n_changes++] = text;
    text = NULL;
}

static void look_owner(struct mapper *m, const struct stat *st)
{
    uint32_t uid = idmap_uid(m->map, st->st_uid), gid = idmap_gid(m->map, st->st_gid);
    if (uid != st->st_uid)
        change(m, "owner %u -> %u", st->st_uid, uid);
    if (gid != st->st_gid)
        change(m, "group %u -> %u", st->st_gid, gid);
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
            change(m, "%s %s %u -> %u", what, tag == ACL_USER ? "user" : "group", id, to);
    }
}

static void look_sid(void *arg, const struct sid *from)
{
    struct mapper *m = arg;
    struct sid to;
    char a[SID_TEXT_MAX], b[SID_TEXT_MAX];
    if (!idmap_sid(m->map, from, &to))
        return;
    sid_text(from, a);
    sid_text(&to, b);
    change(m, "SID %s -> %s", a, b);
}

static void look_xattrs(struct mapper *m, int dir, const char *name)
{
    CLEANUP(fd_close) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    buf_clear(&m->xattrs);
    if (fd < 0 || xattrs_read(fd, &m->xattrs) < 0) {
        m->page.unreadable++;
        return;
    }
    struct cursor c = cursor_of(m->xattrs.data, m->xattrs.len);
    struct xattr_view x;
    while (xattrs_next(&c, &x)) {
        if (x.name_len == 23 && memcmp(x.name, "system.posix_acl_access", 23) == 0)
            look_acl(m, &x, "ACL");
        else if (x.name_len == 24 && memcmp(x.name, "system.posix_acl_default", 24) == 0)
            look_acl(m, &x, "default ACL");
        else if (x.name_len == strlen(NTACL_NAME) && memcmp(x.name, NTACL_NAME, x.name_len) == 0)
            (void)ntacl_each(x.value, x.value_len, look_sid, m);
    }
}

static void remember(struct mapper *m)
{
    CLEANUP(mem_free) char *hex = xmalloc(2 * m->path.len + 1);
    text_hex(m->path.data, m->path.len, hex);
    free(m->page.next);
    m->page.next = hex;
    hex = NULL;
}

/* The entry whose path is in m->path. */
static void look(struct mapper *m, int dir, const char *name, const struct stat *st)
{
    m->row = NULL;
    look_owner(m, st);
    if (!S_ISLNK(st->st_mode))
        look_xattrs(m, dir, name);
    m->page.entries++;
    if (m->row) {
        m->page.rows[m->page.n_rows++] = m->row;
        m->page.affected++;
    }
    m->full = m->page.n_rows == ROWS_MAX || m->texts > PAGE_BYTES ||
              (m->page.entries % 64 == 0 && clock_mono_ms() > m->until_ms);
    if (m->full)
        remember(m);
}

/* ── the way through ── */

struct names {
    char **list;
    size_t n;
    uint64_t bytes;
};

static void names_done(struct mapper *m, struct names *k)
{
    m->held -= k->bytes;
    for (size_t i = 0; i < k->n; i++)
        free(k->list[i]);
    free(k->list);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_read(struct mapper *m, int fd, struct names *ret)
{
    CLEANUP(mem_free) struct dents *d = xmalloc(sizeof *d);
    struct dents_entry e;
    struct names k = {.n = 0};
    int rc;
    dents_init(d, fd);
    while ((rc = dents_next(d, &e)) > 0) {
        uint64_t bytes = e.len + 2 * sizeof(char *);
        if (m->held + k.bytes + bytes > NAMES_MAX) {
            rc = -E2BIG;
            break;
        }
        if ((k.n & (k.n - 1)) == 0)
            k.list = xrealloc(k.list, (k.n ? 2 * k.n : 1) * sizeof *k.list);
        k.list[k.n++] = xmemdup(e.name, e.len);
        k.bytes += bytes;
    }
    m->held += k.bytes;
    if (rc < 0) {
        names_done(m, &k);
        return rc;
    }
    if (k.n > 1)
        qsort(k.list, k.n, sizeof *k.list, by_bytes);
    *ret = k;
    return 0;
}

/* The page before ended at or behind name of the folder at hand: -1: name was passed; 0: it was
 * looked at, and perhaps some of what is below it; 1: it is new. */
static int place_of(const struct mapper *m, const char *name, size_t above)
{
    if (!m->after)
        return 1;
    const char *rest = m->after + above;
    size_t n = strcspn(rest, "/");
    int order = strncmp(name, rest, n);
    if (order == 0)
        order = name[n] != '\0';
    return order > 0 ? 1 : order < 0 ? -1 : 0;
}

static bool is_left_out(const struct mapper *m, size_t above, const char *name,
                        const struct stat *st)
{
    int64_t ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    const char *folder = m->path.data ? (const char *)m->path.data : "";
    return m->filter &&
           (filter_name(m->filter, folder, above ? above - 1 : 0, name, strlen(name),
                        S_ISDIR(st->st_mode)) ||
            (S_ISREG(st->st_mode) && filter_file(m->filter, (uint64_t)st->st_size, ms)));
}

static int walk(struct mapper *m);

/* above: how many bytes of the path stand before the name, its slash included. */
static int visit(struct mapper *m, int dir, const char *name, size_t above)
{
    struct stat st;
    int place = place_of(m, name, above);
    if (place < 0)
        return 0;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        m->page.unreadable += errno != ENOENT;
        return 0;
    }
    if (is_left_out(m, above, name, &st))
        return 0;
    buf_put(&m->path, name, strlen(name));
    if (m->path.overflow)
        return -ENAMETOOLONG;
    if (place > 0) {
        free(m->after);
        m->after = NULL;
        look(m, dir, name, &st);
    }
    bool other = m->one_file_system && st.st_dev != m->dev;
    if (!S_ISDIR(st.st_mode) || other || m->full)
        return 0;
    if (m->depth == DEPTH_MAX) {
        m->page.unreadable++;
        return 0;
    }
    m->depth++;
    int rc = walk(m);
    m->depth--;
    return rc;
}

/* Below the folder whose path is in m->path; it is as long afterwards. */
static int walk(struct mapper *m)
{
    size_t len = m->path.len;
    struct names k = {.n = 0};
    CLEANUP(fd_close)
    int fd = beneath_open(m->root, (const char *)m->path.data, len, O_RDONLY | O_DIRECTORY, 0);
    int rc = fd < 0 ? fd : names_read(m, fd, &k);
    if (rc == -E2BIG)
        return rc;
    if (rc < 0) {
        m->page.unreadable++;
        return 0;
    }
    if (len > 0)
        buf_put_u8(&m->path, '/');
    size_t above = m->path.len;
    /* The rest of where the page before ended is of this folder only if it goes on below it. */
    if (m->after && (strlen(m->after) < above || (len > 0 && m->after[len] != '/'))) {
        free(m->after);
        m->after = NULL;
    }
    for (size_t i = 0; rc == 0 && i < k.n && !m->full; i++) {
        m->path.len = above;
        rc = step_cancelled(m->step) ? -ECANCELED : visit(m, fd, k.list[i], above);
    }
    m->path.len = len;
    names_done(m, &k);
    return rc;
}

/* ── the step ── */

static int open_source(struct mapper *m, const Godwit__MapOrder *o, struct fault *reterr)
{
    struct stat st;
    size_t n = strlen(o->after) / 2;
    m->root = beneath_root((const char *)o->path.data, o->path.len, false);
    if (m->root < 0 || fstat(m->root, &st) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, m->root < 0 ? -m->root : errno,
                         "the source folder cannot be opened");
    m->dev = st.st_dev;
    if (n > PATH_MAX_BYTES)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the order is not well formed");
    m->after = n > 0 ? xcalloc(n + 1, 1) : NULL;
    if (n > 0 && (text_unhex(o->after, m->after, n) < 0 || !beneath_valid(m->after, n)))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the order is not well formed");
    if (n == 0)
        look(m, m->root, ".", &st);
    return 0;
}

static int make_page(struct mapper *m, const Godwit__MapOrder *o, struct fault *reterr)
{
    CLEANUP(idmap_free) struct idmap *map = NULL;
    struct idmap_error e;
    if (idmap_parse((const char *)o->map.data, o->map.len, &map, &e) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the order's map is not well formed");
    m->map = map;
    int rc = order_filter(o->filter, &m->filter, reterr);
    if (rc == 0)
        rc = open_source(m, o, reterr);
    if (rc < 0)
        return rc;
    rc = walk(m);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the source cannot be looked at: %s",
                         rc == -E2BIG ? "a folder has too many names" : strerror(-rc));
    m->page.done = !m->full;
    m->page.after = o->after;
    return 0;
}

static void page_done(struct mapper *m)
{
    for (size_t i = 0; i < m->page.n_rows; i++) {
        for (size_t k = 0; k < m->page.rows[i]->n_changes; k++)
            free(m->page.rows[i]->changes[k]);
        free(m->page.rows[i]->changes);
        free(m->page.rows[i]->path);
        free(m->page.rows[i]);
    }
    free(m->page.rows);
    free(m->page.next);
    buf_done(&m->path);
    buf_done(&m->xattrs);
    free(m->after);
    (void)filter_free(m->filter);
    (void)fd_close(m->root);
}

void files_map(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    struct mapper m = {.step = s, .root = -1, .until_ms = clock_mono_ms() + PAGE_MS};
    Godwit__MapOrder *o = godwit__map_order__unpack(NULL, len, args);
    godwit__map_page__init(&m.page);
    buf_init(&m.path, PATH_MAX_BYTES);
    buf_init(&m.xattrs, XATTRS_MAX);
    m.page.rows = xcalloc(ROWS_MAX, sizeof(void *));
    m.page.next = xstrdup("");
    ret->status = STEP_FAILED;
    if (!o) {
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    } else if (make_page(&m, o, &ret->fault) == 0) {
        ret->body_len = godwit__map_page__get_packed_size(&m.page);
        ret->body = xmalloc(ret->body_len);
        (void)godwit__map_page__pack(&m.page, ret->body);
        ret->status = STEP_DONE;
    }
    page_done(&m);
    if (o)
        godwit__map_order__free_unpacked(o, NULL);
}
