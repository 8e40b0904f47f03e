/* exchange: the way of a bundle from the source's agent to the destination's: one lane, let in by a
 * ticket and a pinned key as all lanes are. Worker thread of the agent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/identity/bundle.h"
#include "agent/identity/undo.h"
#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_single.h"
#include "agent/step.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define REC_PART 28   /* source: a part of the bundle; the last one is its SHA-256 alone */
#define REC_STORED 52 /* destination: it is on disk */
#define CREDIT (1U << 20)
#define WAIT_MS 20000
#define AGAIN_MS 3000
#define ANSWER_MS 10000

static int ticket_read(const Godwit__IdentityOrder *o, struct ticket *t, struct fault *reterr)
{
    const struct lane_single_order order = {.ticket_id = o->ticket_id,
                                            .pair = o->cutover,
                                            .secret = o->ticket_secret.data,
                                            .secret_len = o->ticket_secret.len,
                                            .pin = o->peer_pin.data,
                                            .pin_len = o->peer_pin.len,
                                            .not_after_ms = o->not_after_ms};
    if (lane_single_ticket(&order, t) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the order has no ticket");
    return 0;
}

/* ── the destination ── */

static int take(struct lane *l, const char *folder)
{
    struct buf b;
    const struct lane_welcome w = {.credit = CREDIT};
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", folder);
    int rc = lane_welcome_send(l, &w);
    buf_init(&b, UNDO_JOURNAL_MAX);
    if (rc == 0)
        rc = lane_single_take(l, REC_PART, WAIT_MS, &b);
    if (rc == 0)
        rc = file_write(path, 0600, b.data, b.len);
    if (rc == 0)
        rc = lane_send_copy(l, REC_STORED, 0, "", 0);
    if (b.data)
        explicit_bzero(b.data, b.len);
    buf_done(&b);
    return rc;
}

static int receive(struct step *s, const char *folder, const struct ticket *t, struct fault *reterr)
{
    struct lane *l = NULL;
    CLEANUP(mem_free) char *path = xasprintf("%s/bundle", folder);
    bool here = access(path, F_OK) == 0;
    int rc =
        lane_single_await(step_env(s)->lanes, t, step_cancel_fd(s), here ? AGAIN_MS : WAIT_MS, &l);
    /* This agent died when it had come: the source, which was told so, is not asked again. */
    if (rc == -ETIMEDOUT && here)
        return 0;
    if (rc == 0) {
        lane_set_cancel(l, step_cancel_fd(s));
        rc = take(l, folder);
        lane_close(l);
    }
    (void)lane_free(l);
    return rc < 0 ? fault_set(reterr, FAULT_RETRY, -rc, "the source's databases did not come: %s",
                              strerror(-rc))
                  : 0;
}

/* ── the source ── */

static int send(struct step *s, const struct site *v, const Godwit__IdentityOrder *o,
                const struct ticket *t, struct fault *reterr)
{
    const struct lane_single_way way = {.endpoints = o->peer_endpoints,
                                        .nendpoints = o->n_peer_endpoints,
                                        .cancel_fd = step_cancel_fd(s),
                                        .answer_ms = ANSWER_MS};
    struct lane *l = NULL;
    uint8_t *data = NULL;
    size_t len = 0;
    if (!o->plan)
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    int rc = bundle_make(v, o->plan, &data, &len, reterr);
    if (rc < 0)
        return rc;
    rc = lane_single_open(step_env(s)->identity, t, &way, &l);
    if (rc == 0)
        rc = lane_single_give(l, REC_PART, REC_STORED, data, len, WAIT_MS);
    if (l)
        lane_close(l);
    (void)lane_free(l);
    explicit_bzero(data, len);
    free(data);
    return rc < 0
               ? fault_set(reterr, FAULT_RETRY, -rc,
                           "the databases cannot be handed to the destination: %s", strerror(-rc))
               : 0;
}

int bundle_exchange(struct step *s, const struct site *v, const Godwit__IdentityOrder *o,
                    struct fault *reterr)
{
    struct ticket t = {.not_after_ms = 0};
    int rc = ticket_read(o, &t, reterr);
    if (rc == 0 && (!step_env(s)->lanes || !step_env(s)->identity))
        rc = fault_set(reterr, FAULT_STOP_JOB, ENOTSUP, "this agent has no lanes");
    if (rc == 0)
        rc = o->n_peer_endpoints ? send(s, v, o, &t, reterr) : receive(s, v->folder, &t, reterr);
    explicit_bzero(t.secret, sizeof t.secret);
    return rc;
}
