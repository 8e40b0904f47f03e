/* record: lines of kind, id, id here, name, name here and order. Worker threads. */
#include "agent/account/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define FILE_BYTES_MAX (4U << 20)
#define OP_MAX 31

struct account_records {
    char *path;
    int lock;
    struct account_record *row;
    char (*op)[OP_MAX + 1]; /* of each row */
    size_t n;
};

static void add(struct account_records *r, const struct account_record *k, const char *op)
{
    r->row = xrealloc(r->row, (r->n + 1) * sizeof *r->row);
    r->op = xrealloc(r->op, (r->n + 1) * sizeof *r->op);
    r->row[r->n] = *k;
    (void)snprintf(r->op[r->n], sizeof r->op[r->n], "%s", op);
    r->n++;
}

static int read_line(struct account_records *r, const char *line)
{
    struct account_record k = {.group = line[0] == 'g'};
    char kind = 0, op[OP_MAX + 1] = "";
    int n = sscanf(line, "%c %u %u %32s %32s %31s", /* NOLINT(cert-err34-c): of our own */
                   &kind, &k.id, &k.to, k.name, k.as, op);
    if (n != 6 || (kind != 'g' && kind != 'u') || !account_name_fits(k.as))
        return -EBADMSG;
    add(r, &k, op);
    return 0;
}

static int load(struct account_records *r)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    char *save = NULL;
    int rc = file_read(r->path, FILE_BYTES_MAX, &text, &len);
    if (rc == -ENOENT)
        return 0;
    for (char *line = rc == 0 ? strtok_r(text, "\n", &save) : NULL; line && rc == 0;
         line = strtok_r(NULL, "\n", &save))
        rc = read_line(r, line);
    return rc;
}

int account_records_open(const char *state_dir, const char *source, struct account_records **ret)
{
    struct account_records *r = xcalloc(1, sizeof *r);
    CLEANUP(mem_free) char *dir = xasprintf("%s/accounts", state_dir);
    CLEANUP(mem_free) char *lock = xasprintf("%s/.lock", dir);
    int rc = file_mkdirs(dir, 0700);
    r->path = xasprintf("%s/%s", dir, source);
    r->lock = rc == 0 ? open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (rc == 0 && r->lock < 0)
        rc = -errno;
    if (rc == 0 && flock(r->lock, LOCK_EX) < 0)
        rc = -errno;
    if (rc == 0)
        rc = load(r);
    if (rc < 0) {
        (void)account_records_free(r);
        return rc;
    }
    *ret = r;
    return 0;
}

struct account_records *account_records_free(struct account_records *r)
{
    if (r) {
        if (r->lock >= 0)
            (void)close(r->lock);
        free(r->path);
        free(r->row);
        free(r->op);
        free(r);
    }
    return NULL;
}

const struct account_record *account_records_get(const struct account_records *r, size_t *retn)
{
    *retn = r->n;
    return r->row;
}

static size_t find(const struct account_records *r, const struct account_row *row)
{
    size_t i = 0;
    while (i < r->n && (r->row[i].group != row->group || r->row[i].id != row->id ||
                        strcmp(r->row[i].name, row->name) != 0))
        i++;
    return i;
}

bool account_record_is_of(const struct account_records *r, const struct account_row *row,
                          const char *op)
{
    size_t i = find(r, row);
    return i < r->n && row->recorded && strcmp(r->op[i], op) == 0;
}

int account_records_save(struct account_records *r, const struct account_row *rows, size_t n,
                         const char *op)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].fate != FATE_CREATE)
            continue;
        struct account_record k = {.group = rows[i].group, .id = rows[i].id, .to = rows[i].to};
        (void)snprintf(k.name, sizeof k.name, "%s", rows[i].name);
        (void)snprintf(k.as, sizeof k.as, "%s", rows[i].as);
        size_t at = find(r, &rows[i]);
        if (at == r->n)
            add(r, &k, op);
        r->row[at] = k;
        (void)snprintf(r->op[at], sizeof r->op[at], "%s", op);
    }
    struct buf b;
    buf_init(&b, FILE_BYTES_MAX);
    for (size_t i = 0; i < r->n; i++) {
        CLEANUP(mem_free)
        char *line = xasprintf("%c %u %u %s %s %s\n", r->row[i].group ? 'g' : 'u', r->row[i].id,
                               r->row[i].to, r->row[i].name, r->row[i].as, r->op[i]);
        buf_put(&b, line, strlen(line));
    }
    int rc = b.overflow ? -EFBIG
                        : file_write(r->path, 0600, b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return rc;
}
