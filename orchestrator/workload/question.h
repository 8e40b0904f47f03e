/* question: what a host can be asked outside of any job, and how its answer reads. Changes nothing
 * there. One row in question.c per question. Main thread. */
#pragma once
#include <jansson.h>

#include "proto/control.pb-c.h"

struct question {
    const char *name;                           /* "vm" */
    const char *kind;                           /* of the step: "vm.inventory" */
    json_t *(*answer)(const Godwit__Result *r); /* NULL: not readable. New reference. */
};

const struct question *question_find(const char *name); /* NULL: unknown */
