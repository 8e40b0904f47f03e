/* credential: reading the file. Worker thread. */
#include "agent/identity/credential.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#define FILE_MAX 4096
#define VALUE_MAX 512

struct credential *credential_free(struct credential *c)
{
    if (!c)
        return NULL;
    if (c->password)
        explicit_bzero(c->password, strlen(c->password));
    free(c->path);
    free(c->user);
    free(c->domain);
    free(c->password);
    free(c);
    return NULL;
}

/* "KEY = value" of one line; what stands behind the last printable character belongs to it, as
 * Samba has it, but for the line's end. NULL: another line. */
static char *value_of(const char *line, size_t n, const char *key)
{
    size_t k = strlen(key), at = 0;
    while (at < n && isspace((unsigned char)line[at]))
        at++;
    if (n - at <= k || strncasecmp(line + at, key, k) != 0)
        return NULL;
    at += k;
    while (at < n && isspace((unsigned char)line[at]))
        at++;
    if (at == n || line[at] != '=')
        return NULL;
    at++;
    while (at < n && isspace((unsigned char)line[at]))
        at++;
    while (n > at && (line[n - 1] == '\r' || line[n - 1] == '\n'))
        n--;
    return n - at > VALUE_MAX ? NULL : xmemdup(line + at, n - at);
}

static void take(char **slot, char *value)
{
    if (!value)
        return;
    if (*slot) {
        explicit_bzero(value, strlen(value));
        free(value);
        return;
    }
    *slot = value;
}

/* It becomes an argument: of `net`, as a part of a filter. */
static bool user_fits(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > 128 || s[0] == '-')
        return false;
    for (const char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || strchr("()*\"/[]:;|=,+?<>", *c))
            return false;
    return true;
}

int credential_parse(const char *text, struct credential **ret)
{
    CLEANUP(credential_free) struct credential *c = xcalloc(1, sizeof *c);
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        take(&c->user, value_of(at, n, "username"));
        take(&c->password, value_of(at, n, "password"));
        take(&c->domain, value_of(at, n, "domain"));
        at += n + (at[n] == '\n');
    }
    if (!c->user || !c->password || !*c->password)
        return -EBADMSG;
    char *slash = strchr(c->user, '\\');
    if (slash) { /* DOMAIN\user */
        free(c->domain);
        c->domain = xmemdup(c->user, (size_t)(slash - c->user));
        memmove(c->user, slash + 1, strlen(slash + 1) + 1);
    }
    if (!user_fits(c->user))
        return -EBADMSG;
    if (!c->domain)
        c->domain = xstrdup("");
    *ret = c;
    c = NULL;
    return 0;
}

int credential_read(const struct site *v, struct credential **ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s" CREDENTIAL_FILE, v->root);
    struct stat st;
    char *text = NULL;
    size_t len = 0;
    if (lstat(path, &st) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, ENOKEY,
                         "%s is not here: nobody's credentials to change the domain with",
                         CREDENTIAL_FILE);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return fault_set(reterr, FAULT_STOP_JOB, EPERM,
                         "%s has to be a file of root's with mode 0600", CREDENTIAL_FILE);
    int rc = file_read(path, FILE_MAX, &text, &len);
    if (rc == 0)
        rc = credential_parse(text, ret);
    if (text)
        explicit_bzero(text, len);
    free(text);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc,
                         "%s has no lines \"username = …\" and \"password = …\"", CREDENTIAL_FILE);
    (*ret)->path = path;
    path = NULL;
    return 0;
}
