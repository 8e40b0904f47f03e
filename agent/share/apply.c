/* apply: the steps "shares.check" and "shares.apply", and the agent's start after one that broke
 * off. Worker threads. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/before.h"
#include "agent/share/list.h"
#include "agent/share/share.h"
#include "agent/share/take.h"
#include "agent/step.h"
#include "agent/store/pairname.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

/* One server, one configuration: pairs come one after another. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int run(struct step *s, const Godwit__ShareApplyOrder *o, bool dry, struct step_result *ret)
{
    CLEANUP(mem_free) char *scratch = share_scratch(step_env(s));
    Godwit__ShareApplyResult *r = NULL;
    struct server v;
    int rc = share_server(s, scratch, &v);
    if (rc < 0)
        return fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "cannot make %s: %s", scratch,
                         strerror(-rc));
    v.cancel_fd = -1; /* what began comes to its end: its tools have time limits of their own */
    (void)pthread_mutex_lock(&lock);
    rc = take_over(&v, o, dry, &r, &ret->fault);
    (void)pthread_mutex_unlock(&lock);
    if (rc < 0)
        return rc;
    ret->body_len = godwit__share_apply_result__get_packed_size(r);
    ret->body = xmalloc(ret->body_len + 1);
    (void)godwit__share_apply_result__pack(r, ret->body);
    godwit__share_apply_result__free_unpacked(r, NULL);
    return 0;
}

static void step(struct step *s, bool dry, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__ShareApplyOrder *o = godwit__share_apply_order__unpack(NULL, len, args);
    int rc = -EBADMSG;
    if (!o || !pair_valid(o->pair) || !o->from || o->destination[0] != '/' || o->smb > SHARE_ALL ||
        o->nfs > SHARE_ALL)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    else
        rc = run(s, o, dry, ret);
    ret->status = rc == 0 ? STEP_DONE : STEP_FAILED;
    if (o)
        godwit__share_apply_order__free_unpacked(o, NULL);
}

void share_check(struct step *s, struct step_result *ret)
{
    step(s, true, ret);
}

void share_apply(struct step *s, struct step_result *ret)
{
    step(s, false, ret);
}

static void *recover(void *arg)
{
    CLEANUP(mem_free) char *scratch = arg;
    struct server v;
    (void)pthread_mutex_lock(&lock);
    if (share_server(NULL, scratch, &v) == 0)
        before_recover(&v);
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

void share_recover(const struct agent_env *env)
{
    pthread_t thread;
    char *scratch = share_scratch(env);
    if (pthread_create(&thread, NULL, recover, scratch) == 0)
        (void)pthread_detach(thread);
    else
        free(scratch);
}
