/* fence: smb.conf while the last changes are copied. Worker thread. */
#include "agent/identity/fence.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/names.h"
#include "agent/identity/service.h"
#include "agent/share/samba.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

#define MARK "# written by godwit while this server moves: the real file comes back by itself\n"

static void say(struct buf *b, const char *name, const char *value)
{
    CLEANUP(mem_free) char *line = xasprintf("   %s = %s\n", name, value);
    buf_put(b, line, strlen(line));
}

/* What would let somebody write all the same, or bring shares in from elsewhere. */
static bool is_left_out(const char *name)
{
    static const char *const all[] = {"read only",
                                      "writeable",
                                      "writable",
                                      "write ok",
                                      "write list",
                                      "admin users",
                                      "include",
                                      "available",
                                      "registry shares",
                                      "config backend",
                                      "config file",
                                      "copy",
                                      "usershare max shares",
                                      "root preexec",
                                      "preexec",
                                      "postexec",
                                      "root postexec",
                                      "exec"};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (smbconf_same(name, all[i]))
            return true;
    return false;
}

char *fence_render(const struct smbconf *c, bool closed)
{
    struct buf b;
    buf_init(&b, 2 * SMBCONF_MAX);
    buf_put(&b, MARK, sizeof MARK - 1);
    for (size_t i = 0; i < c->nsections; i++) {
        const struct smbconf_section *s = &c->sections[i];
        bool global = smbconf_same(s->name, "global");
        CLEANUP(mem_free) char *head = xasprintf("[%s]\n", s->name);
        buf_put(&b, head, strlen(head));
        for (size_t k = 0; k < s->nparams; k++)
            if (!is_left_out(s->params[k].name))
                say(&b, s->params[k].name, s->params[k].value);
        if (global)
            say(&b, "usershare max shares", "0");
        else
            say(&b, "read only", "yes");
        if (closed && !global)
            say(&b, "available", "no");
    }
    char *text = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return text;
}

/* smbd reads it now, and clients connect anew: what a connection may it keeps as long as it stands.
 */
void fence_reload(const struct site *v)
{
    static const char *const reload[] = {"smbcontrol", "smbd", "reload-config", NULL};
    static const char *const close_all[] = {"smbcontrol", "smbd", "close-share", "*", NULL};
    struct fault unused = {.err = 0};
    if (service_tool(v, reload, 10000, &unused) == 0)
        (void)service_tool(v, close_all, 10000, &unused);
}

/* What was written when the shares were made read-only has it all already; users wait. */
static char *from_own(const struct site *v, bool closed)
{
    CLEANUP(mem_free) char *path = xasprintf("%s" NAMES_CONF, v->root);
    CLEANUP(mem_free) char *now = NULL;
    CLEANUP(smbconf_free) struct smbconf *conf = NULL;
    struct fault unused = {.err = 0};
    size_t len = 0;
    if (file_read(path, SMBCONF_MAX, &now, &len) < 0 || strncmp(now, MARK, sizeof MARK - 1) != 0 ||
        smbconf_parse(now, len, &conf, &unused) < 0)
        return NULL;
    return fence_render(conf, closed);
}

static int from_samba(const struct site *v, bool closed, char **ret, struct fault *reterr)
{
    struct server server = {.search = v->search, .scratch = v->folder, .cancel_fd = -1};
    CLEANUP(samba_free) struct samba *s = NULL;
    int rc = samba_ask(&server, NULL, &s, reterr);
    if (rc == 0)
        *ret = fence_render(s->conf, closed);
    return rc;
}

int fence_raise(const struct site *v, bool closed, struct fault *reterr)
{
    CLEANUP(mem_free) char *text = from_own(v, closed);
    int rc = text ? 0 : from_samba(v, closed, &text, reterr);
    if (rc < 0)
        return rc;
    rc = names_write(v, NAMES_CONF, text, 0644);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write %s: %s", NAMES_CONF,
                         strerror(-rc));
    fence_reload(v); /* also a second time: the first may have been cut short before this */
    return rc;
}

