/* samba: Samba's tools and what they print. Worker threads. */
#include "agent/share/samba.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

#define SHOWN_MAX 120

static int run(const struct server *v, const char *const *argv, struct program_output *ret,
               struct fault *reterr)
{
    struct program_call c = {
        .argv = argv, .search = v->search, .max_out = SMBCONF_MAX, .cancel_fd = v->cancel_fd};
    return program_run(&c, ret, reterr);
}

int samba_tool(const struct server *v, const char *const *argv, struct program_output *ret,
               struct fault *reterr)
{
    int rc = run(v, argv, ret, reterr);
    if (rc < 0 || ret->code == 0)
        return rc;
    CLEANUP(mem_free) char *words = program_words(ret);
    int code = ret->code;
    program_done(ret);
    return fault_set(reterr, FAULT_STOP_JOB, EIO, "%.40s %.40s ended with %d: %s", argv[0],
                     argv[1] ? argv[1] : "", code, words);
}

/* ── testparm ── */

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static void add_once(char **list, size_t max, size_t *n, const char *text)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(list[i], text) == 0)
            return;
    if (*n < max)
        list[(*n)++] = xstrdup(text);
}

static void take_remark(struct samba *s, char *line)
{
    static const char unknown[] = "Unknown parameter encountered: \"",
                      role[] = "Server role: ", from[] = "Load smb config files from ";
    size_t n = strlen(line);
    if (begins(line, unknown) && line[n - 1] == '"') {
        line[n - 1] = '\0';
        add_once(s->unknown, ARRAY_SIZE(s->unknown), &s->nunknown, line + sizeof unknown - 1);
    } else if (begins(line, role) && !s->role) {
        s->role = text_printable(line + sizeof role - 1, n - (sizeof role - 1));
    } else if (begins(line, from) && !s->config) {
        s->config = xstrdup(line + sizeof from - 1);
    } else if (begins(line, "WARNING: ") || begins(line, "ERROR: ") ||
               begins(line, "Global parameter ")) {
        CLEANUP(mem_free) char *shown = text_printable(line, n < 300 ? n : 300);
        add_once(s->warnings, ARRAY_SIZE(s->warnings), &s->nwarnings, shown);
    }
}

