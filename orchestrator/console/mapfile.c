/* mapfile: CSV is checked and passed on; YAML is a list of rows of kind, from and to. Main thread.
 */
#include "orchestrator/console/mapfile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/console/jobfile.h"

#define FILE_BYTES_MAX (1U << 20)

struct reader {
    const char *file;
    yaml_document_t *doc;
    struct buf out;
    yaml_mark_t *rows; /* where each row of out begins */
    size_t nrows;
    struct fault *reterr;
};

static int error_at(const struct reader *r, const yaml_mark_t *at, const char *what)
{
    return fault_set(r->reterr, FAULT_STOP_JOB, EINVAL, "%s:%zu:%zu: %s", r->file, at->line + 1,
                     at->column + 1, what);
}

static int refuse(const char *file, const struct idmap_error *e, struct fault *reterr)
{
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s:%zu:%zu: %s", file, e->line, e->column,
                     e->text);
}

/* ── one row ── */

enum { KIND, FROM, TO, FIELDS };
static const char *const fields[FIELDS] = {"kind", "from", "to"};

/* A row stands alone, so that an error can be told at the value that has it. */
static int check_row(const struct reader *r, yaml_node_t *const at[FIELDS],
                     const char *const text[FIELDS])
{
    CLEANUP(mem_free) char *row = xasprintf("%s,%s,%s\n", text[KIND], text[FROM], text[TO]);
    CLEANUP(idmap_free) struct idmap *map = NULL;
    struct idmap_error e;
    if (idmap_parse(row, strlen(row), &map, &e) == 0)
        return map ? 0 : error_at(r, &at[KIND]->start_mark, "kind is uid, gid or sid");
    size_t second = strlen(text[KIND]) + 2, third = second + strlen(text[FROM]) + 1;
    int which = e.column >= third ? TO : e.column >= second ? FROM : KIND;
    return error_at(r, &at[which]->start_mark, e.text);
}

static const char *value_of(const struct reader *r, const yaml_node_t *node)
{
    const char *text =
        node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
    if (!text || strlen(text) != node->data.scalar.length || strpbrk(text, ",\n#")) {
        (void)error_at(r, &node->start_mark, "wants one word");
        return NULL;
    }
    return text;
}

static int read_row(struct reader *r, const yaml_node_t *map)
{
    const char *text[FIELDS] = {NULL};
    yaml_node_t *at[FIELDS] = {NULL};
    if (map->type != YAML_MAPPING_NODE)
        return error_at(r, &map->start_mark, "a row is {kind: uid, from: 1000, to: 2000}");
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        yaml_node_t *key = yaml_document_get_node(r->doc, p->key),
                    *value = yaml_document_get_node(r->doc, p->value);
        const char *name = value_of(r, key);
        int i = 0;
        while (name && i < FIELDS && strcmp(fields[i], name) != 0)
            i++;
        if (!name)
            return -EINVAL;
        if (i == FIELDS || text[i])
            return error_at(r, &key->start_mark, "a row has kind, from and to, each once");
        at[i] = value;
        text[i] = value_of(r, value);
        if (!text[i])
            return -EINVAL;
    }
    for (int i = 0; i < FIELDS; i++)
        if (!text[i])
            return error_at(r, &map->start_mark, "a row has kind, from and to, each once");
    int rc = check_row(r, at, text);
    if (rc == 0) {
        CLEANUP(mem_free) char *row = xasprintf("%s,%s,%s\n", text[KIND], text[FROM], text[TO]);
        buf_put(&r->out, row, strlen(row));
        r->rows = xrealloc(r->rows, (r->nrows + 1) * sizeof *r->rows);
        r->rows[r->nrows++] = map->start_mark;
    }
    return rc;
}

/* ── a document ── */