static bool says(const struct smbconf_section *s, const char *name, const char *value)
{
    const char *is = smbconf_value(s, name);
    return is && strcasecmp(is, value) == 0;
}

static bool is_raised(const struct smbconf *c, bool closed)
{
    for (size_t i = 0; i < c->nsections; i++) {
        const struct smbconf_section *s = &c->sections[i];
        bool global = smbconf_same(s->name, "global");
        if (smbconf_value(s, "admin users") || smbconf_value(s, "write list") ||
            says(s, "read only", "no") || (closed && !global && !says(s, "available", "no")))
            return false;
    }
    return true;
}

int fence_holds(const struct site *v, bool closed, struct fault *reterr)
{
    struct server server = {.search = v->search, .scratch = v->folder, .cancel_fd = -1};
    CLEANUP(samba_free) struct samba *s = NULL;
    Godwit__IdentityOpenFile **open = NULL;
    struct fault unused = {.err = 0};
    size_t n = 0, count = 0;
    int rc = samba_ask(&server, NULL, &s, reterr);
    if (rc < 0 || !is_raised(s->conf, closed))
        return rc < 0 ? rc : 0;
    if (!closed || fence_open_files(v, 0, &open, &n, &count, &unused) < 0)
        return 1;
    free(open);
    return count == 0;
}

static void own(char **slot, const char *text)
{
    if (*slot != protobuf_c_empty_string)
        free(*slot);
    *slot = text_printable(text, strnlen(text, 200));
}

static void add_open(const json_t *file, const json_t *open, const char *user,
                     Godwit__IdentityOpenFile ***ret, size_t *retn)
{
    const char *path = json_string_value(json_object_get(file, "filename"));
    const char *uid = json_string_value(json_object_get(open, "username"));
    Godwit__IdentityOpenFile *o = xmalloc(sizeof *o);
    godwit__identity_open_file__init(o);
    own(&o->user, uid ? uid : user);
    own(&o->path, path ? path : "");
    *ret = xrealloc(*ret, (*retn + 1) * sizeof **ret);
    (*ret)[(*retn)++] = o;
}

/* "open_files": {"/path": {"filename": …, "opens": {"pid/id": {"uid": …}}}} */
int fence_parse_open(const char *json, size_t max, Godwit__IdentityOpenFile ***ret, size_t *retn,
                     size_t *retcount)
{
    json_t *all = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    const char *key, *id;
    json_t *file, *open;
    if (!json_is_object(all)) {
        json_decref(all);
        return -EBADMSG;
    }
    json_object_foreach(json_object_get(all, "open_files"), key, file)
    {
        json_object_foreach(json_object_get(file, "opens"), id, open)
        {
            CLEANUP(mem_free)
            char *user =
                xasprintf("uid %lld", (long long)json_integer_value(json_object_get(open, "uid")));
            (*retcount)++;
            if (*retn < max)
                add_open(file, open, user, ret, retn);
        }
    }
    json_decref(all);
    return 0;
}

int fence_open_files(const struct site *v, size_t max, Godwit__IdentityOpenFile ***ret,
                     size_t *retn, size_t *retcount, struct fault *reterr)
{
    static const char *const argv[] = {"smbstatus", "-j", "-L", NULL};
    const struct program_call c = {
        .argv = argv, .search = v->search, .max_out = 16U << 20, .timeout_ms = 15000};
    struct program_output o;
    int rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    const char *from = strchr(o.out, '{'); /* it says "No locked files" and the like before */
    rc = from ? fence_parse_open(from, max, ret, retn, retcount) : 0;
    program_done(&o);
    return rc < 0 ? fault_set(reterr, FAULT_RETRY, -rc, "what smbstatus says is not readable") : 0;
}
