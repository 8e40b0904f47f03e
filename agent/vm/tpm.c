/* tpm: see tpm.h. */
#include "agent/vm/tpm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "agent/vm/image.h"
#include "agent/vm/state.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define TIMEOUT_MS 5000

void tpm_version_in(const char *said, char ret[TPM_VERSION_MAX])
{
    static const char before[] = "version ";
    const char *at = strstr(said, before);
    size_t n = at ? strspn(at + strlen(before), "0123456789.") : 0;
    ret[0] = '\0';
    if (n > 0 && n < TPM_VERSION_MAX)
        (void)snprintf(ret, TPM_VERSION_MAX, "%.*s", (int)n, at + strlen(before));
}

void tpm_version(char ret[TPM_VERSION_MAX])
{
    static const char *const argv[] = {"swtpm", "--version", NULL};
    const struct program_call call = {
        .argv = argv, .max_out = 4096, .drop = true, .timeout_ms = TIMEOUT_MS};
    struct program_output out = {.code = 0};
    struct fault ignored;
    ret[0] = '\0';
    if (program_run(&call, &out, &ignored) < 0)
        return;
    tpm_version_in(out.out, ret);
    program_done(&out);
}

bool tpm_is_too_old(const char *version)
{
    char *end = NULL;
    unsigned long major = strtoul(version, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major == 0 && minor < 8;
}

bool tpm_is_shared(const char *place)
{
    CLEANUP(mem_free) char *at = xstrdup(*place == '/' ? place : VM_TPM_HOME);
    struct statfs fs;
    bool shared = false;
    while (statfs(at, &fs) < 0) { /* it may never have run: what would hold it */
        char *slash = strrchr(at, '/');
        if (!slash || slash == at)
            return false;
        *slash = '\0';
    }
    (void)image_file_system((uint64_t)fs.f_type, &shared);
    return shared;
}