/* What one row alone does not show: too many of them, or two of the same. */
static int check_all(const struct reader *r)
{
    CLEANUP(idmap_free) struct idmap *map = NULL;
    struct idmap_error e;
    if (r->out.overflow)
        return error_at(r, &r->rows[r->nrows - 1], "the map is larger than 256 KiB: use ranges");
    if (idmap_parse((const char *)r->out.data, r->out.len, &map, &e) == 0)
        return 0;
    return error_at(r, &r->rows[e.line > 0 && e.line <= r->nrows ? e.line - 1 : 0],
                    strncmp(e.text, "line ", 5) == 0
                        ? "an earlier row says already what becomes of it"
                        : e.text);
}

static int read_document(struct reader *r)
{
    static const yaml_mark_t start = {0, 0, 0};
    yaml_node_t *root = yaml_document_get_root_node(r->doc);
    if (!root || root->type != YAML_SEQUENCE_NODE)
        return error_at(r, root ? &root->start_mark : &start,
                        "a map is a list of rows: - {kind: uid, from: 1000, to: 2000}");
    int rc = 0;
    for (yaml_node_item_t *i = root->data.sequence.items.start;
         rc == 0 && i < root->data.sequence.items.top; i++)
        rc = read_row(r, yaml_document_get_node(r->doc, *i));
    return rc == 0 && r->nrows ? check_all(r) : rc;
}

static int read_yaml(const char *file, const char *text, size_t len, char **ret,
                     struct fault *reterr)
{
    yaml_document_t doc;
    yaml_parser_t parser;
    struct reader r = {.file = file, .doc = &doc, .reterr = reterr};
    int rc = jobfile_shape(file, text, len, reterr);
    if (rc < 0)
        return rc;
    if (!yaml_parser_initialize(&parser))
        return fault_set(reterr, FAULT_STOP_JOB, ENOMEM, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    buf_init(&r.out, IDMAP_TEXT_MAX);
    if (yaml_parser_load(&parser, &doc)) {
        rc = read_document(&r);
        yaml_document_delete(&doc);
    } else {
        rc = error_at(&r, &parser.problem_mark, parser.problem ? parser.problem : "not YAML");
    }
    yaml_parser_delete(&parser);
    if (rc == 0)
        *ret = xmemdup(r.out.data ? r.out.data : (const uint8_t *)"", r.out.len);
    free(r.rows);
    buf_done(&r.out);
    return rc;
}

/* Comments, in whatever bytes, are for people. */
static char *rows_only(const char *text, size_t len)
{
    char *out = xcalloc(1, len + 2);
    size_t n = 0;
    for (const char *end = text + len; text < end;) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));
        size_t k = (size_t)((eol ? eol : end) - text), skip = 0;
        while (skip < k && memchr(" \t\r\xef\xbb\xbf", text[skip], 6))
            skip++;
        if (skip < k && text[skip] != '#') {
            memcpy(out + n, text + skip, k - skip);
            n += k - skip;
            out[n++] = '\n';
        }
        text += eol ? k + 1 : k;
    }
    return out;
}

static bool ends(const char *path, const char *with)
{
    size_t n = strlen(path), k = strlen(with);
    return n > k && strcmp(path + n - k, with) == 0;
}

int mapfile_parse(const char *path, const char *text, size_t len, char **ret, struct fault *reterr)
{
    CLEANUP(idmap_free) struct idmap *map = NULL;
    struct idmap_error e;
    CLEANUP(mem_free) char *shown = text_printable(path, strnlen(path, 200));
    if (ends(path, ".yaml") || ends(path, ".yml"))
        return read_yaml(shown, text, len, ret, reterr);
    if (idmap_parse(text, len, &map, &e) < 0)
        return refuse(shown, &e, reterr);
    *ret = rows_only(text, len);
    return 0;
}

int mapfile_read(const char *path, char **ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = file_read(path, FILE_BYTES_MAX, &text, &len);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot read %.150s: %s", path,
                         rc == -EFBIG ? "larger than 1 MiB" : strerror(-rc));
    return mapfile_parse(path, text, len, ret, reterr);
}
