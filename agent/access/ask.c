/* ask: starts the helper (ask.py) and takes its answer. The agent itself may not become another
 * user: where it runs as a unit of systemd the helper is a unit of its own for these seconds, with
 * that right and few others. Worker threads. */
#include "agent/access/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/access/ask_py.h"
#include "common/base/cleanup.h"
#include "common/base/confine.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define PYTHON "/usr/bin/python3"
#define ASK_MS 150000

static const char *const properties[] = {
    "--property=CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_DAC_READ_SEARCH",
    "--property=RuntimeMaxSec=140",
};

static void remove_folder(const char *folder)
{
    static const char *const files[] = {"request", "machine", "user"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        CLEANUP(mem_free) char *path = xasprintf("%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static int run(const char *folder, int cancel_fd, struct program_output *ret, struct fault *reterr)
{
    const char *argv[CONFINE_ARGS + ARRAY_SIZE(properties) + 6];
    CLEANUP(mem_free) char *script = xmemdup(ask_py, sizeof ask_py);
    size_t n = confine_may_set_user() ? 0 : confine_unit(argv);
    for (size_t i = 0; n > 0 && i < ARRAY_SIZE(properties); i++)
        argv[n++] = properties[i];
    argv[n++] = PYTHON;
    argv[n++] = "-I";
    argv[n++] = "-c";
    argv[n++] = script;
    argv[n++] = folder;
    argv[n] = NULL;
    const struct program_call call = {
        .argv = argv, .max_out = ACCESS_ANSWER_MAX, .timeout_ms = ASK_MS, .cancel_fd = cancel_fd};
    return program_run(&call, ret, reterr);
}

static int take(struct program_output *out, char **ret, size_t *retlen, struct fault *reterr)
{
    if (out->code != 0 || out->len == 0 || out->out[0] != '{') {
        CLEANUP(mem_free) char *words = program_words(out);
        return fault_set(reterr, FAULT_STOP_JOB, EIO, "access cannot be asked here: %.120s", words);
    }
    *ret = out->out;
    *retlen = out->len;
    out->out = NULL;
    return 0;
}

int access_ask(const char *scratch, int cancel_fd, const void *request, size_t len, char **ret,
               size_t *retlen, struct fault *reterr)
{
    if (len > ACCESS_REQUEST_MAX)
        return fault_set(reterr, FAULT_STOP_JOB, E2BIG, "the question is too long");
    if (access(PYTHON, X_OK) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                         "access cannot be asked here: python3 is not installed");
    CLEANUP(mem_free) char *folder = xasprintf("%s/access-XXXXXX", scratch);
    if (!mkdtemp(folder))
        return fault_set(reterr, FAULT_STOP_JOB, errno, "no folder for the question");
    CLEANUP(mem_free) char *path = xasprintf("%s/request", folder);
    struct program_output out;
    int rc = file_write(path, 0600, request, len);
    if (rc < 0)
        rc = fault_set(reterr, FAULT_STOP_JOB, -rc, "the question cannot be written");
    else
        rc = run(folder, cancel_fd, &out, reterr);
    if (rc == 0) {
        rc = take(&out, ret, retlen, reterr);
        program_done(&out);
    }
    remove_folder(folder);
    return rc;
}
