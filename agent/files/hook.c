/* hook: checks whose program it is, and tells it what it is called for. Worker threads. */
#include "agent/files/hook.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

#define OUTPUT_MAX (16U << 10)
#define TIME_MS 300000

bool hook_name_valid(const char *name)
{
    return text_is_name(name, HOOK_NAME_MAX);
}

/* What another user could write would be that user's way to root. */
static int check_program(const char *dir, const char *file)
{
    const char *const paths[] = {dir, file};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct stat st;
        if (stat(paths[i], &st) < 0)
            return -errno;
        if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
            return -EPERM;
    }
    return access(file, X_OK) == 0 ? 0 : -errno;
}

int hook_check(const char *dir, const char *name, struct fault *reterr)
{
    CLEANUP(mem_free) char *file = xasprintf("%s/%s", dir, name);
    int rc = dir[0] == '/' ? check_program(dir, file) : -ENOENT;
    return rc == 0 ? 0
                   : fault_set(reterr, FAULT_STOP_JOB, -rc,
                               "hook %s: cannot use %s: %s (it and its folder have to be root's, "
                               "writable by root alone)",
                               name, file, strerror(-rc));
}

int hook_run(const struct hook_call *c, char **retline, struct fault *reterr)
{
    CLEANUP(mem_free) char *file = xasprintf("%s/%s", c->dir, c->name);
    CLEANUP(mem_free) char *path = xasprintf("GODWIT_PATH=%s", c->path);
    CLEANUP(mem_free) char *pair = xasprintf("GODWIT_PAIR=%s", c->pair);
    CLEANUP(mem_free) char *snapshot = xasprintf("GODWIT_SNAPSHOT=%s", c->snapshot);
    const char *const argv[] = {file, c->verb, NULL}, *const env[] = {path, pair, snapshot, NULL};
    const struct program_call call = {.argv = argv,
                                      .env = env,
                                      .max_out = OUTPUT_MAX,
                                      .drop = true,
                                      .timeout_ms = TIME_MS,
                                      .cancel_fd = c->cancel_fd};
    struct program_output out;
    int rc = hook_check(c->dir, c->name, reterr);
    if (rc < 0)
        return rc;
    rc = program_run(&call, &out, NULL);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "hook %s %s: %s", c->name, c->verb,
                         strerror(-rc));
    if (out.code == 0) {
        *retline = xmemdup(out.out, strcspn(out.out, "\n"));
    } else {
        CLEANUP(mem_free) char *words = program_words(&out);
        rc = fault_set(reterr, FAULT_STOP_JOB, EIO, "hook %s %s ended with %d: %.80s", c->name,
                       c->verb, out.code, words);
    }
    program_done(&out);
    return rc;
}
