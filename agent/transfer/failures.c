/* failures: groups in memory (bounded), paths in a file of NUL-terminated names. */
#include "agent/transfer/failures.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/step.h"
#include "agent/transfer/record.h"
#include "common/base/mem.h"
#include "common/base/text.h"

struct failures {
    pthread_mutex_t lock;
    struct failure_group groups[32];
    size_t ngroups;
    uint64_t count;
    char *list_path, *list_temp;
    FILE *list;
};

int failures_new(struct failures **ret, const char *list_path)
{
    struct failures *f = xcalloc(1, sizeof *f);
    (void)pthread_mutex_init(&f->lock, NULL);
    if (list_path) {
        f->list_path = xstrdup(list_path);
        f->list_temp = xasprintf("%s.new", list_path);
        f->list = fopen(f->list_temp, "we");
        if (!f->list) {
            int rc = -errno;
            (void)failures_free(f);
            return rc;
        }
    }
    *ret = f;
    return 0;
}

static void groups_free(struct failures *f)
{
    for (size_t i = 0; i < f->ngroups; i++)
        for (size_t k = 0; k < f->groups[i].nexamples; k++)
            free(f->groups[i].examples[k]);
    memset(f->groups, 0, sizeof f->groups);
    f->ngroups = 0;
    f->count = 0;
}

struct failures *failures_free(struct failures *f)
{
    if (!f)
        return NULL;
    groups_free(f);
    if (f->list) {
        (void)fclose(f->list);
        (void)unlink(f->list_temp);
    }
    free(f->list_path);
    free(f->list_temp);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
    return NULL;
}

/* The last group takes what does not fit any more. */
static struct failure_group *group_of(struct failures *f, int err, const char *what)
{
    for (size_t i = 0; i < f->ngroups; i++)
        if (f->groups[i].err == err && strcmp(f->groups[i].what, what) == 0)
            return &f->groups[i];
    if (f->ngroups == ARRAY_SIZE(f->groups))
        return &f->groups[f->ngroups - 1];
    struct failure_group *g = &f->groups[f->ngroups++];
    g->err = err;
    (void)snprintf(g->what, sizeof g->what, "%s", what);
    return g;
}

void failures_add(struct failures *f, const struct failure *x)
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
    len += x->name_len;
    path[len] = '\0';
    (void)pthread_mutex_lock(&f->lock);
    struct failure_group *g = group_of(f, x->err, x->what);
    f->count++;
    g->count++;
    if (g->nexamples < ARRAY_SIZE(g->examples))
        g->examples[g->nexamples++] = text_printable(path, len);
    if (f->list)
        (void)fwrite(path, 1, len + 1, f->list);
    (void)pthread_mutex_unlock(&f->lock);
    free(path);
}

void failures_list_only(struct failures *f, const char *path, size_t len)
{
    (void)pthread_mutex_lock(&f->lock);
    if (f->list) {
        (void)fwrite(path, 1, len, f->list);
        (void)fputc('\0', f->list);
    }
    (void)pthread_mutex_unlock(&f->lock);
}

void failures_restart(struct failures *f)
{
    (void)pthread_mutex_lock(&f->lock);
    groups_free(f);
    if (f->list) {
        rewind(f->list);
        (void)ftruncate(fileno(f->list), 0);
    }
    (void)pthread_mutex_unlock(&f->lock);
}

uint64_t failures_count(struct failures *f)
{
    (void)pthread_mutex_lock(&f->lock);
    uint64_t n = f->count;
    (void)pthread_mutex_unlock(&f->lock);
    return n;
}

int failures_close_list(struct failures *f)
{
    if (!f->list)
        return 0;
    int rc = fflush(f->list) == 0 && fsync(fileno(f->list)) == 0 ? 0 : -errno;
    if (fclose(f->list) != 0 && rc == 0)
        rc = -errno;
    f->list = NULL;
    if (rc == 0 && rename(f->list_temp, f->list_path) != 0)
        rc = -errno;
    if (rc < 0)
        (void)unlink(f->list_temp);
    return rc;
}

void failures_report(struct failures *f, struct step_result *ret)
{
    (void)pthread_mutex_lock(&f->lock);
    memcpy(ret->groups, f->groups, sizeof f->groups);
    ret->ngroups = f->ngroups;
    f->ngroups = 0; /* the examples belong to the result now */
    (void)pthread_mutex_unlock(&f->lock);
}

int failures_each(const char *list_path, int (*fn)(void *arg, const char *path, size_t len),
                  void *arg)
{
    FILE *in = fopen(list_path, "re");
    if (!in)
        return -errno;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = getdelim(&line, &cap, '\0', in)) > 0) {
        size_t len = (size_t)n - (line[n - 1] == '\0' ? 1 : 0);
        rc = len <= PATH_BYTES_MAX ? fn(arg, line, len) : 0;
    }
    free(line);
    (void)fclose(in);
    return rc;
}
