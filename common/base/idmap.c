/* idmap: reads the rows of a map, sorts them, finds the one that fits. Files are read elsewhere. */
#include "common/base/idmap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"

#define ID_MAX 4294967294U /* -1 stands for none */
#define AUTHORITY_UNIX 22

struct range {
    uint32_t first, last, to;
    size_t line;
};

struct sid_row {
    struct sid from, to; /* whole: without the RID */
    size_t line;
};

struct ranges {
    struct range *row;
    size_t n;
};

struct sids {
    struct sid_row *row;
    size_t n;
};

struct idmap {
    struct ranges uids, gids;
    struct sids exact, whole;
    size_t rows;
    uint64_t key;
};

struct field {
    const char *p;
    size_t n, column;
};

struct reader {
    struct idmap *map;
    size_t line;
    struct idmap_error *reterr;
};

static int refuse(const struct reader *r, size_t column, const char *what)
{
    *r->reterr = (struct idmap_error){.line = r->line, .column = column};
    (void)snprintf(r->reterr->text, sizeof r->reterr->text, "%s", what);
    return -EINVAL;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_word(const struct field *f, const char *word)
{
    return f->n == strlen(word) && memcmp(f->p, word, f->n) == 0;
}

/* ── one row ── */

static int take_id(const struct field *f, size_t *at, uint32_t *ret)
{
    uint64_t n = 0;
    size_t from = *at;
    for (; *at < f->n && f->p[*at] >= '0' && f->p[*at] <= '9'; (*at)++) {
        n = n * 10 + (uint64_t)(f->p[*at] - '0');
        if (n > ID_MAX)
            return -ERANGE;
    }
    *ret = (uint32_t)n;
    return *at > from ? 0 : -EINVAL;
}

/* "7" or "7-9" */
static int read_range(const struct reader *r, const struct field *f, uint32_t *first,
                      uint32_t *last)
{
    size_t at = 0;
    int rc = take_id(f, &at, first);
    *last = *first;
    if (rc == 0 && at < f->n && f->p[at] == '-') {
        at++;
        rc = take_id(f, &at, last);
    }
    if (rc == -ERANGE)
        return refuse(r, f->column, "an id is at most 4294967294");
    if (rc < 0 || at < f->n)
        return refuse(r, f->column + at, "wants a number, such as 1000, or a range: 1000-1999");
    return *first <= *last ? 0 : refuse(r, f->column, "this range ends before it begins");
}

static int add_range(const struct reader *r, struct ranges *to, const struct field *from,
                     const struct field *into)
{
    struct range row = {.line = r->line};
    uint32_t last = 0;
    int rc = read_range(r, from, &row.first, &row.last);
    if (rc == 0)
        rc = read_range(r, into, &row.to, &last);
    if (rc < 0)
        return rc;
    if (last != row.to && last - row.to != row.last - row.first)
        return refuse(r, into->column, "both ranges must be of the same length");
    if (row.last - row.first > ID_MAX - row.to)
        return refuse(r, into->column, "an id is at most 4294967294");
    if (row.to == 0 && !(row.first == 0 && row.last == 0))
        return refuse(r, into->column, "nothing may be given to root (0) that was not root's");
    to->row = xrealloc(to->row, (to->n + 1) * sizeof *to->row);
    to->row[to->n++] = row;
    return 0;
}

/* Without "-*", *retwhole. */
static int read_sid(const struct reader *r, const struct field *f, struct sid *ret, bool *retwhole)
{
    size_t n = f->n;
    *retwhole = n > 2 && f->p[n - 1] == '*' && f->p[n - 2] == '-';
    if (sid_parse(f->p, *retwhole ? n - 2 : n, ret) < 0)
        return refuse(r, f->column, "wants a SID, such as S-1-5-21-1-2-3-1001 or S-1-5-21-1-2-3-*");
    if (*retwhole && ret->nsubs == SID_SUBS_MAX)
        return refuse(r, f->column, "this SID is too long");
    return 0;
}

static int add_sid(const struct reader *r, const struct field *from, const struct field *into)
{
    struct sid_row row = {.line = r->line};
    bool whole = false, whole_to = false;
    int rc = read_sid(r, from, &row.from, &whole);
    if (rc == 0)
        rc = read_sid(r, into, &row.to, &whole_to);
    if (rc < 0)
        return rc;
    if (whole != whole_to)
        return refuse(r, into->column, "both SIDs end with -*, or none");
    struct sids *to = whole ? &r->map->whole : &r->map->exact;
    to->row = xrealloc(to->row, (to->n + 1) * sizeof *to->row);
    to->row[to->n++] = row;
    return 0;
}

static int add_row(const struct reader *r, const struct field f[3])
{
    if (r->map->rows == IDMAP_ROWS_MAX)
        return refuse(r, 1, "more than 10000 rows: use ranges");
    r->map->rows++;
    if (is_word(&f[0], "uid"))
        return add_range(r, &r->map->uids, &f[1], &f[2]);
    if (is_word(&f[0], "gid"))
        return add_range(r, &r->map->gids, &f[1], &f[2]);
    if (is_word(&f[0], "sid"))
        return add_sid(r, &f[1], &f[2]);
    return refuse(r, f[0].column, "the first field is uid, gid or sid");
}

/* ── lines ── */

static int read_line(const struct reader *r, const char *p, size_t n)
{
    struct field f[3] = {{.p = NULL}};
    size_t count = 0, at = 0;
    while (at < n && blank(p[at]))
        at++;
    if (at == n || p[at] == '#')
        return 0;
    for (bool more = true; more; at++) {
        while (at < n && blank(p[at]))
            at++;
        const char *comma = memchr(p + at, ',', n - at);
        size_t end = comma ? (size_t)(comma - p) : n, stop = end;
        while (stop > at && blank(p[stop - 1]))
            stop--;
        if (count == 3)
            return refuse(r, at + 1, "a line holds kind,from,to: there is a field too many");
        f[count++] = (struct field){.p = p + at, .n = stop - at, .column = at + 1};
        more = comma != NULL;
        at = end;
    }
    if (count < 3)
        return refuse(r, n + 1, "a line holds kind,from,to: a comma is missing");
    if (r->map->rows == 0 && is_word(&f[0], "kind") && is_word(&f[1], "from") &&
        is_word(&f[2], "to"))
        return 0;
    return add_row(r, f);
}

static int read_lines(struct reader *r, const char *text, size_t len)
{
    static const char mark[] = "\xef\xbb\xbf"; /* what spreadsheets put first */
    const char *end = text + len;
    int rc = 0;
    if (len >= 3 && memcmp(text, mark, 3) == 0)
        text += 3;
    while (rc == 0 && text < end) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((eol ? eol : end) - text);
        r->line++;
        const char *nul = memchr(text, '\0', n);
        rc = nul ? refuse(r, (size_t)(nul - text) + 1, "a NUL byte has no place here")
                 : read_line(r, text, n);
        text += eol ? n + 1 : n;
    }
    return rc;
}

