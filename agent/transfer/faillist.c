/* faillist: groups in memory, paths in a file of NUL-terminated names. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/step.h"
#include "agent/store/failures.h"
#include "agent/transfer/faillist_priv.h"
#include "agent/transfer/record.h"
#include "common/base/mem.h"

uint64_t faillist_bytes_max = 1ULL << 30;

struct faillist {
    pthread_mutex_t lock;
    struct failures *groups;
    char *path, *temp;
    FILE *list;
    uint64_t list_bytes;
    bool lost; /* the list is not whole: too long, or it could not be written */
};

int faillist_new(struct faillist **ret, const char *list_path)
{
    struct faillist *f = xcalloc(1, sizeof *f);
    (void)pthread_mutex_init(&f->lock, NULL);
    f->groups = failures_new();
    if (list_path) {
        f->path = xstrdup(list_path);
        f->temp = xasprintf("%s.new", list_path);
        f->list = fopen(f->temp, "we");
        if (!f->list) {
            int rc = -errno;
            (void)faillist_free(f);
            return rc;
        }
    }
    *ret = f;
    return 0;
}

struct faillist *faillist_free(struct faillist *f)
{
    if (!f)
        return NULL;
    if (f->list) {
        (void)fclose(f->list);
        (void)unlink(f->temp);
    }
    (void)failures_free(f->groups);
    free(f->path);
    free(f->temp);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
    return NULL;
}

/* malloc'd */
static char *path_of(const struct failure *x, size_t *retlen)
{
    bool joined = x->folder_len > 0 && x->name_len > 0;
    char *path = xmalloc(x->folder_len + x->name_len + 2);
    size_t len = x->folder_len;
    if (len)
        memcpy(path, x->folder, len);
    if (joined)
        path[len++] = '/';
    if (x->name_len)
        memcpy(path + len, x->name, x->name_len);
    *retlen = len + x->name_len;
    return path;
}

void faillist_note(struct faillist *f, const struct failure *x)
{
    size_t len = 0;
    char *path = path_of(x, &len);
    (void)pthread_mutex_lock(&f->lock);
    failures_note(f->groups, x->err, x->what, path, len);
    (void)pthread_mutex_unlock(&f->lock);
    free(path);
}

void faillist_add(struct faillist *f, const struct failure *x)
{
    size_t len = 0;
    char *path = path_of(x, &len);
    (void)pthread_mutex_lock(&f->lock);
    failures_add(f->groups, x->err, x->what, path, len);
    (void)pthread_mutex_unlock(&f->lock);
    faillist_list_only(f, path, len, fault_code(x->err, x->what));
    free(path);
}

static void list_clear(struct faillist *f)
{
    rewind(f->list);
    (void)ftruncate(fileno(f->list), 0);
}

/* PATH, newline, CODE, NUL: a path may hold newlines, a code does not. */
void faillist_list_only(struct faillist *f, const char *path, size_t len, const char *code)
{
    size_t code_len = strlen(code);
    (void)pthread_mutex_lock(&f->lock);
    if (f->list && !f->lost) {
        f->list_bytes += len + code_len + 2;
        f->lost = f->list_bytes > faillist_bytes_max || fwrite(path, 1, len, f->list) != len ||
                  fputc('\n', f->list) == EOF ||
                  fwrite(code, 1, code_len + 1, f->list) != code_len + 1;
        if (f->lost)
            list_clear(f);
    }
    (void)pthread_mutex_unlock(&f->lock);
}

void faillist_leave(struct faillist *f, const char *path, size_t len, const char *code)
{
    (void)pthread_mutex_lock(&f->lock);
    failures_add(f->groups, 0, "not tried again", path, len);
    (void)pthread_mutex_unlock(&f->lock);
    faillist_list_only(f, path, len, code);
}

