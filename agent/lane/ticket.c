/* ticket: a small locked table; secrets are compared in constant time. */
#include "agent/lane/ticket.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

#define TICKETS_MAX 4096

struct slot {
    struct ticket t;
    unsigned entering; /* enter() calls that run now */
    bool removed;
    struct slot *next;
};

struct ticket_book {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct slot *first;
    size_t count;
};

struct ticket_book *ticket_book_new(void)
{
    struct ticket_book *b = xcalloc(1, sizeof *b);
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->idle, NULL);
    return b;
}

static void slot_free(struct slot *s)
{
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
}

struct ticket_book *ticket_book_free(struct ticket_book *b)
{
    if (!b)
        return NULL;
    while (b->first) {
        struct slot *s = b->first;
        b->first = s->next;
        slot_free(s);
    }
    (void)pthread_mutex_destroy(&b->lock);
    (void)pthread_cond_destroy(&b->idle);
    free(b);
    return NULL;
}

static struct slot **slot_find(struct ticket_book *b, const char *id)
{
    for (struct slot **at = &b->first; *at; at = &(*at)->next)
        if (!(*at)->removed && strcmp((*at)->t.id, id) == 0)
            return at;
    return NULL;
}

int ticket_add(struct ticket_book *b, const struct ticket *t)
{
    int rc = 0;
    (void)pthread_mutex_lock(&b->lock);
    if (slot_find(b, t->id)) {
        rc = -EEXIST;
    } else if (b->count >= TICKETS_MAX) {
        rc = -ENOSPC;
    } else {
        struct slot *s = xcalloc(1, sizeof *s);
        s->t = *t;
        s->next = b->first;
        b->first = s;
        b->count++;
    }
    (void)pthread_mutex_unlock(&b->lock);
    return rc;
}

void ticket_remove(struct ticket_book *b, const char *id)
{
    (void)pthread_mutex_lock(&b->lock);
    struct slot **at = slot_find(b, id);
    if (at) {
        struct slot *s = *at;
        s->removed = true;
        while (s->entering > 0)
            (void)pthread_cond_wait(&b->idle, &b->lock);
        for (at = &b->first; *at != s;)
            at = &(*at)->next;
        *at = s->next;
        b->count--;
        slot_free(s);
    }
    (void)pthread_mutex_unlock(&b->lock);
}

bool ticket_pin_expected(struct ticket_book *b, const uint8_t pin[LANE_PIN_BYTES])
{
    bool found = false;
    (void)pthread_mutex_lock(&b->lock);
    for (const struct slot *s = b->first; s && !found; s = s->next)
        found = !s->removed && memcmp(s->t.peer_pin, pin, LANE_PIN_BYTES) == 0;
    (void)pthread_mutex_unlock(&b->lock);
    return found;
}

static bool claim_holds(const struct ticket *t, const struct ticket_claim *c)
{
    bool secret = CRYPTO_memcmp(t->secret, c->secret, LANE_SECRET_BYTES) == 0;
    bool pin = CRYPTO_memcmp(t->peer_pin, c->pin, LANE_PIN_BYTES) == 0;
    return secret && pin && strcmp(t->pair, c->pair) == 0 && clock_fleet_ms() <= t->not_after_ms;
}

int ticket_enter(struct ticket_book *b, const struct ticket_claim *claim, struct lane *l,
                 const struct lane_entry *entry)
{
    (void)pthread_mutex_lock(&b->lock);
    struct slot **at = slot_find(b, claim->id);
    struct slot *s = at && claim_holds(&(*at)->t, claim) ? *at : NULL;
    if (s)
        s->entering++;
    (void)pthread_mutex_unlock(&b->lock);
    if (!s)
        return -EACCES;

    s->t.enter(s->t.arg, l, entry);

    (void)pthread_mutex_lock(&b->lock);
    if (--s->entering == 0)
        (void)pthread_cond_broadcast(&b->idle);
    (void)pthread_mutex_unlock(&b->lock);
    return 0;
}
