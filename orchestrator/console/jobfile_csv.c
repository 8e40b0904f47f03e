/* jobfile_csv: reads "source,destination" lines. Quotes as in RFC 4180, on one line. Main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "orchestrator/console/jobfile.h"
#include "orchestrator/console/jobspec.h"

struct csv {
    const char *file;
    size_t line;
    struct jobspec *spec;
    struct fault *reterr;
};

struct field {
    char *text;    /* malloc'd */
    size_t column; /* of its first byte, from 1 */
};

static int error_at(const struct csv *c, size_t column, const char *what)
{
    return fault_set(c->reterr, FAULT_STOP_JOB, EINVAL, "%s:%zu:%zu: %s", c->file, c->line, column,
                     what);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* "…" with "" for a quote; *at stands behind it afterwards. */
static int quoted_field(const struct csv *c, const char *line, size_t *at, struct field *ret)
{
    size_t start = *at, o = 0;
    char *text = xmalloc(strlen(line) + 1);
    for (size_t i = start + 1; line[i]; i++) {
        if (line[i] != '"') {
            text[o++] = line[i];
            continue;
        }
        if (line[i + 1] == '"') {
            text[o++] = line[i++];
            continue;
        }
        text[o] = '\0';
        *ret = (struct field){.text = text, .column = start + 2};
        *at = i + 1;
        return 0;
    }
    free(text);
    return error_at(c, start + 1, "this quote is not closed");
}

/* One field; *at stands on the comma or the end afterwards. */
static int take_field(const struct csv *c, const char *line, size_t *at, struct field *ret)
{
    while (blank(line[*at]))
        (*at)++;
    if (line[*at] == '"') {
        int rc = quoted_field(c, line, at, ret);
        while (rc == 0 && blank(line[*at]))
            (*at)++;
        if (rc == 0 && line[*at] && line[*at] != ',') {
            free(ret->text);
            ret->text = NULL;
            rc = error_at(c, *at + 1, "a comma or the end of the line should follow the quote");
        }
        return rc;
    }
    size_t start = *at, n = strcspn(line + start, ",");
    *at = start + n;
    while (n && blank(line[start + n - 1]))
        n--;
    *ret = (struct field){.text = xmemdup(line + start, n), .column = start + 1};
    return 0;
}

static int check_place(const struct csv *c, const struct field *f)
{
    CLEANUP(mem_free) char *host = NULL;
    CLEANUP(mem_free) char *path = NULL;
    struct fault fault = {0};
    size_t at = 0;
    if (place_parse(f->text, &host, &path, &at, &fault) < 0)
        return error_at(c, f->column + at, fault.text);
    return 0;
}

static bool is_header(const struct csv *c, const struct field *a, const struct field *b)
{
    return json_array_size(c->spec->pairs) == 0 && strcmp(a->text, "source") == 0 &&
           strcmp(b->text, "destination") == 0;
}

static int take_pair(const struct csv *c, const struct field *a, const struct field *b)
{
    if (is_header(c, a, b))
        return 0;
    if (check_place(c, a) < 0 || check_place(c, b) < 0)
        return -EINVAL;
    CLEANUP(mem_free) char *where = xasprintf("line %zu", c->line);
    struct fault fault = {0};
    if (jobspec_add(c->spec, a->text, b->text, where, &fault) < 0)
        return error_at(c, b->column, fault.text);
    return 0;
}

static int take_line(const struct csv *c, const char *line)
{
    size_t at = strspn(line, " \t");
    if (line[at] == '\0' || line[at] == '#')
        return 0;
    struct field a = {0}, b = {0};
    int rc = take_field(c, line, &at, &a);
    if (rc == 0 && line[at] != ',')
        rc = error_at(c, at + 1, "a line holds source,destination: the comma is missing");
    if (rc == 0) {
        at++;
        rc = take_field(c, line, &at, &b);
    }
    if (rc == 0 && line[at])
        rc = error_at(c, at + 1,
                      "a line holds source,destination: there is a field too many "
                      "(quote a path that has a comma)");
    if (rc == 0)
        rc = take_pair(c, &a, &b);
    free(a.text);
    free(b.text);
    return rc;
}

int jobfile_csv(struct jobspec *s, const char *file, const char *text, size_t len,
                struct fault *reterr)
{
    struct csv c = {.file = file, .line = 0, .spec = s, .reterr = reterr};
    static const char mark[] = "\xef\xbb\xbf"; /* what spreadsheets put first */
    const char *end = text + len;
    if (len >= 3 && memcmp(text, mark, 3) == 0)
        text += 3;
    while (text < end) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((eol ? eol : end) - text);
        c.line++;
        const char *nul = memchr(text, '\0', n);
        if (nul)
            return error_at(&c, (size_t)(nul - text) + 1, "a NUL byte has no place here");
        CLEANUP(mem_free) char *line = xmemdup(text, n && text[n - 1] == '\r' ? n - 1 : n);
        int rc = take_line(&c, line);
        if (rc < 0)
            return rc;
        text += eol ? n + 1 : n;
    }
    c.line += c.line ? 0 : 1;
    return json_array_size(s->pairs) ? 0 : error_at(&c, 1, "there are no pairs");
}
