/* take: the one step: plan, check, write down what was, put it there, tell the servers; undo all of
 * it when anything fails. Worker threads. */
#include "agent/share/take.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/before.h"
#include "agent/share/list.h"
#include "agent/share/list_priv.h"
#include "agent/share/take_priv.h"
#include "common/base/fault_point.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define NOTES_MAX 40 /* of one share */

Godwit__ShareOutcome *take_outcome(struct take *t, const char *name, const char *what,
                                   const char *path, const char *outcome)
{
    Godwit__ShareOutcome *o = xmalloc(sizeof *o);
    godwit__share_outcome__init(o);
    list_text(&o->name, name);
    list_text(&o->what, what);
    list_text(&o->path, path);
    list_text(&o->outcome, outcome);
    t->result->outcomes = list_grown(t->result->outcomes, t->result->n_outcomes);
    t->result->outcomes[t->result->n_outcomes++] = o;
    return o;
}

void take_note(void *outcome, const char *text)
{
    Godwit__ShareOutcome *o = outcome;
    for (size_t i = 0; i < o->n_notes; i++)
        if (strcmp(o->notes[i], text) == 0)
            return;
    if (o->n_notes == NOTES_MAX)
        return;
    o->notes = list_grown(o->notes, o->n_notes);
    o->notes[o->n_notes++] = xstrdup(text);
}

void take_remark(struct take *t, const char *text)
{
    t->result->notes = list_grown(t->result->notes, t->result->n_notes);
    t->result->notes[t->result->n_notes++] = xstrdup(text);
}

static int plan(struct take *t, struct fault *reterr)
{
    int rc = t->order->smb >= SHARE_PAIR ? take_samba_plan(t, reterr) : 0;
    return rc == 0 && t->order->nfs >= SHARE_PAIR ? take_nfs_plan(t, reterr) : rc;
}

static bool changes(const struct take *t)
{
    return t->before->n_files + t->before->n_registry + t->before->n_descriptors > 0;
}

static int put_there(struct take *t, struct fault *reterr)
{
    FAULT_POINT("shares.recorded");
    int rc = take_samba_write(t, reterr);
    if (rc < 0)
        return rc;
    FAULT_POINT("shares.registry");
    rc = before_write_files(t->before);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the new configuration cannot be written: %s",
                         strerror(-rc));
    FAULT_POINT("shares.written");
    rc = take_samba_secure(t, reterr);
    if (rc == 0)
        rc = before_reload(t->server, t->order->smb >= SHARE_PAIR, t->nfs, reterr);
    return rc;
}

static int commit(struct take *t, struct fault *reterr)
{
    int rc = before_save(t->server, t->order->pair, t->before);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write down what stands here: %s",
                         strerror(-rc));
    rc = put_there(t, reterr);
    if (rc < 0) {
        int undone = before_undo(t->server, t->before);
        size_t n = strlen(reterr->text);
        CLEANUP(mem_free) char *text = xmemdup(reterr->text, n);
        if (undone < 0)
            return fault_set(
                reterr, FAULT_STOP_JOB, -rc,
                "%.120s; and what was there could not be put back (%s): it is tried again "
                "when the agent starts",
                text, strerror(-undone));
    }
    before_forget(t->server, t->order->pair);
    return rc;
}

static void done(struct take *t)
{
    for (size_t i = 0; i < t->ntaken; i++) {
        free(t->taken[i].path);
        free(t->taken[i].sddl);
    }
    free(t->taken);
    for (size_t i = 0; t->unknown[i]; i++)
        free(t->unknown[i]);
    (void)samba_free(t->now);
    (void)samba_free(t->others);
    (void)samba_free(t->after);
    (void)smbconf_free(t->registry);
    (void)smbconf_free(t->defaults);
    (void)smbconf_free(t->builtin);
    free(t->config);
    free(t->managed);
    free(t->config_text);
    free(t->managed_text);
    free(t->old_block);
    free(t->block);
    (void)idmap_free(t->map);
    godwit__share_before__free_unpacked(t->before, NULL);
}

int take_over(const struct server *v, const Godwit__ShareApplyOrder *o, bool dry,
              Godwit__ShareApplyResult **ret, struct fault *reterr)
{
    Godwit__ShareApplyResult *r = xmalloc(sizeof *r);
    godwit__share_apply_result__init(r);
    struct take t = {.server = v, .order = o, .dry = dry, .result = r, .before = before_new()};
    if (!dry)
        before_recover(v);
    struct idmap_error e;
    int rc = idmap_parse((const char *)o->map.data, o->map.len, &t.map, &e);
    if (rc < 0)
        (void)fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the order's map is not well formed");
    else
        rc = plan(&t, reterr);
    if (rc == 0 && changes(&t)) {
        r->changed = true;
        rc = dry ? 0 : commit(&t, reterr);
    }
    done(&t);
    if (rc < 0)
        godwit__share_apply_result__free_unpacked(r, NULL);
    else
        *ret = r;
    return rc;
}
