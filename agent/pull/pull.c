/* pull: connects, keeps what the workers share, and hands the transfer its ways to walk and read.
 * The step's thread and the workers'. */
#include "agent/pull/pull.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pull/pull_priv.h"
#include "agent/transfer/sender.h"
#include "agent/transfer/spec.h"
#include "agent/transfer/temp.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define REFUSED_MAX 12U /* sessions in a row: with their pauses about a minute */

struct pull *pull_of(const struct worker *w)
{
    return w->s->spec->source_of;
}

int pull_wait(struct worker *w, struct smb_call *c)
{
    int64_t began = hold_begin(&w->s->hold);
    int rc = smb_wait(c);
    hold_end(&w->s->hold, began);
    return rc;
}

int pull_ask(struct worker *w, struct smb_call *c, int built)
{
    int rc = built == 0 ? smb_send(c) : built;
    return rc == 0 ? pull_wait(w, c) : rc;
}

int pull_path(struct worker *w, const struct folder *f, const char *name, const char **ret,
              size_t *retlen)
{
    struct puller *k = w->own;
    const struct pull_source *from = k->p->from;
    struct buf *b = &k->path;
    buf_clear(b);
    buf_put(b, from->base, from->base_len);
    if (f->len > 0 && b->len > 0)
        buf_put_u8(b, '/');
    buf_put(b, f->path, f->len);
    if (name && b->len > 0)
        buf_put_u8(b, '/');
    if (name)
        buf_put(b, name, strlen(name));
    *ret = (const char *)b->data;
    *retlen = b->len;
    return b->overflow ? -ENAMETOOLONG : 0;
}

/* ── a session ── */

static int check_base(const struct pull_source *from, struct smb *smb, struct fault *reterr)
{
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(smb);
    int rc = smb_put_open(c, from->base, from->base_len, SMB_OPEN_FOLDER);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = smb_ask(c, rc);
    if (rc < 0)
        return rc;
    rc = smb_get_open(c, 0, NULL, NULL);
    if (rc == -ENOENT || rc == -ENOTDIR)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the share %.60s of %s has no folder '%.*s'",
                         from->place.share, from->place.address, (int)from->base_len, from->base);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc,
                         "%.60s may not read '/%.*s' of the share %.60s on %s: %s",
                         from->place.login.user, (int)from->base_len, from->base, from->place.share,
                         from->place.address, strerror(-rc));
    return 0;
}

int pull_try(const struct pull_source *from, bool *retaudit, struct fault *reterr)
{
    CLEANUP(smb_close) struct smb *smb = NULL;
    int rc = smb_connect(&smb, &from->place, reterr);
    if (rc < 0)
        return rc;
    *retaudit = smb_has_audit(smb);
    rc = check_base(from, smb, reterr);
    if (rc < 0 && !reterr->err)
        (void)fault_set(reterr, FAULT_RETRY, -rc, "the connection to %.80s was lost",
                        from->place.address);
    return rc;
}

static int session_begin(struct sender *s)
{
    struct pull *p = s->spec->source_of;
    struct fault why = {0};
    struct smb *smb = NULL;
    p->s = s;
    pull_hand_forget(p); /* of a session that broke */
    int rc = smb_connect(&smb, &p->from->place, &why);
    if (rc < 0) {
        if (why.what_next == FAULT_STOP_JOB || ++p->refused > REFUSED_MAX)
            s->fault = why;
        return rc;
    }
    p->refused = 0;
    rc = check_base(p->from, smb, &s->fault);
    if (rc == 0)
        rc = pull_root_of(smb, p->from, &s->root_id);
    if (rc < 0) {
        (void)smb_close(smb);
        return rc;
    }
    (void)smb_close(p->first);
    p->first = smb;
    return 0;
}

static void session_end(struct sender *s)
{
    struct pull *p = s->spec->source_of;
    p->first = smb_close(p->first);
    pull_hand_forget(p);
}

static int worker_begin(struct worker *w)
{
    struct pull *p = pull_of(w);
    struct puller *k = xcalloc(1, sizeof *k);
    struct fault why = {0};
    k->p = p;
    w->own = k;
    k->looks = xcalloc(WINDOW_FILES, sizeof *k->looks);
    buf_init(&k->xattrs, XATTRS_MAX + 1);
    buf_init(&k->path, 2 * PATH_BYTES_MAX);
    buf_init(&k->mapped, SMB_DESCRIPTOR_MAX);
    (void)pthread_mutex_lock(&p->lock);
    k->smb = p->first;
    p->first = NULL;
    (void)pthread_mutex_unlock(&p->lock);
    return k->smb ? 0 : smb_connect(&k->smb, &p->from->place, &why);
}

static void worker_end(struct worker *w)
{
    struct puller *k = w->own;
    if (!k)
        return;
    pull_forget(w);
    (void)smb_close(k->smb);
    buf_done(&k->xattrs);
    buf_done(&k->path);
    buf_done(&k->mapped);
    free(k->looks);
    free(k);
    w->own = NULL;
}

static const struct source_ops ops = {
    .session_begin = session_begin,
    .session_end = session_end,
    .begin = worker_begin,
    .end = worker_end,
    .folder = pull_folder,
    .answer = pull_answer,
    .later = pull_later,
    .piece = pull_piece,
    .held_still = pull_held_still,
    .finish = pull_depot_finish,
};

/* ── the step ── */

void pull_run(struct step *step, struct transfer_spec *spec, struct pull_source *from,
              struct step_result *ret)
{
    struct pull p = {.from = from, .step = step};
    CLEANUP(mem_free)
    char *scratch = temp_state_path(step_env(step)->state_dir, spec->pair, "ntacl");
    int rc = smbacl_new(&p.smbacl, scratch, from->destination, &ret->fault);
    if (rc == 0)
        rc = pull_depot_open(&p, &ret->fault);
    if (rc < 0) {
        (void)smbacl_free(p.smbacl);
        return;
    }
    (void)pthread_mutex_init(&p.lock, NULL);
    from->place.cancel_fd = step_cancel_fd(step);
    spec->source = &ops;
    spec->source_of = &p;
    sender_run(step, spec, ret);
    (void)smb_close(p.first);
    pull_depot_close(&p);
    (void)smbacl_free(p.smbacl);
    (void)pthread_mutex_destroy(&p.lock);
}
