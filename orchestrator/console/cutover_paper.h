/* cutover_paper: what a cutover was, is and would be, on paper: report and runbook. Main thread. */
#pragma once
#include "orchestrator/console/run.h"

int cutover_ask(struct run *r, json_t **ret); /* "cutover show" of the job at hand */
/* Each pair of it by `one`; with -o json what as_json makes of it, or all (NULL). Exit code. */
int cutover_each(struct run *r, void (*one)(const json_t *pair),
                 json_t *(*as_json)(const json_t *));
void cutover_print_state(const json_t *pair); /* who, how, how far: one line */
int cutover_report(struct run *r);
/* The pre-flight's lines, after a run of it that ended with ran; 0, or EXIT_PREFLIGHT. */
int cutover_checks(struct run *r, int ran);
int cutover_runbook(struct run *r);
