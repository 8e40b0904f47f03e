/* samu: reads and writes what Samba's tdb_pack() made of a user: little-endian numbers, and blobs
 * with their length in front. Any thread. */
#include "agent/account/samu.h"

#include <errno.h>
#include <string.h>

#define TEXT_MAX 1024U
#define HISTORY_MAX 4096U
#define DIGEST_BYTES 16U

/* Of Samba's flags: somebody who logs on; a machine or a domain. */
#define FLAG_NORMAL 0x10U
#define FLAGS_TRUST (0x40U | 0x80U | 0x100U)

static struct samu_blob take_blob(struct cursor *c, uint32_t max)
{
    struct samu_blob b = {.n = cursor_u32(c)};
    if (b.n > max)
        c->bad = true;
    b.p = c->bad || b.n == 0 ? NULL : cursor_bytes(c, b.n);
    if (!b.p)
        b.n = 0;
    return b;
}

static struct samu_blob take_text(struct cursor *c)
{
    struct samu_blob b = take_blob(c, TEXT_MAX);
    if (b.n > 0 && memchr(b.p, '\0', b.n) != b.p + b.n - 1)
        c->bad = true; /* no NUL, or one in the middle */
    return b;
}

static struct samu_blob take_digest(struct cursor *c)
{
    struct samu_blob b = take_blob(c, DIGEST_BYTES);
    if (b.n != 0 && b.n != DIGEST_BYTES)
        c->bad = true;
    return b;
}

/* logon_divs, hours, counts: looked over, not looked into. */
static struct samu_blob take_tail(struct cursor *c)
{
    struct samu_blob b = {.p = c->at, .n = (uint32_t)cursor_left(c)};
    (void)cursor_u16(c);
    uint32_t hours = cursor_u32(c);
    struct samu_blob when = take_blob(c, 64);
    (void)cursor_u16(c);
    (void)cursor_u16(c);
    (void)cursor_u32(c);
    if (hours > when.n || cursor_left(c) > 0)
        c->bad = true;
    return b;
}

int samu_read(const void *bytes, size_t len, struct samu *ret)
{
    struct samu u;
    struct cursor c = cursor_of(bytes, len);
    memset(&u, 0, sizeof u);
    if (len > SAMU_BYTES_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < sizeof u.times / sizeof *u.times; i++)
        u.times[i] = cursor_u32(&c);
    for (size_t i = 0; i < SAMU_TEXTS; i++)
        u.text[i] = i == SAMU_DIAL ? take_blob(&c, HISTORY_MAX) : take_text(&c);
    u.rid = cursor_u32(&c);
    u.group_rid = cursor_u32(&c);
    u.lm = take_digest(&c);
    u.nt = take_digest(&c);
    u.history = take_blob(&c, HISTORY_MAX);
    u.flags = cursor_u32(&c);
    u.tail = take_tail(&c);
    if (c.bad || u.text[SAMU_NAME].n < 2 || !(u.flags & FLAG_NORMAL) || (u.flags & FLAGS_TRUST))
        return -EBADMSG;
    *ret = u;
    return 0;
}

static void put_blob(struct buf *b, const struct samu_blob *x)
{
    buf_put_u32(b, x->n);
    if (x->n > 0)
        buf_put(b, x->p, x->n);
}

void samu_write(const struct samu *u, struct buf *ret)
{
    for (size_t i = 0; i < sizeof u->times / sizeof *u->times; i++)
        buf_put_u32(ret, u->times[i]);
    for (size_t i = 0; i < SAMU_TEXTS; i++)
        put_blob(ret, &u->text[i]);
    buf_put_u32(ret, u->rid);
    buf_put_u32(ret, u->group_rid);
    put_blob(ret, &u->lm);
    put_blob(ret, &u->nt);
    put_blob(ret, &u->history);
    buf_put_u32(ret, u->flags);
    buf_put(ret, u->tail.p, u->tail.n);
}

const char *samu_string(const struct samu *u, enum samu_text which)
{
    const uint8_t *p = u->text[which].p;
    return u->text[which].n > 0 ? (const char *)p : "";
}

void samu_set(struct samu *u, enum samu_text which, const char *s)
{
    u->text[which] = (struct samu_blob){(const uint8_t *)s, (uint32_t)strlen(s) + 1};
}