static void take_remarks(struct samba *s, char *err)
{
    char *save = NULL;
    for (char *line = strtok_r(err, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        take_remark(s, line);
}

/* testparm says little about what is wrong: our own reader may know the line. */
static int config_wrong(const struct samba *s, const struct program_output *o, struct fault *reterr)
{
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(mem_free) char *words = program_words(o);
    size_t len = 0;
    struct smbconf *c = NULL;
    struct fault why = {0};
    const char *config = s->config ? s->config : "smb.conf", *says = words;
    if (s->nwarnings)
        says = s->warnings[s->nwarnings - 1];
    if (file_read(config, SMBCONF_MAX, &text, &len) == 0 && smbconf_parse(text, len, &c, &why) < 0)
        says = why.text;
    (void)smbconf_free(c);
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "Samba's configuration %.80s has an error: %s",
                     config, says);
}

int samba_ask(const struct server *v, const char *config, struct samba **ret, struct fault *reterr)
{
    const char *const argv[] = {"testparm", "-s", config, NULL};
    struct program_output o;
    int rc = run(v, argv, &o, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(samba_free) struct samba *s = xcalloc(1, sizeof *s);
    CLEANUP(mem_free) char *err = xstrdup(o.err);
    take_remarks(s, err);
    struct fault why = {0};
    rc = o.code ? config_wrong(s, &o, reterr) : smbconf_parse(o.out, o.len, &s->conf, &why);
    if (!o.code && rc < 0)
        rc = fault_set(reterr, FAULT_STOP_JOB, EINVAL, "what testparm prints is not readable: %s",
                       why.text);
    program_done(&o);
    if (rc < 0)
        return rc;
    *ret = s;
    s = NULL;
    return 0;
}

struct samba *samba_free(struct samba *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < s->nunknown; i++)
        free(s->unknown[i]);
    for (size_t i = 0; i < s->nwarnings; i++)
        free(s->warnings[i]);
    (void)smbconf_free(s->conf);
    free(s->config);
    free(s->role);
    free(s);
    return NULL;
}

/* Parametric settings of other parts of Samba that a share has no use for. */
static bool is_server_wide(const char *name)
{
    return begins(name, "idmap config") || strchr(name, '\\');
}

/* Samba itself knows best which parameters are of shares: those that a share keeps. */
int samba_share_defaults(const struct server *v, const struct samba *s, struct smbconf **ret,
                         struct fault *reterr)
{
    const struct smbconf_section *g = smbconf_find(s->conf, "global");
    CLEANUP(mem_free) char *path = xasprintf("%s/probe.conf", v->scratch);
    struct buf b;
    struct samba *answer = NULL;
    buf_init(&b, SMBCONF_MAX);
    static const char head[] = "[global]\n[" SAMBA_PROBE "]\npath = /\n";
    buf_put(&b, head, sizeof head - 1);
    for (size_t i = 0; g && i < g->nparams; i++) {
        const struct smbconf_param *p = &g->params[i];
        if (is_server_wide(p->name) || smbconf_same(p->name, "include"))
            continue;
        CLEANUP(mem_free) char *line = xasprintf("%s = %s\n", p->name, p->value);
        buf_put(&b, line, strlen(line));
    }
    int rc = b.overflow ? -E2BIG : file_write(path, 0600, b.data, b.len);
    buf_done(&b);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write %s: %s", path, strerror(-rc));
    rc = samba_ask(v, path, &answer, reterr);
    if (rc == 0) {
        *ret = answer->conf;
        answer->conf = NULL;
    }
    (void)samba_free(answer);
    return rc;
}

int samba_builtin(const struct server *v, struct smbconf **ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/empty.conf", v->scratch);
    const char *const argv[] = {"testparm", "-sv", path, NULL};
    struct program_output o;
    int rc = file_write(path, 0600, "[global]\n", 9);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write %s: %s", path, strerror(-rc));
    rc = samba_tool(v, argv, &o, reterr);
    if (rc < 0)
        return rc;
    rc = smbconf_parse(o.out, o.len, ret, reterr);
    program_done(&o);
    return rc;
}

/* ── net ── */

int samba_registry(const struct server *v, struct smbconf **ret, struct fault *reterr)
{
    const char *const argv[] = {"net", "conf", "list", NULL};
    struct program_output o;
    int rc = samba_tool(v, argv, &o, reterr);
    if (rc == -ENOENT) {
        *ret = xcalloc(1, sizeof **ret);
        return 0;
    }
    if (rc < 0)
        return rc;
    rc = smbconf_parse(o.out, o.len, ret, reterr);
    program_done(&o);
    return rc;
}

char *samba_version(const struct server *v)
{
    const char *const argv[] = {"testparm", "--version", NULL};
    struct program_output o;
    struct fault none;
    if (samba_tool(v, argv, &o, &none) < 0)
        return xstrdup("");
    const char *at = begins(o.out, "Version ") ? o.out + 8 : o.out;
    size_t n = strcspn(at, "\n");
    char *text = text_printable(at, n < 60 ? n : 60);
    program_done(&o);
    return text;
}

static bool is_sid(const char *s)
{
    return begins(s, "S-1-") && strspn(s + 2, "0123456789-") == strlen(s + 2) && strlen(s) < 190;
}

void samba_machine(const struct server *v, char **retname, char **retsid)
{
    static const char head[] = "SID for domain ", mid[] = " is: ";
    const char *const argv[] = {"net", "getlocalsid", NULL};
    struct program_output o;
    struct fault none;
    *retname = *retsid = NULL;
    if (samba_tool(v, argv, &o, &none) == 0) {
        o.out[strcspn(o.out, "\n")] = '\0';
        const char *is = begins(o.out, head) ? strstr(o.out, mid) : NULL;
        if (is && is_sid(is + sizeof mid - 1)) {
            const char *name = o.out + sizeof head - 1;
            *retname = text_printable(name, (size_t)(is - name));
            *retsid = xstrdup(is + sizeof mid - 1);
        }
        program_done(&o);
    }
    if (!*retsid) {
        *retname = xstrdup("");
        *retsid = xstrdup("");
    }
}

/* ── share security descriptors ── */

static bool is_default_acl(const char *text)
{
    return strcmp(text, "S-1-1-0:ALLOWED/0x0/FULL") == 0 ||
           strcmp(text, "Everyone:ALLOWED/0x0/FULL") == 0;
}

static void end_acl(struct samba_acls *a, const char *share, size_t share_len, struct buf *text)
{
    buf_put_u8(text, 0);
    if (share && !text->overflow && !is_default_acl((const char *)text->data)) {
        if ((a->n & (a->n - 1)) == 0)
            a->list = xrealloc(a->list, (a->n ? 2 * a->n : 1) * sizeof *a->list);
        a->list[a->n++] = (struct samba_acl){.share = xmemdup(share, share_len),
                                             .text = xstrdup((const char *)text->data)};
    }
    buf_clear(text);
    text->overflow = false;
}

/* "[share]", then lines REVISION:, CONTROL:, OWNER:, GROUP:, ACL:…, an empty line. */
void samba_acls_parse(const char *text, size_t len, struct samba_acls *ret)
{
    const char *share = NULL, *end = text + len;
    size_t share_len = 0;
    struct buf acl;
    *ret = (struct samba_acls){.n = 0};
    buf_init(&acl, 16U << 10);
    for (const char *at = text; at < end && ret->n < SMBCONF_SECTIONS;) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((nl ? nl : end) - at);
        if (n > 2 && at[0] == '[' && at[n - 1] == ']') {
            end_acl(ret, share, share_len, &acl);
            share = at + 1;
            share_len = n - 2;
        } else if (n > 4 && memcmp(at, "ACL:", 4) == 0) {
            if (acl.len)
                buf_put_u8(&acl, ',');
            buf_put(&acl, at + 4, n - 4);
        }
        at = nl ? nl + 1 : end;
    }
    end_acl(ret, share, share_len, &acl);
    buf_done(&acl);
}

