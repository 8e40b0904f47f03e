/* keytab: a file beside the notes says that it is due, and where. Process with rights. */
#include "agent/identity/keytab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/identity/names.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define KEYTAB_MS 60000
#define DC_MAX 256

static char *due_path(const struct stage_run *r)
{
    return xasprintf("%s/" KEYTAB_DUE, r->site.folder);
}

bool keytab_is_due(const struct stage_run *r)
{
    CLEANUP(mem_free) char *path = due_path(r);
    return access(path, F_OK) == 0;
}

int keytab_put_off(struct stage_run *r, const char *dc, const char **retoption)
{
    CLEANUP(mem_free) char *method = names_ask_conf(&r->site, "kerberos method");
    CLEANUP(mem_free) char *path = due_path(r);
    *retoption = NULL;
    /* With a keytab alone Samba knows no ticket without the file; without one there is none. */
    if (strcasecmp(method, "secrets and keytab") != 0)
        return 0;
    int rc = file_write(path, 0600, dc, strlen(dc));
    if (rc < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot write %.120s: %s", path,
                         strerror(-rc));
    *retoption = "--option=kerberos method=secrets only";
    return 0;
}

int keytab_forget(struct stage_run *r)
{
    CLEANUP(mem_free) char *path = due_path(r);
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int keytab_make(struct stage_run *r)
{
    static const char *const words[] = {"keytab", "create", NULL};
    CLEANUP(mem_free) char *path = due_path(r);
    CLEANUP(mem_free) char *dc = NULL;
    size_t len = 0;
    int rc = file_read(path, DC_MAX, &dc, &len);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot read %.120s: %s", path,
                         strerror(-rc));
    const struct ads machine = {.v = &r->site, .dc = dc};
    FAULT_POINT("identity.keytab");
    rc = ads_net(&machine, words, KEYTAB_MS, NULL, r->reterr);
    if (rc == 0)
        rc = keytab_forget(r);
    return rc < 0 ? rc : 1;
}
