/* byhand: the state before of a stage that a person does, noted as the stage itself would have
 * noted it, so that a rollback takes back what the person did. Worker thread, or a process of its
 * own. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/identity/dns.h"
#include "agent/identity/names.h"
#include "agent/identity/nfs.h"
#include "agent/identity/rejoin.h"
#include "agent/identity/service.h"
#include "agent/identity/stage.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

static int note_units(struct stage_run *r)
{
    Godwit__UndoUnits *now = NULL;
    int rc = service_look(&r->site, &now, r->reterr);
    if (rc < 0)
        return rc;
    rc = undo_keep_units(r->site.undo, now);
    service_free(now);
    return rc;
}

static int note_names(struct stage_run *r)
{
    static const char *const files[] = {"/etc/hostname", "/etc/hosts", NAMES_CONF};
    char now[256] = "";
    int rc = gethostname(now, sizeof now - 1) < 0 ? -errno : 0;
    if (rc == 0)
        rc = undo_keep_host_name(r->site.undo, now);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(files); i++) {
        CLEANUP(mem_free) char *full = xasprintf("%s%s", r->site.root, files[i]);
        rc = undo_keep_file(r->site.undo, full);
    }
    return rc;
}

/* Read-only, then closed. */
static int note_shares(struct stage_run *r)
{
    CLEANUP(mem_free) char *full = xasprintf("%s" NAMES_CONF, r->site.root);
    int rc = undo_keep_file(r->site.undo, full);
    return rc < 0 ? rc : nfs_note(&r->site, r->reterr);
}

static const struct {
    const char *stage;
    int (*note)(struct stage_run *r);
} notes[] = {
    {"stop",      note_units          },
    {"start",     note_units          },
    {"names",     note_names          },
    {"addresses", stage_note_addresses},
    {"fence",     note_shares         },
    {"close",     note_shares         },
    {"leave",     rejoin_leave_note   },
    {"join",      rejoin_join_note    },
    {"dns",       dns_note            },
};

int stage_note(struct stage_run *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(notes); i++) {
        if (strcmp(notes[i].stage, r->order->stage) != 0)
            continue;
        int rc = notes[i].note(r);
        return rc < 0 && !r->reterr->err ? fault_set(r->reterr, FAULT_STOP_JOB, -rc,
                                                     "cannot note what is there: %s", strerror(-rc))
                                         : rc;
    }
    return fault_set(r->reterr, FAULT_STOP_JOB, ENOTSUP, "'%.30s' is no stage for a person",
                     r->order->stage);
}
