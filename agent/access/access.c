/* access: the table of the steps that ask who is who and who may do what. No work is done here. */
#include "agent/access/access.h"

#include "agent/step.h"

const struct step_kind access_steps[] = {
    {"access.identities", access_identities},
    {"access.ask",        access_question  },
    {NULL,                NULL             },
};