/* ── order ── */

static int by_first(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static int by_from(const void *a, const void *b)
{
    const struct sid_row *x = a, *y = b;
    return sid_order(&x->from, &y->from);
}

static int twice(struct reader *r, size_t a, size_t b)
{
    r->line = a > b ? a : b;
    char what[96];
    (void)snprintf(what, sizeof what, "line %zu says already what becomes of it", a < b ? a : b);
    return refuse(r, 1, what);
}

static int sort_ranges(struct reader *r, struct ranges *k)
{
    if (k->n > 1)
        qsort(k->row, k->n, sizeof *k->row, by_first);
    for (size_t i = 1; i < k->n; i++)
        if (k->row[i].first <= k->row[i - 1].last)
            return twice(r, k->row[i].line, k->row[i - 1].line);
    return 0;
}

static int sort_sids(struct reader *r, struct sids *k)
{
    if (k->n > 1)
        qsort(k->row, k->n, sizeof *k->row, by_from);
    for (size_t i = 1; i < k->n; i++)
        if (sid_order(&k->row[i].from, &k->row[i - 1].from) == 0)
            return twice(r, k->row[i].line, k->row[i - 1].line);
    return 0;
}

static int sort_all(struct reader *r)
{
    int rc = sort_ranges(r, &r->map->uids);
    if (rc == 0)
        rc = sort_ranges(r, &r->map->gids);
    if (rc == 0)
        rc = sort_sids(r, &r->map->exact);
    return rc == 0 ? sort_sids(r, &r->map->whole) : rc;
}

static uint64_t key_of(const char *text, size_t len)
{
    uint8_t sum[SHA256_LEN];
    uint64_t key = 0;
    sha256_of(text, len, sum);
    memcpy(&key, sum, sizeof key);
    return key ? key : 1;
}

int idmap_parse(const char *text, size_t len, struct idmap **ret, struct idmap_error *reterr)
{
    CLEANUP(idmap_free) struct idmap *m = xcalloc(1, sizeof *m);
    struct reader r = {.map = m, .line = 0, .reterr = reterr};
    if (len > IDMAP_TEXT_MAX) {
        r.line = 1;
        return refuse(&r, 1,
                      "the map is larger than 256 KiB: use ranges, and -* for all of a domain");
    }
    int rc = read_lines(&r, text, len);
    if (rc == 0)
        rc = sort_all(&r);
    if (rc < 0)
        return rc;
    m->key = key_of(text, len);
    *ret = NULL;
    if (m->rows > 0) {
        *ret = m;
        m = NULL;
    }
    return 0;
}

struct idmap *idmap_free(struct idmap *m)
{
    if (m) {
        free(m->uids.row);
        free(m->gids.row);
        free(m->exact.row);
        free(m->whole.row);
        free(m);
    }
    return NULL;
}

/* ── questions ── */

static uint32_t map_id(const struct ranges *k, uint32_t id)
{
    size_t lo = 0, hi = k->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (k->row[mid].last < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < k->n && k->row[lo].first <= id ? k->row[lo].to + (id - k->row[lo].first) : id;
}

uint32_t idmap_uid(const struct idmap *m, uint32_t uid)
{
    return m ? map_id(&m->uids, uid) : uid;
}

uint32_t idmap_gid(const struct idmap *m, uint32_t gid)
{
    return m ? map_id(&m->gids, gid) : gid;
}

static const struct sid_row *find_sid(const struct sids *k, const struct sid *from)
{
    const struct sid_row want = {.from = *from};
    return k->n ? bsearch(&want, k->row, k->n, sizeof *k->row, by_from) : NULL;
}

static bool map_unix(const struct idmap *m, const struct sid *from, struct sid *ret)
{
    if (from->authority != AUTHORITY_UNIX || from->nsubs != 2 || from->sub[0] < 1 ||
        from->sub[0] > 2)
        return false;
    uint32_t id = map_id(from->sub[0] == 1 ? &m->uids : &m->gids, from->sub[1]);
    *ret = *from;
    ret->sub[1] = id;
    return id != from->sub[1];
}

bool idmap_sid(const struct idmap *m, const struct sid *from, struct sid *ret)
{
    if (!m)
        return false;
    const struct sid_row *row = find_sid(&m->exact, from);
    if (row) {
        *ret = row->to;
        return sid_order(from, ret) != 0;
    }
    struct sid domain = *from;
    if (domain.nsubs > 1) {
        domain.nsubs--;
        row = find_sid(&m->whole, &domain);
    }
    if (!row)
        return map_unix(m, from, ret);
    *ret = row->to;
    ret->sub[ret->nsubs++] = from->sub[from->nsubs - 1];
    return sid_order(from, ret) != 0;
}

size_t idmap_rows(const struct idmap *m)
{
    return m ? m->rows : 0;
}

uint64_t idmap_key(const struct idmap *m)
{
    return m ? m->key : 0;
}