void faillist_restart(struct faillist *f)
{
    (void)pthread_mutex_lock(&f->lock);
    (void)failures_free(f->groups);
    f->groups = failures_new();
    if (f->list)
        list_clear(f);
    f->list_bytes = 0;
    f->lost = false;
    (void)pthread_mutex_unlock(&f->lock);
}

uint64_t faillist_count(struct faillist *f)
{
    (void)pthread_mutex_lock(&f->lock);
    uint64_t n = failures_count(f->groups);
    (void)pthread_mutex_unlock(&f->lock);
    return n;
}

int faillist_close_list(struct faillist *f)
{
    if (!f->list)
        return 0;
    int rc = f->lost ? -EFBIG : 0;
    if (rc == 0)
        rc = fflush(f->list) == 0 && fsync(fileno(f->list)) == 0 ? 0 : -errno;
    if (fclose(f->list) != 0 && rc == 0)
        rc = -errno;
    f->list = NULL;
    if (rc == 0 && rename(f->temp, f->path) != 0)
        rc = -errno;
    if (rc < 0) {
        (void)unlink(f->temp);
        (void)unlink(f->path); /* of an earlier run: not what failed in this one */
    }
    return rc;
}

void faillist_report(struct faillist *f, struct step_result *ret)
{
    (void)pthread_mutex_lock(&f->lock);
    failures_take(f->groups, ret);
    (void)pthread_mutex_unlock(&f->lock);
}

typedef int (*path_fn)(void *arg, const char *path, size_t len, const char *code);

/* One row of a list; n > 0 as getdelim() gave it. */
static int row(char *line, size_t n, path_fn fn, void *arg)
{
    size_t len = n - (line[n - 1] == '\0' ? 1 : 0);
    char *code = memrchr(line, '\n', len); /* NUL behind it: getdelim() sets one */
    size_t path_len = code ? (size_t)(code - line) : len;
    return path_len <= PATH_BYTES_MAX ? fn(arg, line, path_len, code ? code + 1 : "") : 0;
}

int faillist_each(const char *list_path, path_fn fn, void *arg)
{
    FILE *in = fopen(list_path, "re");
    if (!in)
        return -errno;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = getdelim(&line, &cap, '\0', in)) > 0)
        rc = row(line, (size_t)n, fn, arg);
    free(line);
    (void)fclose(in);
    return rc;
}

/* Each run writes a file of its own: it has another inode, or another time. */
static uint64_t list_id(FILE *in)
{
    struct stat st;
    if (fstat(fileno(in), &st) < 0)
        return 1;
    uint64_t id = (uint64_t)st.st_ino ^ (uint64_t)st.st_mtim.tv_sec << 20 ^
                  (uint64_t)st.st_mtim.tv_nsec << 32;
    return id ? id : 1;
}

static int page(FILE *in, const struct faillist_part *part, path_fn fn, void *arg,
                struct faillist_part *ret)
{
    char *line = NULL;
    size_t cap = 0, used = 0, rows = 0;
    ssize_t n = 0;
    *ret = (struct faillist_part){.from = part->from, .list = list_id(in)};
    if (part->list && part->list != ret->list)
        return -ESTALE;
    if (fseeko(in, (off_t)part->from, SEEK_SET) < 0)
        return -errno;
    while ((n = getdelim(&line, &cap, '\0', in)) > 0) {
        if (rows > 0 && (rows == part->rows || used + (size_t)n > part->max))
            break;
        (void)row(line, (size_t)n, fn, arg);
        used += (size_t)n;
        rows++;
    }
    ret->from = n > 0 ? part->from + used : 0;
    free(line);
    return ferror(in) ? -EIO : 0;
}

int faillist_page(const char *list_path, const struct faillist_part *part, path_fn fn, void *arg,
                  struct faillist_part *ret)
{
    if (part->from > INT64_MAX)
        return -EINVAL;
    FILE *in = fopen(list_path, "re");
    if (!in)
        return -errno;
    int rc = page(in, part, fn, arg, ret);
    (void)fclose(in);
    return rc;
}