int samba_acls(const struct server *v, struct samba_acls *ret, struct fault *reterr)
{
    const char *const argv[] = {"sharesec", "--view-all", NULL};
    struct program_output o;
    *ret = (struct samba_acls){.n = 0};
    int rc = samba_tool(v, argv, &o, reterr);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    samba_acls_parse(o.out, o.len, ret);
    program_done(&o);
    return 0;
}

void samba_acls_done(struct samba_acls *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free(a->list[i].share);
        free(a->list[i].text);
    }
    free(a->list);
    *a = (struct samba_acls){.n = 0};
}

bool samba_sddl_valid(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n > 16384)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-():;", text[i]))
            return false;
    return true;
}

int samba_sddl(const struct server *v, const char *share, char **ret, struct fault *reterr)
{
    const char *const argv[] = {"sharesec", "--viewsddl", "--", share, NULL};
    struct program_output o;
    int rc = samba_tool(v, argv, &o, reterr);
    if (rc < 0)
        return rc;
    o.out[strcspn(o.out, "\r\n")] = '\0';
    if (samba_sddl_valid(o.out))
        *ret = xstrdup(o.out);
    else
        rc = fault_set(reterr, FAULT_STOP_JOB, EBADMSG,
                       "what sharesec says of share %.*s is no descriptor", SHOWN_MAX, share);
    program_done(&o);
    return rc;
}
