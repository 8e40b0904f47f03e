/* statement: lines of text, written and taken apart again. Knows no files. */
#include "common/proof/statement.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define HEAD "godwit manifest 1\n"
#define SIGNED "signed "
#define SIGNED_LINE_MAX (16 + 16 + STATEMENT_NAME_MAX + 2 * (SIGN_PUBLIC_BYTES + SIGN_BYTES) + 8)

static const char *const roles[] = {
    [SIGNED_DESTINATION] = "destination",
    [SIGNED_SOURCE] = "source",
    [SIGNED_ORCHESTRATOR] = "orchestrator",
};

const char *statement_role_name(enum statement_role r)
{
    return roles[r];
}

static void put_text(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void statement_begin(struct buf *b)
{
    put_text(b, HEAD);
}

void statement_line(struct buf *b, const char *name, const char *value)
{
    put_text(b, name);
    buf_put_u8(b, ' ');
    put_text(b, value);
    buf_put_u8(b, '\n');
}

void statement_number(struct buf *b, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    statement_line(b, name, text);
}

void statement_digest(struct buf *b, const char *name, const uint8_t digest[SHA256_LEN])
{
    char text[2 * SHA256_LEN + 1];
    text_hex(digest, SHA256_LEN, text);
    statement_line(b, name, text);
}

void statement_put_signature(struct buf *b, enum statement_role role, const char *name,
                             const uint8_t public_key[SIGN_PUBLIC_BYTES],
                             const uint8_t signature[SIGN_BYTES])
{
    char line[SIGNED_LINE_MAX], key[2 * SIGN_PUBLIC_BYTES + 1], sig[2 * SIGN_BYTES + 1];
    text_hex(public_key, SIGN_PUBLIC_BYTES, key);
    text_hex(signature, SIGN_BYTES, sig);
    (void)snprintf(line, sizeof line, SIGNED "%s %s %s %s\n", roles[role], name, key, sig);
    put_text(b, line);
}

/* ── reading ── */

struct line {
    const char *name, *value;
    size_t name_len, value_len;
};

/* The next line of [*at, end). 1, 0 at the end, -EBADMSG. */
static int line_next(const char **at, const char *end, struct line *ret)
{
    if (*at == end)
        return 0;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    const char *blank = stop ? memchr(*at, ' ', (size_t)(stop - *at)) : NULL;
    if (!blank || blank == *at)
        return -EBADMSG;
    for (const char *p = *at; p < stop; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return -EBADMSG;
    ret->name = *at;
    ret->name_len = (size_t)(blank - *at);
    ret->value = blank + 1;
    ret->value_len = (size_t)(stop - ret->value);
    *at = stop + 1;
    return 1;
}

static bool name_is(const struct line *l, const char *name)
{
    return l->name_len == strlen(name) && memcmp(l->name, name, l->name_len) == 0;
}

static int take_digest(const struct line *l, const char *name, uint8_t ret[SHA256_LEN],
                       unsigned *seen, unsigned bit)
{
    char hex[2 * SHA256_LEN + 1];
    if (!name_is(l, name))
        return 0;
    if ((*seen & bit) || l->value_len != 2 * SHA256_LEN)
        return -EBADMSG;
    memcpy(hex, l->value, l->value_len);
    hex[l->value_len] = '\0';
    *seen |= bit;
    return text_unhex(hex, ret, SHA256_LEN) < 0 ? -EBADMSG : 0;
}

static int role_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
        if (strcmp(roles[i], name) == 0)
            return (int)i;
    return -EBADMSG;
}

/* "destination new1 PUBLIC-KEY SIGNATURE" */
static int take_signature(struct statement *s, const struct line *l)
{
    char line[SIGNED_LINE_MAX], role[16], name[STATEMENT_NAME_MAX + 2],
        key[2 * SIGN_PUBLIC_BYTES + 2], sig[2 * SIGN_BYTES + 2];
    uint8_t signature[SIGN_BYTES];
    int used = 0;
    if (s->nby == STATEMENT_SIGNATURES || l->value_len >= sizeof line)
        return -EBADMSG;
    memcpy(line, l->value, l->value_len);
    line[l->value_len] = '\0';
    struct statement_signature *by = &s->by[s->nby];
    if (sscanf(line, "%15s %64s %65s %129s%n", role, name, key, sig, &used) != 4 ||
        (size_t)used != l->value_len || !text_is_name(name, STATEMENT_NAME_MAX) ||
        text_unhex(key, by->public_key, SIGN_PUBLIC_BYTES) < 0 ||
        text_unhex(sig, signature, SIGN_BYTES) < 0)
        return -EBADMSG;
    int r = role_of(role);
    for (size_t i = 0; i < s->nby; i++)
        if (r == (int)s->by[i].role)
            return -EBADMSG;
    if (r < 0)
        return r;
    by->role = (enum statement_role)r;
    memcpy(by->name, name, strlen(name) + 1); /* text_is_name() has measured it */
    by->good = sign_check(by->public_key, s->text, s->body_len, signature) == 0;
    s->nby++;
    return 0;
}

int statement_parse(const char *text, size_t len, struct statement *ret)
{
    size_t head = sizeof HEAD - 1;
    if (len > STATEMENT_MAX || len < head || memcmp(text, HEAD, head) != 0)
        return -EBADMSG;
    struct statement s = {.text = text};
    struct line l;
    unsigned seen = 0;
    const char *at = text + head, *end = text + len, *before = at;
    int rc = 0;
    while (rc == 0 && (rc = line_next(&at, end, &l)) == 1) {
        bool is_signature = name_is(&l, "signed");
        if (is_signature && s.body_len == 0)
            s.body_len = (size_t)(before - text);
        rc = is_signature ? take_signature(&s, &l) : s.body_len ? -EBADMSG : 0;
        if (rc == 0)
            rc = take_digest(&l, "manifest", s.manifest, &seen, 1);
        if (rc == 0)
            rc = take_digest(&l, "metadata", s.metadata, &seen, 2);
        before = at;
    }
    if (rc < 0 || seen != 3)
        return -EBADMSG;
    if (s.body_len == 0)
        s.body_len = len;
    *ret = s;
    return 0;
}

char *statement_value(const struct statement *s, const char *name)
{
    const char *at = s->text + sizeof HEAD - 1;
    struct line l;
    while (line_next(&at, s->text + s->body_len, &l) == 1)
        if (name_is(&l, name))
            return xmemdup(l.value, l.value_len);
    return NULL;
}

const struct statement_signature *statement_signed(const struct statement *s,
                                                   enum statement_role role)
{
    for (size_t i = 0; i < s->nby; i++)
        if (s->by[i].role == role && s->by[i].good)
            return &s->by[i];
    return NULL;
}
