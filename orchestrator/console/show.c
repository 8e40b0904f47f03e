/* show: JSON documents as neat columns for people. Main thread. */
#include "orchestrator/console/show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

const json_t *show_find(const json_t *doc, const char *key)
{
    while (doc && key) {
        const char *dot = strchr(key, '.');
        char name[64];
        size_t n = dot ? (size_t)(dot - key) : strlen(key);
        if (n >= sizeof name)
            return NULL;
        memcpy(name, key, n);
        name[n] = '\0';
        doc = json_object_get(doc, name);
        key = dot ? dot + 1 : NULL;
    }
    return doc;
}

const char *show_str(const json_t *doc, const char *key)
{
    const char *s = json_string_value(show_find(doc, key));
    return s ? s : "";
}

int64_t show_int(const json_t *doc, const char *key)
{
    return (int64_t)show_num(doc, key);
}

double show_num(const json_t *doc, const char *key)
{
    const json_t *v = show_find(doc, key);
    return json_is_number(v) ? json_number_value(v) : 0;
}

bool show_flag(const json_t *doc, const char *key)
{
    return json_is_true(show_find(doc, key));
}

static char *number_cell(double v, enum cell kind)
{
    char text[40] = "", bytes[16];
    uint64_t n = v > 0 ? (uint64_t)v : 0;
    switch (kind) {
    case CELL_BYTES:
        text_bytes(n, bytes);
        return xstrdup(bytes);
    case CELL_RATE:
        text_bytes(n, bytes);
        return xasprintf("%s/s", bytes);
    case CELL_PERCENT:
        return xasprintf("%.0f%%", v);
    case CELL_AGE:
        show_duration(n, text);
        return xstrdup(text);
    case CELL_DATE:
        clock_format((int64_t)v, text);
        text[10] = '\0';
        return xstrdup(text);
    case CELL_YES:
        return xstrdup(n ? "yes" : "no");
    case CELL_PLAIN:
        return xasprintf("%" PRId64, (int64_t)v);
    case CELL_TEXT:
    case CELL_COUNT:
    case CELL_PLACE:
    case CELL_LIST:
    default:
        show_count(n, text);
        return v < 0 ? xasprintf("%" PRId64, (int64_t)v) : xstrdup(text);
    }
}

static char *list_cell(const json_t *list)
{
    char *text = xstrdup("");
    size_t i = 0;
    const json_t *one = NULL;
    json_array_foreach(list, i, one)
    {
        char *cell = show_cell(one, CELL_TEXT);
        char *joined = xasprintf("%s%s%s", text, *text ? ", " : "", cell);
        free(cell);
        free(text);
        text = joined;
    }
    return text;
}

char *show_cell(const json_t *value, enum cell kind)
{
    if (json_is_string(value)) {
        const char *s = json_string_value(value);
        return *s ? show_clean(s) : xstrdup("-");
    }
    if (json_is_number(value))
        return number_cell(json_number_value(value), kind);
    if (json_is_boolean(value))
        return xstrdup(json_is_true(value) ? "yes" : "no");
    if (json_is_array(value))
        return list_cell(value);
    if (!json_is_object(value))
        return xstrdup("-");
    const char *endpoint = show_str(value, "endpoint");
    CLEANUP(mem_free)
    char *place =
        xasprintf("%s:%s", *endpoint ? endpoint : show_str(value, "host"), show_str(value, "path"));
    return show_clean(place);
}

static bool right_aligned(enum cell kind)
{
    return kind == CELL_COUNT || kind == CELL_PLAIN || kind == CELL_BYTES || kind == CELL_RATE ||
           kind == CELL_PERCENT;
}

static void put_cell(FILE *out, const char *text, int width, bool right, bool last)
{
    int pad = width - show_width(text);
    if (pad < 0)
        pad = 0;
    if (right)
        (void)fprintf(out, "%*s%s", pad, "", text);
    else
        (void)fprintf(out, "%s%*s", text, last ? 0 : pad, "");
    (void)fputs(last ? "\n" : "  ", out);
}

void show_table(FILE *out, const struct column *cols, const json_t *rows)
{
    size_t ncols = 0, nrows = json_array_size(rows);
    while (cols[ncols].title)
        ncols++;
    if (nrows == 0 || ncols == 0)
        return;
    char **cells = xcalloc(nrows * ncols, sizeof *cells);
    int *widths = xcalloc(ncols, sizeof *widths);
    for (size_t c = 0; c < ncols; c++)
        widths[c] = show_width(cols[c].title);
    for (size_t i = 0; i < nrows * ncols; i++) {
        const struct column *col = &cols[i % ncols];
        cells[i] = show_cell(show_find(json_array_get(rows, i / ncols), col->key), col->kind);
        int w = show_width(cells[i]);
        if (w > widths[i % ncols])
            widths[i % ncols] = w;
    }
    for (size_t c = 0; c < ncols; c++)
        put_cell(out, cols[c].title, widths[c], right_aligned(cols[c].kind), c + 1 == ncols);
    for (size_t i = 0; i < nrows * ncols; i++) {
        size_t c = i % ncols;
        put_cell(out, cells[i], widths[c], right_aligned(cols[c].kind), c + 1 == ncols);
        free(cells[i]);
    }
    free(cells);
    free(widths);
}

void show_fields(FILE *out, const struct column *cols, const json_t *doc)
{
    int width = 0;
    for (const struct column *c = cols; c->title; c++) {
        int w = show_width(c->title);
        width = w > width ? w : width;
    }
    for (const struct column *c = cols; c->title; c++) {
        const json_t *value = show_find(doc, c->key);
        bool empty = json_is_string(value) && json_string_length(value) == 0;
        bool no = c->kind == CELL_YES && json_is_false(value);
        if (!value || json_is_null(value) || empty || no)
            continue;
        CLEANUP(mem_free) char *text = show_cell(value, c->kind);
        (void)fprintf(out, "%s:%*s %s\n", c->title, width - show_width(c->title), "", text);
    }
}
