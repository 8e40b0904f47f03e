/* cutover_left: what a host could not take back, which is a person's then: it is told until the
 * next time. Main thread. */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/cutover_priv.h"
#include "proto/identity.pb-c.h"

#define BODY_MAX (256U << 10)
#define LEFT_MAX 100

static void add_left(json_t *list, const char *said)
{
    CLEANUP(mem_free) char *safe = text_printable(said, strnlen(said, 512));
    size_t i;
    const json_t *had;
    json_array_foreach(list, i, had)
    {
        if (strcmp(json_string_value(had), safe) == 0)
            return;
    }
    if (*safe && json_array_size(list) < LEFT_MAX)
        (void)json_array_append_new(list, json_string(safe));
}

void cutover_note_left(json_t *facts, const Godwit__Result *r)
{
    json_t *list = json_object_get(facts, "left");
    Godwit__IdentityResult *b =
        r->body.len <= BODY_MAX ? godwit__identity_result__unpack(NULL, r->body.len, r->body.data)
                                : NULL;
    if (!b)
        return;
    if (!list) {
        list = json_array();
        (void)json_object_set_new(facts, "left", list);
    }
    add_left(list, b->after);
    for (size_t i = 0; i < b->n_parts; i++)
        add_left(list, b->parts[i]->after);
    godwit__identity_result__free_unpacked(b, NULL);
}
