/* mapping: the step "files.map": which entries an id map would change, before and after, one page
 * of them at a time. Folders are read in the order of their names, so that the next page goes on
 * behind the last; nothing is kept between two pages, and nothing is changed. What a tree is of:
 * mapping_local.c, mapping_smb.c. Worker thread. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files/files.h"
#include "agent/files/mapping_priv.h"
#include "agent/files/order.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
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

/* ── what changes ── */

void map_change(struct mapper *m, const char *fmt, ...)
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

void map_change_sid(void *arg, const struct sid *from)
{
    struct mapper *m = arg;
    struct sid to;
    char a[SID_TEXT_MAX], b[SID_TEXT_MAX];
    if (!idmap_sid(m->map, from, &to))
        return;
    sid_text(from, a);
    sid_text(&to, b);
    map_change(m, "SID %s -> %s", a, b);
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
static int look(struct mapper *m, const struct names *k, size_t i, const struct map_seen *seen)
{
    m->row = NULL;
    int rc = m->tree->look(m, k, i, seen);
    if (rc == -ENOTCONN)
        return rc;
    m->page.unreadable += rc < 0;
    m->page.entries++;
    if (m->row) {
        m->page.rows[m->page.n_rows++] = m->row;
        m->page.affected++;
    }
    m->full = m->page.n_rows == ROWS_MAX || m->texts > PAGE_BYTES ||
              (m->page.entries % 64 == 0 && clock_mono_ms() > m->until_ms);
    if (m->full)
        remember(m);
    return 0;
}

int map_look_root(struct mapper *m, const struct map_seen *seen)
{
    return m->after ? 0 : look(m, NULL, 0, seen);
}

/* ── the way through ── */

static void names_done(struct mapper *m, struct names *k)
{
    m->held -= k->bytes;
    for (size_t i = 0; i < k->n; i++)
        free(k->list[i].name);
    free(k->list);
    (void)fd_close(k->fd);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

int map_names_add(struct mapper *m, struct names *k, const char *name, size_t len,
                  struct named **ret)
{
    uint64_t bytes = len + 2 * sizeof(struct named);
    if (m->held + bytes > NAMES_MAX)
        return -E2BIG;
    if ((k->n & (k->n - 1)) == 0)
        k->list = xrealloc(k->list, (k->n ? 2 * k->n : 1) * sizeof *k->list);
    k->list[k->n] = (struct named){.name = xmemdup(name, len)};
    *ret = &k->list[k->n++];
    k->bytes += bytes;
    m->held += bytes;
    return 0;
}

static int names_read(struct mapper *m, struct names *ret)
{
    struct names k = {.fd = -1};
    int rc = m->tree->list(m, &k);
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
                        const struct map_seen *seen)
{
    const char *folder = m->path.data ? (const char *)m->path.data : "";
    return m->filter && (filter_name(m->filter, folder, above ? above - 1 : 0, name, strlen(name),
                                     seen->folder) ||
                         (seen->file && filter_file(m->filter, seen->size, seen->written_ms)));
}

static int enter(struct mapper *m)
{
    if (m->depth == DEPTH_MAX) {
        m->page.unreadable++;
        return 0;
    }
    m->depth++;
    int rc = map_walk(m);
    m->depth--;
    return rc;
}

/* above: how many bytes of the path stand before the name, its slash included. */
static int visit(struct mapper *m, const struct names *k, size_t i, size_t above)
{
    const char *name = k->list[i].name;
    struct map_seen seen = {.folder = false};
    int place = place_of(m, name, above);
    if (place < 0)
        return 0;
    int rc = m->tree->see(m, k, i, &seen);
    if (rc < 0) {
        m->page.unreadable += rc != -ENOENT;
        return 0;
    }
    if (is_left_out(m, above, name, &seen))
        return 0;
    buf_put(&m->path, name, strlen(name));
    if (m->path.overflow)
        return -ENAMETOOLONG;
    if (place > 0) {
        free(m->after);
        m->after = NULL;
        rc = look(m, k, i, &seen);
    }
    return rc == 0 && seen.enter && !m->full ? enter(m) : rc;
}

/* Below the folder whose path is in m->path; it is as long afterwards. */
int map_walk(struct mapper *m)
{
    size_t len = m->path.len;
    struct names k = {.fd = -1};
    int rc = names_read(m, &k);
    if (rc == -E2BIG || rc == -ENOTCONN)
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
        rc = step_cancelled(m->step) ? -ECANCELED : visit(m, &k, i, above);
    }
    m->path.len = len;
    names_done(m, &k);
    return rc;
}

/* ── the step ── */

static int take_after(struct mapper *m, const char *after, struct fault *reterr)
{
    size_t n = strlen(after) / 2;
    if (n == 0)
        return 0;
    m->after = n <= PATH_MAX_BYTES ? xcalloc(n + 1, 1) : NULL;
    if (!m->after || text_unhex(after, m->after, n) < 0 || !beneath_valid(m->after, n))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the order is not well formed");
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
        rc = take_after(m, o->after, reterr);
    if (rc == 0)
        rc = o->smb ? map_endpoint(m, o, reterr) : map_local(m, o, reterr);
    if (rc < 0 && !reterr->err)
        (void)fault_set(reterr, FAULT_STOP_JOB, -rc, "the source cannot be looked at: %s",
                        rc == -E2BIG ? "a folder has too many names" : strerror(-rc));
    m->map = NULL;
    m->page.done = !m->full;
    m->page.after = o->after;
    return rc;
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
    free(m->after);
    (void)filter_free(m->filter);
}

void files_map(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    struct mapper m = {.step = s, .until_ms = clock_mono_ms() + PAGE_MS};
    Godwit__MapOrder *o = godwit__map_order__unpack(NULL, len, args);
    godwit__map_page__init(&m.page);
    buf_init(&m.path, PATH_MAX_BYTES);
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
