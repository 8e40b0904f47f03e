/* send: the step "files.send": one source tree to the lanes of one destination. Worker thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/files/endpoint.h"
#include "agent/files/files.h"
#include "agent/files/order.h"
#include "agent/files/snapshot.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/transfer/sender.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"

/* Why the source was read as it is stands in the report among what could not be kept. */
static void note_live(struct step_result *r, const char *why)
{
    if (r->ngroups == ARRAY_SIZE(r->groups))
        return;
    struct failure_group *g = &r->groups[r->ngroups++];
    *g = (struct failure_group){.err = EOPNOTSUPP, .count = 1, .nexamples = 1};
    (void)snprintf(g->what, sizeof g->what, "keep one moment");
    g->examples[0] = text_printable(why, strlen(why));
}

static void origin_of(struct transfer_spec *spec)
{
    CLEANUP(fd_close) int fd = beneath_root(spec->path, spec->path_len, false);
    if (fd >= 0)
        rootid_of(fd, &spec->origin);
}

/* A dry run touches nothing, so it reads the source as it is. */
static void send(struct step *s, struct transfer_spec *spec, struct step_result *ret)
{
    struct snapshot *snap = NULL;
    CLEANUP(mem_free) char *why = NULL;
    const struct snapshot_want want = {.policy =
                                           spec->options.snapshot ? spec->options.snapshot : "",
                                       .pair = spec->pair,
                                       .path = spec->path,
                                       .path_len = spec->path_len,
                                       .cancel_fd = step_cancel_fd(s)};
    if (!spec->options.dry_run && snapshot_take(step_env(s), &want, &snap, &why, &ret->fault) < 0)
        return;
    if (snap) {
        origin_of(spec);
        const char *path = snapshot_path(snap);
        size_t len = strlen(path);
        spec->is_snapshot = len != spec->path_len || memcmp(path, spec->path, len) != 0;
        spec->path = path;
        spec->path_len = len;
    }
    sender_run(s, spec, ret);
    (void)snapshot_release(snap);
    if (why)
        note_live(ret, why);
}

static void pull(struct step *s, const Godwit__SmbSource *smb, struct transfer_spec *spec,
                 struct step_result *ret)
{
    struct endpoint_source from = {.destination = NULL};
    if (endpoint_of_order(s, smb, &from, &ret->fault) == 0)
        pull_run(s, spec, &from.pull, ret);
    endpoint_source_done(&from);
}

void files_send(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__SendOrder *o = godwit__send_order__unpack(NULL, len, args);
    struct transfer_spec spec = {.path = NULL};
    ret->status = STEP_FAILED;
    if (!o)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    else if (order_of_send(o, &spec, &ret->fault) == 0 && o->smb)
        pull(s, o->smb, &spec, ret);
    else if (ret->fault.what_next == FAULT_NONE)
        send(s, &spec, ret);
    order_done(&spec);
    if (o)
        godwit__send_order__free_unpacked(o, NULL);
}
