/* token: the enrolment line. Any thread. */
#include "common/wire/token.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/limits.h"

#define PREFIX "godwit1."
#define BYTES_MAX 512 /* of a whole token before base64 */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *base64url(const uint8_t *p, size_t n)
{
    char *text = xmalloc(n * 4 / 3 + 3), *out = text;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (have += 8; have >= 6; have -= 6)
            *out++ = digits[bits >> (have - 6) & 63];
    }
    if (have)
        *out++ = digits[bits << (6 - have) & 63];
    *out = '\0';
    return text;
}

/* Only the one way to write the bytes is taken: a token has a single spelling. */
static int unbase64url(const char *text, uint8_t *ret, size_t max, size_t *retlen)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;
    for (; *text; text++) {
        const char *d = strchr(digits, *text);
        if (!d || n == max)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)(d - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret[n++] = (uint8_t)(bits >> have);
        }
    }
    if (have >= 6 || (bits & ((1U << have) - 1)))
        return -EINVAL;
    *retlen = n;
    return 0;
}

char *token_format(const struct token *t)
{
    uint8_t id[TEXT_ID_LEN / 2] = {0};
    struct buf b;
    buf_init(&b, BYTES_MAX);
    (void)text_unhex(t->id, id, sizeof id);
    buf_put_blob(&b, t->endpoint, strlen(t->endpoint));
    buf_put_blob(&b, t->host, strlen(t->host));
    buf_put(&b, t->server_key, sizeof t->server_key);
    buf_put(&b, id, sizeof id);
    buf_put(&b, t->secret, sizeof t->secret);
    CLEANUP(mem_free) char *body = base64url(b.data, b.len);
    explicit_bzero(b.data, b.len);
    buf_done(&b);
    char *text = xasprintf("%s%s", PREFIX, body);
    explicit_bzero(body, strlen(body));
    return text;
}

static int take_text(struct cursor *c, char *ret, size_t size)
{
    size_t n = 0;
    const char *p = cursor_blob(c, size - 1, &n);
    if (!p || n == 0)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (p[i] <= ' ' || p[i] > '~')
            return -EINVAL;
    }
    memcpy(ret, p, n);
    ret[n] = '\0';
    return 0;
}

static int take_bytes(struct cursor *c, void *ret, size_t n)
{
    const void *p = cursor_bytes(c, n);
    if (!p)
        return -EINVAL;
    memcpy(ret, p, n);
    return 0;
}

static int parse_bytes(struct cursor c, struct token *t)
{
    uint8_t id[TEXT_ID_LEN / 2];
    if (take_text(&c, t->endpoint, sizeof t->endpoint) < 0 ||
        take_text(&c, t->host, sizeof t->host) < 0 ||
        take_bytes(&c, t->server_key, sizeof t->server_key) < 0 ||
        take_bytes(&c, id, sizeof id) < 0 || take_bytes(&c, t->secret, sizeof t->secret) < 0)
        return -EINVAL;
    text_hex(id, sizeof id, t->id);
    bool known = strncmp(t->endpoint, "tcp://", 6) == 0 || strncmp(t->endpoint, "ipc://", 6) == 0;
    return known && cursor_left(&c) == 0 && text_is_name(t->host, LIMIT_HOST_NAME) ? 0 : -EINVAL;
}

int token_parse(const char *text, struct token *ret)
{
    uint8_t bytes[BYTES_MAX];
    struct token t;
    size_t n = 0;
    if (strncmp(text, PREFIX, strlen(PREFIX)) != 0)
        return -EINVAL;
    int rc = unbase64url(text + strlen(PREFIX), bytes, sizeof bytes, &n);
    if (rc == 0)
        rc = parse_bytes(cursor_of(bytes, n), &t);
    if (rc == 0)
        *ret = t;
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(&t, sizeof t);
    return rc;
}
