/* question: the step "access.ask". Worker thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/access/access.h"
#include "agent/access/ask.h"
#include "agent/step.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "proto/access.pb-c.h"

static void answer(struct step *s, const Godwit__AccessOrder *o, struct step_result *ret)
{
    Godwit__AccessResult r = GODWIT__ACCESS_RESULT__INIT;
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    ret->status = STEP_FAILED;
    if (access_ask(step_env(s)->state_dir, step_cancel_fd(s), o->request.data, o->request.len,
                   &text, &len, &ret->fault) < 0)
        return;
    r.answer.data = (uint8_t *)text;
    r.answer.len = len;
    ret->body_len = godwit__access_result__get_packed_size(&r);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__access_result__pack(&r, ret->body);
    ret->status = STEP_DONE;
}

void access_question(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__AccessOrder *o = godwit__access_order__unpack(NULL, len, args);
    if (o) {
        answer(s, o, ret);
        godwit__access_order__free_unpacked(o, NULL);
        return;
    }
    ret->status = STEP_FAILED;
    (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
}
