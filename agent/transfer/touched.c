/* touched: a set of paths, and a lock for those who enter folders against those who rename them. */
#include "agent/transfer/touched.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/folderset.h"
#include "common/base/mem.h"

struct touched {
    pthread_rwlock_t way;
    pthread_mutex_t lock; /* the set */
    struct folderset set;
};

struct touched *touched_new(void)
{
    struct touched *t = xcalloc(1, sizeof *t);
    (void)pthread_rwlock_init(&t->way, NULL);
    (void)pthread_mutex_init(&t->lock, NULL);
    return t;
}

struct touched *touched_free(struct touched *t)
{
    if (!t)
        return NULL;
    folderset_clear(&t->set);
    (void)pthread_mutex_destroy(&t->lock);
    (void)pthread_rwlock_destroy(&t->way);
    free(t);
    return NULL;
}

void touched_enter(struct touched *t)
{
    (void)pthread_rwlock_rdlock(&t->way);
}

void touched_entered(struct touched *t, const char *path, size_t len)
{
    (void)pthread_mutex_lock(&t->lock);
    while (path && len > 0 && !folderset_has(&t->set, path, len)) {
        folderset_add(&t->set, path, len);
        const char *slash = memrchr(path, '/', len);
        len = slash ? (size_t)(slash - path) : 0;
    }
    (void)pthread_mutex_unlock(&t->lock);
    (void)pthread_rwlock_unlock(&t->way);
}

void touched_hold(struct touched *t)
{
    (void)pthread_rwlock_wrlock(&t->way);
}

void touched_release(struct touched *t)
{
    (void)pthread_rwlock_unlock(&t->way);
}

bool touched_has(struct touched *t, const char *path, size_t len)
{
    (void)pthread_mutex_lock(&t->lock);
    bool has = folderset_has(&t->set, path, len);
    (void)pthread_mutex_unlock(&t->lock);
    return has;
}
