/* failures: groups by errno and what was tried. Any thread. */
#include "agent/store/failures.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/step.h"
#include "common/base/mem.h"
#include "common/base/text.h"

struct failures {
    pthread_mutex_t lock;
    struct failure_group groups[ARRAY_SIZE(((struct step_result *)0)->groups)];
    size_t ngroups;
    uint64_t count;
};

struct failures *failures_new(void)
{
    struct failures *f = xcalloc(1, sizeof *f);
    if (pthread_mutex_init(&f->lock, NULL) != 0)
        abort();
    return f;
}

struct failures *failures_free(struct failures *f)
{
    if (!f)
        return NULL;
    for (size_t g = 0; g < f->ngroups; g++)
        for (size_t i = 0; i < f->groups[g].nexamples; i++)
            free(f->groups[g].examples[i]);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
    return NULL;
}

static struct failure_group *group_of(struct failures *f, int err, const char *what)
{
    for (size_t i = 0; i < f->ngroups; i++)
        if (f->groups[i].err == err && strcmp(f->groups[i].what, what) == 0)
            return &f->groups[i];
    if (f->ngroups == ARRAY_SIZE(f->groups))
        return &f->groups[f->ngroups - 1];
    struct failure_group *g = &f->groups[f->ngroups++];
    bool is_last = f->ngroups == ARRAY_SIZE(f->groups);
    *g = (struct failure_group){.err = err};
    (void)snprintf(g->what, sizeof g->what, "%s", is_last ? "other" : what);
    return g;
}

static void add(struct failures *f, int err, const char *what, const char *path, size_t len)
{
    struct failure_group *g = group_of(f, err, what);
    if (g->nexamples < ARRAY_SIZE(g->examples))
        g->examples[g->nexamples++] = text_printable(path, len);
    g->count++;
}

void failures_add(struct failures *f, int err, const char *what, const char *path, size_t len)
{
    (void)pthread_mutex_lock(&f->lock);
    add(f, err, what, path, len);
    f->count++;
    (void)pthread_mutex_unlock(&f->lock);
}

void failures_note(struct failures *f, int err, const char *what, const char *path, size_t len)
{
    (void)pthread_mutex_lock(&f->lock);
    add(f, err, what, path, len);
    (void)pthread_mutex_unlock(&f->lock);
}

uint64_t failures_count(struct failures *f)
{
    (void)pthread_mutex_lock(&f->lock);
    uint64_t n = f->count;
    (void)pthread_mutex_unlock(&f->lock);
    return n;
}

void failures_take(struct failures *f, struct step_result *ret)
{
    (void)pthread_mutex_lock(&f->lock);
    memcpy(ret->groups, f->groups, f->ngroups * sizeof f->groups[0]);
    ret->ngroups = f->ngroups;
    f->ngroups = 0;
    (void)pthread_mutex_unlock(&f->lock);
}
