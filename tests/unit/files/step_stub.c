/* step_stub: what agent/step.c offers, without the rest of the agent. */
#include "tests/unit/files/step_stub.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/bucket.h"
#include "common/base/mem.h"

struct step {
    struct agent_env env;
    void *args;
    size_t args_len;
    int cancel_fd;
    atomic_bool cancelled;
    atomic_uint reports;
    struct bucket bucket;
};

struct step *step_stub_new(const char *state_dir, const void *args, size_t len)
{
    struct step *s = xcalloc(1, sizeof *s);
    s->env = (struct agent_env){.state_dir = state_dir, .privileged = geteuid() == 0};
    s->args = xmemdup(args, len);
    s->args_len = len;
    s->cancel_fd = eventfd(0, EFD_CLOEXEC);
    bucket_init(&s->bucket, BUCKET_UNLIMITED);
    return s;
}

struct step *step_stub_free(struct step *s)
{
    (void)close(s->cancel_fd);
    free(s->args);
    free(s);
    return NULL;
}

void step_stub_cancel(struct step *s)
{
    atomic_store(&s->cancelled, true);
    (void)eventfd_write(s->cancel_fd, 1);
}

unsigned step_stub_reports(const struct step *s)
{
    return atomic_load(&s->reports);
}

const struct agent_env *step_env(const struct step *s)
{
    return &s->env;
}

const char *step_op_id(const struct step *s)
{
    (void)s;
    return "0123456789abcdef";
}

const char *step_job(const struct step *s)
{
    (void)s;
    return "job";
}

void step_secret(const struct step *s, struct step_secret *ret)
{
    (void)s;
    *ret = (struct step_secret){.user = NULL};
}

const void *step_args(const struct step *s, size_t *retlen)
{
    *retlen = s->args_len;
    return s->args;
}

bool step_cancelled(const struct step *s)
{
    return atomic_load(&s->cancelled);
}

int step_cancel_fd(const struct step *s)
{
    return s->cancel_fd;
}

void step_progress(struct step *s, const struct counters *c, unsigned percent, const char *doing)
{
    (void)c;
    (void)percent;
    (void)doing;
    atomic_fetch_add(&s->reports, 1);
}

struct bucket *step_bucket(struct step *s)
{
    return &s->bucket;
}

void step_source_latency(struct step *s, uint32_t us, unsigned pace)
{
    (void)s;
    (void)us;
    (void)pace;
}

void step_result_done(struct step_result *r)
{
    for (size_t g = 0; g < r->ngroups; g++)
        for (size_t i = 0; i < r->groups[g].nexamples; i++)
            free(r->groups[g].examples[i]);
    free(r->body);
    *r = (struct step_result){.body = NULL};
}
