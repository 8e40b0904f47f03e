/* belong: paths compared name by name. Worker threads. */
#include "agent/share/belong.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

char *belong_fixed(const char *path)
{
    size_t n = strcspn(path, "%");
    if (path[n] == '%')
        while (n > 0 && path[n - 1] != '/')
            n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    return xmemdup(path, n);
}

/* One slash between names, none at the end; names alone. */
static char *tidy(const char *path)
{
    char *text = xmalloc(strlen(path) + 2), *to = text;
    for (const char *p = path; *p; p++)
        if (*p != '/' || to == text || to[-1] != '/')
            *to++ = *p;
    if (to > text + 1 && to[-1] == '/')
        to--;
    *to = '\0';
    return text;
}

static const char *below(const char *root, const char *path)
{
    size_t n = strlen(root);
    while (n > 0 && root[n - 1] == '/')
        n--;
    if (strncmp(root, path, n) != 0 || (path[n] && path[n] != '/'))
        return NULL;
    return path[n] ? path + n + 1 : path + n;
}

static bool has_dots(const char *path)
{
    for (const char *p = strstr(path, "/."); p; p = strstr(p + 1, "/."))
        if (p[2] == '/' || !p[2] || (p[2] == '.' && (p[3] == '/' || !p[3])))
            return true;
    return false;
}

bool belong_inside(const char *root, const char *path, char **retbelow, char **retreal)
{
    CLEANUP(mem_free) char *clean = tidy(path);
    CLEANUP(mem_free) char *fixed = belong_fixed(clean);
    CLEANUP(mem_free) char *real_root = realpath(root, NULL);
    *retreal = *fixed ? realpath(fixed, NULL) : NULL;
    const char *rest = has_dots(clean) || !below(root, fixed) ? NULL : below(root, clean);
    if (rest) {
        *retbelow = xstrdup(rest);
        return true;
    }
    const char *at = *retreal && real_root ? below(real_root, *retreal) : NULL;
    if (!at)
        return false;
    const char *more = clean + strlen(fixed);
    while (*more == '/')
        more++;
    *retbelow = xasprintf("%s%s%s", at, *at && *more ? "/" : "", more);
    return true;
}

char *belong_map(const char *destination, const char *rest)
{
    bool slash = destination[0] && destination[strlen(destination) - 1] == '/';
    return xasprintf("%s%s%s", destination, *rest && !slash ? "/" : "", rest);
}
