/* step: what a running step may ask of its agent. Any thread of the step. */
#include "agent/step.h"

#include <stdlib.h>

#include "agent/step_priv.h"

const struct agent_env *step_env(const struct step *s)
{
    return s->env;
}

const char *step_op_id(const struct step *s)
{
    return s->op_id;
}

const char *step_job(const struct step *s)
{
    return s->job;
}

void step_secret(const struct step *s, struct step_secret *ret)
{
    *ret = s->secret;
}

const void *step_args(const struct step *s, size_t *retlen)
{
    *retlen = s->args_len;
    return s->args;
}

bool step_cancelled(const struct step *s)
{
    return atomic_load_explicit(&s->cancelled, memory_order_relaxed);
}

int step_cancel_fd(const struct step *s)
{
    return s->cancel_fd;
}

struct bucket *step_bucket(struct step *s)
{
    return &s->bucket;
}

void step_result_done(struct step_result *r)
{
    for (size_t g = 0; g < r->ngroups; g++)
        for (size_t i = 0; i < r->groups[g].nexamples; i++)
            free(r->groups[g].examples[i]);
    free(r->body);
    *r = (struct step_result){0};
}
