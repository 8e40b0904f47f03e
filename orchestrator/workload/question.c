/* question: the table of questions. Main thread. */
#include "orchestrator/workload/question.h"

#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/workload/message_json.h"
#include "orchestrator/workload/vm_ask.h"
#include "proto/vm.pb-c.h"

static json_t *vm_answer(const Godwit__Result *r)
{
    Godwit__VmInventory *i = godwit__vm_inventory__unpack(NULL, r->body.len, r->body.data);
    json_t *o = i ? message_json(&i->base) : NULL;
    if (i)
        godwit__vm_inventory__free_unpacked(i, NULL);
    return o;
}

static const struct question questions[] = {
    {"vm",       "vm.inventory", vm_answer      },
    {"vm look",  "vm.look",      vm_look_answer },
    {"vm check", "vm.check",     vm_check_answer},
};

const struct question *question_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
        if (strcmp(questions[i].name, name) == 0)
            return &questions[i];
    return NULL;
}
