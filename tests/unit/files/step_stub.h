/* step_stub: a step without an agent, for tests and benches of the files steps. */
#pragma once
#include "agent/step.h"

/* args are copied; state_dir is borrowed. */
struct step *step_stub_new(const char *state_dir, const void *args, size_t len);
struct step *step_stub_free(struct step *s);
void step_stub_cancel(struct step *s);
unsigned step_stub_reports(const struct step *s); /* how often progress came */
