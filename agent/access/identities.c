/* identities: the step "access.identities": whom of those that occur at the source this host knows.
 * Changes nothing. Worker thread. */
#include <errno.h>
#include <string.h>

#include "agent/access/access.h"
#include "agent/access/identity.h"
#include "agent/access/idents.h"
#include "agent/step.h"
#include "common/base/mem.h"

static bool is_sid(const char *text)
{
    struct sid s;
    return sid_parse(text, strlen(text), &s) == 0;
}

static bool is_fit(const Godwit__IdentitiesOrder *o)
{
    bool fit = o->n_list <= IDENTS_MAX;
    for (size_t i = 0; fit && i < o->n_list; i++)
        fit = o->list[i]->kind <= IDENT_SID && (!*o->list[i]->sid || is_sid(o->list[i]->sid));
    return fit;
}

static void answer(const Godwit__IdentitiesOrder *o, struct step_result *ret)
{
    Godwit__Identities *all = identity_list(o->n_list);
    for (size_t i = 0; i < o->n_list; i++) {
        Godwit__Identity *r = identity_add(all);
        r->kind = o->list[i]->kind;
        r->id = o->list[i]->id;
        if (*o->list[i]->sid)
            r->sid = xstrdup(o->list[i]->sid);
    }
    identity_resolve(all);
    ret->body_len = godwit__identities__get_packed_size(all);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__identities__pack(all, ret->body);
    ret->status = STEP_DONE;
    identity_free(all);
}

void access_identities(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__IdentitiesOrder *o = godwit__identities_order__unpack(NULL, len, args);
    if (o && is_fit(o)) {
        answer(o, ret);
    } else {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    }
    if (o)
        godwit__identities_order__free_unpacked(o, NULL);
}
