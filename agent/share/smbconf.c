/* smbconf: the reader. Any thread. */
#include "agent/share/smbconf.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

struct reader {
    const char *at, *end;
    unsigned line;
    struct smbconf *conf;
    size_t current; /* section; nsections: none yet */
    size_t nparams;
    struct buf text; /* of one logical line */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' || c == '\n';
}

bool smbconf_same(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (is_space(*a))
            a++;
        while (is_space(*b))
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (!*a)
            return true;
    }
}

static char *trimmed(const char *s, size_t n)
{
    while (n > 0 && is_space(s[0])) {
        s++;
        n--;
    }
    while (n > 0 && is_space(s[n - 1]))
        n--;
    return xmemdup(s, n);
}

/* One logical line: a backslash at the end of a line takes the next one in. false: no more. */
static bool next_line(struct reader *r)
{
    buf_clear(&r->text);
    if (r->at == r->end)
        return false;
    for (;;) {
        const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
        const char *stop = nl ? nl : r->end, *last = stop;
        r->line++;
        while (last > r->at && is_space(last[-1]))
            last--;
        bool more = last > r->at && last[-1] == '\\' && nl;
        buf_put(&r->text, r->at, (size_t)((more ? last - 1 : last) - r->at));
        r->at = nl ? nl + 1 : r->end;
        if (!more || r->at == r->end)
            return true;
    }
}

static int enter(struct reader *r, char *name, struct fault *reterr)
{
    struct smbconf *c = r->conf;
    CLEANUP(mem_free) char *mine = name;
    for (size_t i = 0; i < c->nsections; i++) {
        if (!smbconf_same(c->sections[i].name, name))
            continue;
        r->current = i;
        return 0;
    }
    if (c->nsections == SMBCONF_SECTIONS)
        return fault_set(reterr, FAULT_STOP_JOB, E2BIG, "more than %d sections", SMBCONF_SECTIONS);
    if ((c->nsections & (c->nsections - 1)) == 0)
        c->sections =
            xrealloc(c->sections, (c->nsections ? 2 * c->nsections : 1) * sizeof *c->sections);
    r->current = c->nsections++;
    c->sections[r->current] = (struct smbconf_section){.name = mine};
    mine = NULL;
    return 0;
}

static int add_param(struct reader *r, const char *line, size_t n, const char *eq,
                     struct fault *reterr)
{
    if (r->current == r->conf->nsections) {
        int rc = enter(r, xstrdup("global"), reterr);
        if (rc < 0)
            return rc;
    }
    if (++r->nparams > SMBCONF_PARAMETERS)
        return fault_set(reterr, FAULT_STOP_JOB, E2BIG, "more than %d parameters",
                         SMBCONF_PARAMETERS);
    struct smbconf_section *s = &r->conf->sections[r->current];
    if ((s->nparams & (s->nparams - 1)) == 0)
        s->params = xrealloc(s->params, (s->nparams ? 2 * s->nparams : 1) * sizeof *s->params);
    struct smbconf_param *p = &s->params[s->nparams++];
    p->name = trimmed(line, (size_t)(eq - line));
    p->value = trimmed(eq + 1, n - (size_t)(eq + 1 - line));
    return 0;
}

static int take_line(struct reader *r, struct fault *reterr)
{
    const char *s = (const char *)r->text.data;
    size_t n = r->text.len;
    while (n > 0 && is_space(*s)) {
        s++;
        n--;
    }
    if (n == 0 || *s == '#' || *s == ';')
        return 0;
    if (*s == '[') {
        const char *close = memchr(s, ']', n);
        if (!close)
            return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "line %u: a section without ]",
                             r->line);
        return enter(r, trimmed(s + 1, (size_t)(close - s - 1)), reterr);
    }
    const char *eq = memchr(s, '=', n);
    if (eq && eq > s)
        return add_param(r, s, n, eq, reterr);
    if (!r->conf->bad_line)
        r->conf->bad_line = r->line;
    return 0;
}

int smbconf_parse(const char *text, size_t len, struct smbconf **ret, struct fault *reterr)
{
    if (len > SMBCONF_MAX)
        return fault_set(reterr, FAULT_STOP_JOB, E2BIG, "longer than %u bytes", SMBCONF_MAX);
    if (memchr(text, '\0', len))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "it has NUL bytes");
    struct reader r = {.at = text, .end = text + len};
    CLEANUP(smbconf_free) struct smbconf *c = xcalloc(1, sizeof *c);
    r.conf = c;
    buf_init(&r.text, SMBCONF_MAX);
    int rc = 0;
    while (rc == 0 && next_line(&r))
        rc = take_line(&r, reterr);
    buf_done(&r.text);
    if (rc < 0)
        return rc;
    *ret = c;
    c = NULL;
    return 0;
}

struct smbconf *smbconf_free(struct smbconf *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < c->nsections; i++) {
        struct smbconf_section *s = &c->sections[i];
        for (size_t k = 0; k < s->nparams; k++) {
            free(s->params[k].name);
            free(s->params[k].value);
        }
        free(s->params);
        free(s->name);
    }
    free(c->sections);
    free(c);
    return NULL;
}

const struct smbconf_section *smbconf_find(const struct smbconf *c, const char *name)
{
    for (size_t i = 0; c && i < c->nsections; i++)
        if (smbconf_same(c->sections[i].name, name))
            return &c->sections[i];
    return NULL;
}

const char *smbconf_value(const struct smbconf_section *s, const char *name)
{
    for (size_t i = s ? s->nparams : 0; i-- > 0;)
        if (smbconf_same(s->params[i].name, name))
            return s->params[i].value;
    return NULL;
}
