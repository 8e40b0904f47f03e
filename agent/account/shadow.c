/* shadow: lines of nine fields. Worker threads. */
#include "agent/account/shadow.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account/list.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define FILE_BYTES_MAX (8U << 20)
#define DAYS_MAX 200000

bool shadow_hash_fits(const char *hash)
{
    size_t n = strnlen(hash, SHADOW_HASH_MAX + 1);
    if (n == 0 || n > SHADOW_HASH_MAX)
        return false;
    for (const char *c = hash; *c; c++)
        if (!isgraph((unsigned char)*c) || *c == ':' || *c == '\\')
            return false;
    return true;
}

bool shadow_has_password(const char *hash)
{
    hash += strspn(hash, "!");
    return *hash && *hash != '*';
}

static long days(const char *text)
{
    char *end = NULL;
    long v = strtol(text, &end, 10);
    return *text && !*end && v >= 0 && v <= DAYS_MAX ? v : -1;
}

static bool take(char *line, struct shadow_row *ret)
{
    char *f[9] = {NULL}, *at = line;
    for (size_t i = 0; i < ARRAY_SIZE(f); i++) {
        f[i] = at;
        char *colon = at ? strchr(at, ':') : NULL;
        if (colon)
            *colon = '\0';
        at = colon ? colon + 1 : NULL;
        if (!at && i + 2 < ARRAY_SIZE(f))
            return false;
    }
    if (!account_name_fits(f[0]))
        return false;
    *ret = (struct shadow_row){.name = xstrdup(f[0]),
                               .hash = xstrdup(f[1]),
                               .changed = days(f[2]),
                               .min = days(f[3]),
                               .max = days(f[4]),
                               .warn = days(f[5]),
                               .inactive = days(f[6]),
                               .expire = days(f[7])};
    return true;
}

int shadow_read(const char *path, struct shadow **ret, struct fault *reterr)
{
    char *text = NULL, *save = NULL;
    size_t len = 0;
    int rc = file_read(path, FILE_BYTES_MAX, &text, &len);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot read %.60s: %s", path, strerror(-rc));
    struct shadow *s = xcalloc(1, sizeof *s);
    size_t room = 1;
    for (size_t i = 0; i < len; i++)
        room += text[i] == '\n';
    s->rows = xcalloc(room, sizeof *s->rows);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (take(line, &s->rows[s->n]))
            s->n++;
    explicit_bzero(text, len);
    free(text);
    *ret = s;
    return 0;
}

struct shadow *shadow_free(struct shadow *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < s->n; i++) {
        explicit_bzero(s->rows[i].hash, strlen(s->rows[i].hash));
        free(s->rows[i].hash);
        free(s->rows[i].name);
    }
    free(s->rows);
    free(s);
    return NULL;
}

const struct shadow_row *shadow_named(const struct shadow *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->rows[i].name, name) == 0)
            return &s->rows[i];
    return NULL;
}

static bool same_age(const struct shadow_row *a, const struct shadow_row *b)
{
    return a->changed == b->changed && a->min == b->min && a->max == b->max && a->warn == b->warn &&
           a->inactive == b->inactive && a->expire == b->expire;
}

bool shadow_replaces(const struct shadow_row *from, const struct shadow_row *here)
{
    if (strcmp(from->hash, here->hash) == 0)
        return !same_age(from, here);
    return !shadow_has_password(here->hash) || from->changed > here->changed ||
           (from->changed == here->changed && same_age(from, here));
}

/* ── setting ── */

static int run(const char *const *argv, const struct buf *input, struct fault *reterr)
{
    const struct program_call call = {.argv = argv,
                                      .input = input ? input->data : NULL,
                                      .input_len = input ? input->len : 0,
                                      .max_out = 64U << 10};
    struct program_output o;
    int rc = program_run(&call, &o, reterr);
    if (rc < 0)
        return rc;
    if (o.code != 0) /* its words may quote a line */
        rc = fault_set(reterr, FAULT_STOP_JOB, EIO, "%s ended with %d", argv[0], o.code);
    program_done(&o);
    return rc;
}

static int set_age(const struct shadow_row *r, struct fault *reterr)
{
    const long values[] = {r->changed, r->min, r->max, r->warn, r->inactive, r->expire};
    static const char *const options[] = {"-d", "-m", "-M", "-W", "-I", "-E"};
    char text[ARRAY_SIZE(values)][24];
    const char *argv[2 * ARRAY_SIZE(values) + 3] = {"chage"};
    size_t n = 1;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        (void)snprintf(text[i], sizeof text[i], "%ld", values[i]);
        argv[n++] = options[i];
        argv[n++] = text[i];
    }
    argv[n++] = r->name;
    argv[n] = NULL;
    return run(argv, NULL, reterr);
}

int shadow_set(const struct shadow_row *rows, size_t n, struct fault *reterr)
{
    static const char *const argv[] = {"chpasswd", "-e", NULL};
    struct buf b;
    if (n == 0)
        return 0;
    buf_init(&b, FILE_BYTES_MAX);
    (void)buf_reserve(&b, n * (ACCOUNT_NAME_MAX + SHADOW_HASH_MAX + 2)); /* it does not move */
    for (size_t i = 0; i < n; i++) {
        buf_put(&b, rows[i].name, strlen(rows[i].name));
        buf_put_u8(&b, ':');
        buf_put(&b, rows[i].hash, strlen(rows[i].hash));
        buf_put_u8(&b, '\n');
    }
    int rc = b.overflow ? -E2BIG : run(argv, &b, reterr);
    if (b.data)
        explicit_bzero(b.data, b.len);
    buf_done(&b);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = set_age(&rows[i], reterr);
    return rc;
}
