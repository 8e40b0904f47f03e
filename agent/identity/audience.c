/* audience: a folder in memory with "bundle", "tickets" and a file for each name that has one.
 * Worker thread of the agent. */
#include "agent/identity/audience.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/identity/bundle.h"
#include "agent/identity/names.h"
#include "agent/identity/service.h"
#include "agent/identity/ticket.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

static const struct site here = {.root = "", .folder = AUDIENCE_FOLDER};

int audience_give(struct step *s, const Godwit__IdentityOrder *o, struct fault *reterr)
{
    return bundle_exchange(s, &here, o, reterr);
}

/* For this name as it will be written. */
static void fetch_name(const char *name)
{
    CLEANUP(mem_free) char *service = xasprintf("cifs/%s", name);
    CLEANUP(mem_free) char *path = xasprintf(AUDIENCE_NAME, name);
    if ((names_full_valid(name) || names_netbios_valid(name)) &&
        ticket_service(&here, AUDIENCE_TICKETS, service) > 0)
        (void)file_write(path, 0600, "", 0);
}

static void fetch_names(const Godwit__IdentityNames *n)
{
    fetch_name(n->netbios);
    for (size_t i = 0; i < n->n_aliases; i++)
        fetch_name(n->aliases[i]);
    for (size_t i = 0; i < n->n_dns_names; i++)
        fetch_name(n->dns_names[i]);
}

/* There winbind has no controller: what it is going to be asked for is asked for here, of the one
 * that runs, and stands in its data bases afterwards. */
static void warm(const Godwit__IdentityPlan *p)
{
    CLEANUP(mem_free) char *user = xasprintf("%s\\%s", p->account->workgroup, p->probe_user);
    const char *const asks[][4] = {
        {"wbinfo", "-i",           user, NULL},
        {"wbinfo", "-r",           user, NULL},
        {"wbinfo", "--own-domain", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(asks); i++)
        (void)service_tool(&here, asks[i], 20000, NULL);
}

static int come(struct step *s, const Godwit__IdentityOrder *o, struct fault *reterr)
{
    const Godwit__IdentityPlan *p = o->plan;
    if (!p || !p->old || !p->account)
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    if (file_mkdirs(AUDIENCE_FOLDER, 0700) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "cannot make %s", AUDIENCE_FOLDER);
    int rc = bundle_exchange(s, &here, o, reterr);
    if (rc == 0 && !ticket_file_fits(PROBE_CREDENTIALS))
        rc = fault_set(reterr, FAULT_STOP_JOB, ENOKEY,
                       "%s is not on the destination, root's with mode 0600", PROBE_CREDENTIALS);
    if (rc == 0)
        rc = ticket_take(&here, PROBE_CREDENTIALS, p->probe_user, p->account->realm,
                         AUDIENCE_TICKETS, reterr);
    if (rc == 0) {
        fetch_names(p->old);
        warm(p);
    }
    return rc;
}

void audience_come(struct step *s, const Godwit__IdentityOrder *o, char **retlack)
{
    struct fault why = {.err = 0};
    audience_leave(); /* of one that a crash cut short */
    *retlack = come(s, o, &why) < 0 ? xstrdup(why.text) : NULL;
    if (*retlack)
        audience_leave();
}

void audience_leave(void)
{
    DIR *d = opendir(AUDIENCE_FOLDER);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        CLEANUP(mem_free) char *path = xasprintf(AUDIENCE_FOLDER "/%s", e->d_name);
        if (e->d_name[0] != '.')
            (void)undo_shred(path);
    }
    if (d)
        (void)closedir(d);
    (void)rmdir(AUDIENCE_FOLDER);
}
