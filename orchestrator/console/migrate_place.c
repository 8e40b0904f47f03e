/* migrate_place: the two folders of `godwit migrate`. Main thread. */
#include "orchestrator/console/migrate_place.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/console/command.h"

static int refuse(struct fault *reterr, int code, int err, const char *what, const char *path,
                  const char *why)
{
    CLEANUP(mem_free) char *shown = text_quote(path, strnlen(path, 120));
    (void)fault_set(reterr, FAULT_STOP_JOB, err, "%s %s %s", what, shown, why);
    return code;
}

static int refuse_errno(struct fault *reterr, const char *what, const char *path, int err)
{
    CLEANUP(mem_free) char *why = xasprintf("cannot be used: %s", strerror(err));
    bool permission = err == EACCES || err == EPERM || err == EROFS;
    return refuse(reterr,
                  err == ENOENT ? EXIT_NOT_FOUND
                  : permission  ? EXIT_NOT_PERMITTED
                                : EXIT_FAILED,
                  err, what, path, why);
}

static int source_place(const char *src, char **ret, struct fault *reterr)
{
    struct stat st;
    if (stat(src, &st) < 0)
        return errno == ENOENT
                   ? refuse(reterr, EXIT_NOT_FOUND, ENOENT, "the source", src, "does not exist")
                   : refuse_errno(reterr, "the source", src, errno);
    if (!S_ISDIR(st.st_mode))
        return refuse(reterr, EXIT_USAGE, ENOTDIR, "the source", src,
                      "is no folder: name the folder that holds it");
    if (access(src, R_OK | X_OK) < 0)
        return refuse_errno(reterr, "the source", src, errno);
    *ret = realpath(src, NULL);
    return *ret ? EXIT_DONE : refuse_errno(reterr, "the source", src, errno);
}

/* Shortens head by its last part; false when nothing is left. */
static bool cut_last(char *head)
{
    size_t n = strlen(head);
    while (n && head[n - 1] == '/')
        n--;
    while (n && head[n - 1] != '/')
        n--;
    head[n] = '\0';
    return n > 0;
}

/* Cuts head down to the nearest folder that exists. *retreal is that one, resolved; malloc'd. */
static int nearest(char *head, char **retreal, struct fault *reterr)
{
    char *real = NULL;
    while (!(real = realpath(head, NULL)) && errno == ENOENT) {
        struct stat st;
        size_t n = strlen(head);
        while (n > 1 && head[n - 1] == '/')
            head[--n] = '\0'; /* with it, lstat() would follow */
        if (lstat(head, &st) == 0)
            return refuse(reterr, EXIT_FAILED, ENOENT, "the destination", head,
                          "is a link to nowhere");
        if (!cut_last(head))
            return refuse_errno(reterr, "the destination", head, ENOENT);
    }
    if (!real)
        return refuse_errno(reterr, "the destination", head, errno);
    *retreal = real;
    return EXIT_DONE;
}

static int check_parent(const char *real, struct fault *reterr)
{
    struct stat st;
    if (stat(real, &st) < 0 || !S_ISDIR(st.st_mode))
        return refuse(reterr, EXIT_FAILED, ENOTDIR, "the destination's parent", real,
                      "is no folder");
    if (access(real, W_OK | X_OK) < 0)
        return refuse_errno(reterr, "the destination's parent", real, errno);
    return EXIT_DONE;
}

/* A folder that does not exist yet: its nearest one that does, resolved, and the rest. */
static int future_place(const char *dst, char **ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *whole = dst[0] == '/' ? xstrdup(dst) : xasprintf("./%s", dst);
    CLEANUP(mem_free) char *head = xstrdup(whole);
    CLEANUP(mem_free) char *real = NULL;
    int rc = nearest(head, &real, reterr);
    if (rc == EXIT_DONE)
        rc = check_parent(real, reterr);
    if (rc)
        return rc;
    const char *rest = whole + strlen(head);
    if (strstr(rest, "../") || strcmp(rest, "..") == 0)
        return refuse(reterr, EXIT_USAGE, EINVAL, "the destination", dst,
                      "has .. behind a folder that does not exist");
    *ret = xasprintf("%s/%s", strcmp(real, "/") == 0 ? "" : real, rest);
    for (size_t n = strlen(*ret); n > 1 && (*ret)[n - 1] == '/'; n--)
        (*ret)[n - 1] = '\0';
    return EXIT_DONE;
}

static int destination_place(const char *dst, char **ret, struct fault *reterr)
{
    struct stat st;
    if (*dst == '\0')
        return refuse(reterr, EXIT_USAGE, EINVAL, "the destination", dst, "has no name");
    if (stat(dst, &st) < 0)
        return errno == ENOENT ? future_place(dst, ret, reterr)
                               : refuse_errno(reterr, "the destination", dst, errno);
    if (!S_ISDIR(st.st_mode))
        return refuse(reterr, EXIT_USAGE, ENOTDIR, "the destination", dst, "is no folder");
    if (access(dst, W_OK | X_OK) < 0)
        return refuse_errno(reterr, "the destination", dst, errno);
    *ret = realpath(dst, NULL);
    return *ret ? EXIT_DONE : refuse_errno(reterr, "the destination", dst, errno);
}

bool place_inside(const char *path, const char *of)
{
    size_t n = strcmp(of, "/") == 0 ? 0 : strlen(of);
    return strncmp(path, of, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

int migrate_places(const char *src, const char *dst, char **retsrc, char **retdst,
                   struct fault *reterr)
{
    CLEANUP(mem_free) char *from = NULL;
    CLEANUP(mem_free) char *to = NULL;
    int rc = source_place(src, &from, reterr);
    if (rc == EXIT_DONE)
        rc = destination_place(dst, &to, reterr);
    if (rc)
        return rc;
    if (strcmp(from, to) == 0)
        return refuse(reterr, EXIT_USAGE, EINVAL, "source and destination are the same:", from, "");
    if (place_inside(to, from))
        return refuse(reterr, EXIT_USAGE, EINVAL, "the destination", to, "lies inside the source");
    if (place_inside(from, to))
        return refuse(reterr, EXIT_USAGE, EINVAL, "the source", from,
                      "lies inside the destination");
    *retsrc = from;
    *retdst = to;
    from = to = NULL;
    return EXIT_DONE;
}
