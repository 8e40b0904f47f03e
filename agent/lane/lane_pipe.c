/* lane_pipe: two queues between two threads of one process. */
#include "agent/lane/lane_pipe.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "agent/lane/lane.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define UNDER_WAY (2U << 20) /* of the source's records: it stays near the processor */
#define SPARES 16U
#define SPARE_ROOM (260U << 10) /* a chunk's record fits */

struct queue {
    struct pipe_item *first, **last;
    size_t bytes;
    bool ended;
    int fd; /* readable: something came, or the end */
};

struct handed {
    struct handed *next;
    uint64_t number;
    int fd;
};

struct lane_pipe {
    struct lane_pipe *next; /* in the list of those that wait to be taken */
    uint8_t id[PIPE_ID_BYTES];
    pthread_mutex_t lock;
    struct queue to[2]; /* by who reads it */
    int room_fd;
    bool wants_room, has[2]; /* has: an end */
    struct pipe_item *spares;
    unsigned nspares;
    struct handed *handed;
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lane_pipe *list;

static void items_free(struct pipe_item *i)
{
    while (i) {
        struct pipe_item *next = i->next;
        free(i);
        i = next;
    }
}

static void pipe_free(struct lane_pipe *p)
{
    int fds[] = {p->to[0].fd, p->to[1].fd, p->room_fd};
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        if (fds[i] >= 0)
            (void)fd_close(fds[i]);
    items_free(p->to[0].first);
    items_free(p->to[1].first);
    items_free(p->spares);
    while (p->handed) {
        struct handed *h = p->handed;
        p->handed = h->next;
        (void)fd_close(h->fd);
        free(h);
    }
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

int lane_pipe_new(struct lane_pipe **ret, uint8_t id[PIPE_ID_BYTES])
{
    struct lane_pipe *p = xcalloc(1, sizeof *p);
    (void)pthread_mutex_init(&p->lock, NULL);
    p->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (size_t i = 0; i < 2; i++) {
        p->to[i].last = &p->to[i].first;
        p->to[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (p->room_fd < 0 || p->to[0].fd < 0 || p->to[1].fd < 0 ||
        RAND_bytes(p->id, sizeof p->id) != 1) {
        pipe_free(p);
        return -EMFILE;
    }
    p->has[PIPE_DESTINATION] = true;
    memcpy(id, p->id, PIPE_ID_BYTES);
    (void)pthread_mutex_lock(&list_lock);
    p->next = list;
    list = p;
    (void)pthread_mutex_unlock(&list_lock);
    *ret = p;
    return 0;
}

/* Out of the list; false: it was not there. */
static bool unlist(struct lane_pipe *p)
{
    for (struct lane_pipe **at = &list; *at; at = &(*at)->next) {
        if (*at != p)
            continue;
        *at = p->next;
        return true;
    }
    return false;
}

struct lane_pipe *lane_pipe_take(const uint8_t id[PIPE_ID_BYTES])
{
    (void)pthread_mutex_lock(&list_lock);
    struct lane_pipe *p = list;
    while (p && CRYPTO_memcmp(p->id, id, PIPE_ID_BYTES) != 0)
        p = p->next;
    if (p) {
        (void)unlist(p);
        p->has[PIPE_SOURCE] = true;
    }
    (void)pthread_mutex_unlock(&list_lock);
    return p;
}

struct lane_pipe *lane_pipe_drop(struct lane_pipe *p, enum pipe_end me)
{
    if (!p)
        return NULL;
    lane_pipe_say_end(p, me);
    (void)pthread_mutex_lock(&list_lock); /* also of has: nobody takes what goes */
    (void)unlist(p);
    p->has[me] = false;
    bool last = !p->has[0] && !p->has[1];
    (void)pthread_mutex_unlock(&list_lock);
    if (last)
        pipe_free(p);
    return NULL;
}

/* ── records ── */

static struct pipe_item *item_new(struct lane_pipe *p, size_t len)
{
    struct pipe_item *i = len <= SPARE_ROOM ? p->spares : NULL;
    if (i) {
        p->spares = i->next;
        p->nspares--;
        return i;
    }
    size_t room = len <= SPARE_ROOM ? SPARE_ROOM : len;
    i = xmalloc(sizeof *i + room);
    i->room = room;
    return i;
}

bool lane_pipe_put(struct lane_pipe *p, enum pipe_end me, const uint8_t *record, size_t body)
{
    struct queue *q = &p->to[!me];
    size_t len = LANE_HEADER_BYTES + body;
    (void)pthread_mutex_lock(&p->lock);
    bool full = me == PIPE_SOURCE && q->bytes > 0 && q->bytes + len > UNDER_WAY;
    p->wants_room = p->wants_room || full;
    struct pipe_item *i = full ? NULL : item_new(p, len);
    (void)pthread_mutex_unlock(&p->lock);
    if (full)
        return false;
    i->next = NULL;
    i->len = body;
    memcpy(i->data, record, len); /* not under the lock: this is the work */
    (void)pthread_mutex_lock(&p->lock);
    bool was_empty = !q->first;
    *q->last = i;
    q->last = &i->next;
    q->bytes += len;
    (void)pthread_mutex_unlock(&p->lock);
    if (was_empty)
        (void)eventfd_write(q->fd, 1);
    return true;
}

void lane_pipe_say_end(struct lane_pipe *p, enum pipe_end me)
{
    struct queue *q = &p->to[!me];
    (void)pthread_mutex_lock(&p->lock);
    q->ended = true;
    (void)pthread_mutex_unlock(&p->lock);
    (void)eventfd_write(q->fd, 1);
}

int lane_pipe_get(struct lane_pipe *p, enum pipe_end me, struct pipe_item **ret)
{
    struct queue *q = &p->to[me];
    (void)pthread_mutex_lock(&p->lock);
    struct pipe_item *i = q->first;
    int rc = i ? 1 : q->ended ? -EPIPE : 0;
    bool ring = false;
    if (i) {
        q->first = i->next;
        q->bytes -= LANE_HEADER_BYTES + i->len;
        if (!q->first)
            q->last = &q->first;
        ring = me == PIPE_DESTINATION && p->wants_room && q->bytes < UNDER_WAY / 2;
        p->wants_room = p->wants_room && !ring;
        *ret = i;
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (ring)
        (void)eventfd_write(p->room_fd, 1);
    return rc;
}

void lane_pipe_back(struct lane_pipe *p, struct pipe_item *i)
{
    if (!i)
        return;
    (void)pthread_mutex_lock(&p->lock);
    bool keep = i->room == SPARE_ROOM && p->nspares < SPARES;
    if (keep) {
        i->next = p->spares;
        p->spares = i;
        p->nspares++;
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (!keep)
        free(i);
}

/* ── descriptors ── */

void lane_pipe_hand(struct lane_pipe *p, uint64_t number, int fd)
{
    struct handed *h = xmalloc(sizeof *h);
    (void)pthread_mutex_lock(&p->lock);
    *h = (struct handed){p->handed, number, fd};
    p->handed = h;
    (void)pthread_mutex_unlock(&p->lock);
}

int lane_pipe_handed(struct lane_pipe *p, uint64_t number)
{
    int fd = -1;
    (void)pthread_mutex_lock(&p->lock);
    struct handed **at = &p->handed, *h = NULL;
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    h = *at;
    if (h) {
        *at = h->next;
        fd = h->fd;
    }
    (void)pthread_mutex_unlock(&p->lock);
    free(h);
    return fd;
}

int lane_pipe_fd(const struct lane_pipe *p, enum pipe_end me)
{
    return p->to[me].fd;
}

int lane_pipe_room_fd(const struct lane_pipe *p)
{
    return p->room_fd;
}

void lane_pipe_calm(int fd)
{
    eventfd_t n;
    (void)eventfd_read(fd, &n);
}
