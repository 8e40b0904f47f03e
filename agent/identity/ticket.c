/* ticket: kinit and kvno. Worker thread. */
#include "agent/identity/ticket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/credential.h"
#include "agent/identity/names.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define FILE_MAX 4096
#define TICKET_MS 15000

bool ticket_file_fits(const char *credentials)
{
    struct stat st;
    return stat(credentials, &st) == 0 && st.st_uid == 0 && (st.st_mode & 077) == 0;
}

/* "first.last" as well; nothing that makes another principal of it. */
static bool user_fits(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= 104 && !strpbrk(s, "/@\\\"\n\r\t") && *s != '-';
}

/* The line that kinit reads; to be wiped by the caller. */
static char *password_of(const char *credentials)
{
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(credential_free) struct credential *c = NULL;
    size_t len = 0;
    if (file_read(credentials, FILE_MAX, &text, &len) < 0)
        return NULL;
    int rc = credential_parse(text, &c);
    explicit_bzero(text, len);
    return rc == 0 ? xasprintf("%s\n", c->password) : NULL;
}

int ticket_take(const struct site *v, const char *credentials, const char *user, const char *realm,
                const char *cache, struct fault *reterr)
{
    CLEANUP(mem_free) char *who = xasprintf("%s@%s", user, realm);
    const char *const argv[] = {"kinit", "-c", cache, "--", who, NULL};
    if (!user_fits(user) || !names_full_valid(realm))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' is no user of a domain", user);
    char *password = password_of(credentials);
    if (!password)
        return fault_set(reterr, FAULT_STOP_JOB, ENOKEY,
                         "%s has no lines \"username = …\" and \"password = …\"", credentials);
    const struct program_call c = {.argv = argv,
                                   .search = v->search,
                                   .input = password,
                                   .input_len = strlen(password),
                                   .timeout_ms = TICKET_MS};
    struct program_output o;
    int rc = program_run(&c, &o, reterr);
    explicit_bzero(password, strlen(password));
    free(password);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *said = program_words(&o);
    if (o.code)
        rc = fault_set(reterr, FAULT_STOP_JOB, EACCES, "no ticket for %.60s: %.100s", user, said);
    program_done(&o);
    return rc;
}

int ticket_service(const struct site *v, const char *cache, const char *service)
{
    const char *const argv[] = {"kvno", "-q", "-c", cache, service, NULL};
    const struct program_call c = {.argv = argv, .search = v->search, .timeout_ms = TICKET_MS};
    struct program_output o;
    struct fault unused = {.err = 0};
    int rc = program_run(&c, &o, &unused);
    if (rc < 0)
        return rc;
    rc = o.code == 0;
    program_done(&o);
    return rc;
}
