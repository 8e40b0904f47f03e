/* option_file: reads "key = value" lines into a configuration. Blocking; any thread. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/conf/option.h"
#include "common/conf/option_priv.h"

#define SHOWN_MAX 80

struct reader {
    const struct option_row *rows;
    void *conf;
    const char *name; /* of the file, for errors */
    unsigned line;
    bool *seen; /* one per row */
};

char *option_shown(const char *value)
{
    char *quoted = text_quote(value, strnlen(value, SHOWN_MAX));
    if (strlen(quoted) > SHOWN_MAX)
        memcpy(quoted + SHOWN_MAX - 4, "...'", 5);
    return quoted;
}

/* Cuts blanks off both ends, in place. */
static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        s[--n] = '\0';
    return s;
}

static int refuse(const struct reader *r, struct fault *reterr, const char *what, const char *value)
{
    CLEANUP(mem_free) char *shown = option_shown(value);
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s:%u: %s %s", r->name, r->line, what, shown);
}

static int set_line(struct reader *r, const char *key, const char *value, struct fault *reterr)
{
    const struct option_row *row = option_find(r->rows, key, strlen(key));
    if (!row)
        return refuse(r, reterr, "unknown key", key);
    size_t n = (size_t)(row - r->rows);
    if (r->seen[n] && !row->repeat)
        return refuse(r, reterr, "given twice:", key);
    r->seen[n] = true;
    struct fault f = {0};
    if (option_set(row, r->conf, value, &f) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s:%u: %s", r->name, r->line, f.text);
    return 0;
}

static int read_line(struct reader *r, char *line, struct fault *reterr)
{
    char *text = trim(line);
    if (*text == '\0' || *text == '#')
        return 0;
    char *eq = strchr(text, '=');
    if (!eq)
        return refuse(r, reterr, "not a \"key = value\" line:", text);
    *eq = '\0';
    return set_line(r, trim(text), trim(eq + 1), reterr);
}

static size_t count_rows(const struct option_row *rows)
{
    size_t n = 0;
    while (rows[n].name)
        n++;
    return n;
}

int options_text(const struct option_row *rows, void *conf, const char *name, char *text,
                 size_t len, struct fault *reterr)
{
    if (memchr(text, '\0', len))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s: holds a NUL byte: not a text file",
                         name);
    CLEANUP(mem_free) bool *seen = xcalloc(count_rows(rows), sizeof *seen);
    struct reader r = {.rows = rows, .conf = conf, .name = name, .seen = seen};
    for (char *at = text, *end = text + len; at < end;) {
        char *eol = memchr(at, '\n', (size_t)(end - at));
        char *next = eol ? eol + 1 : end;
        if (eol)
            *eol = '\0';
        r.line++;
        int rc = read_line(&r, at, reterr);
        if (rc < 0)
            return rc;
        at = next;
    }
    return 0;
}

int options_file(const struct option_row *rows, void *conf, const char *path, struct fault *reterr)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = file_read(path, OPTIONS_FILE_MAX, &text, &len);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot read %s: %s", path,
                         rc == -EFBIG ? "larger than a configuration may be" : strerror(-rc));
    return options_text(rows, conf, path, text, len, reterr);
}
