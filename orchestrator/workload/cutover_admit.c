/* cutover_admit: which of a cutover's phases a pair may enter, and with which settings. Main
 * thread. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "orchestrator/workload/cutover.h"
#include "orchestrator/workload/cutover_carry.h"
#include "orchestrator/workload/cutover_plan.h"
#include "orchestrator/workload/cutover_priv.h"
#include "orchestrator/workload/files_priv.h"

static bool is_in(const char *state, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(state, *list) == 0)
            return true;
    return false;
}

static int wrong_state(const json_t *facts, const char *what, struct fault *reterr)
{
    const char *state = cutover_state_of(facts);
    return fault_set(reterr, FAULT_STOP_JOB, EPROTO, "this cutover %s%s: it cannot be %s",
                     *state ? "is " : "has not begun", state, what);
}

static int bad(const char *option, const char *rule, struct fault *reterr)
{
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "--%s: %s", option, rule);
}

static int check_settings(const json_t *s, struct fault *reterr)
{
    const char *method = json_string_value(json_object_get(s, "method"));
    const char *name = json_string_value(json_object_get(s, "new_name"));
    const char *address = json_string_value(json_object_get(s, "source_address"));
    if (method && cutover_method_parse(method) < 0)
        return bad("method", "transplant or rejoin", reterr);
    if (name && cutover_check_name(name) < 0)
        return bad("new-name", "1 to 15 letters, digits and hyphens", reterr);
    if (address && !cutover_same_network(address, address))
        return bad("source-address", "an address with its prefix, such as 192.0.2.7/24", reterr);
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(s, "by_hand"), i, row)
    {
        const char *id = json_string_value(row);
        if (!id || !cutover_hand_fits(cutover_find(id)))
            return bad("by-hand",
                       "of a stage that a person can do, by its id as `godwit cutover runbook` "
                       "prints it: not copying, asking, the timers, or what goes sealed from host "
                       "to host (bundle)",
                       reterr);
    }
    return 0;
}

/* Of what is said by source, "" being all of them, what is this one's. */
static void take_own(const struct pair_view *p, json_t *settings, const char *by, const char *key)
{
    json_t *all = json_object_get(settings, by);
    json_t *own = json_object_get(all, p->source_host);
    own = own ? own : json_object_get(all, "");
    if (own)
        (void)json_object_set(settings, key, own);
    (void)json_object_del(settings, by);
}

/* "--by-hand=" and the like: it is as if it had never been said. */
static void forget_withdrawn(json_t *settings)
{
    void *next = NULL;
    const char *key;
    json_t *value;
    json_object_foreach_safe(settings, next, key, value)
    {
        if (json_is_null(value))
            (void)json_object_del(settings, key);
    }
}

/* The job's own come first, then what was said before, then what is said now. */
static int take_settings(const struct pair_view *p, json_t *facts, const json_t *now,
                         struct fault *reterr)
{
    json_t *settings = json_object_get(facts, "settings");
    char name[16];
    json_t *own = now ? json_deep_copy(now) : json_object();
    (void)json_object_del(own, "only_look");
    take_own(p, own, "new_names", "new_name");
    take_own(p, own, "source_addresses", "source_address");
    int rc = check_settings(own, reterr);
    if (rc == 0) {
        (void)json_object_update(settings, own);
        forget_withdrawn(settings);
    }
    json_decref(own);
    if (rc < 0)
        return rc;
    if (!cutover_has_begun(facts)) {
        (void)json_object_del(facts, "carry");
        (void)json_object_del(facts, "written");
    }
    if (!cutover_has_begun(facts)) /* another is made of what is said now */
        (void)json_object_del(facts, "plan");
    if (!json_object_get(settings, "new_name")) {
        cutover_new_name(p->source_host, name);
        (void)json_object_set_new(settings, "new_name", json_string(name));
    }
    return 0;
}

static int admit_forth(const struct pair_view *p, json_t *facts, const char *phase,
                       const json_t *settings, struct fault *reterr)
{
    static const char *const not_again[] = {"cut over", "committed", NULL};
    static const char *const not_now[] = {"going back", NULL};
    const char *state = cutover_state_of(facts);
    bool prepare = strcmp(phase, "cutover") != 0; /* or a rehearsal: neither changes anything */
    if (p->endpoint)
        return fault_set(reterr, FAULT_STOP_JOB, ENOTSUP,
                         "pair %u is read from a server without an agent, whose identity cannot "
                         "be moved",
                         p->n);
    if (files_is_dry(p))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "a job that only tries (dry_run) cannot be cut over");
    if (strcmp(p->source_host, p->destination_host) == 0)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "source and destination of pair %u are the same host", p->n);
    if (!json_object_get(p->facts, "prepare"))
        return fault_set(reterr, FAULT_STOP_JOB, EPROTO,
                         "nothing of pair %u has been copied yet: godwit job start comes first",
                         p->n);
    if (is_in(state, not_again))
        return prepare ? wrong_state(facts, "prepared", reterr) : 1;
    if (is_in(state, not_now))
        return wrong_state(facts, prepare ? "prepared" : "run before it is back", reterr);
    if (prepare && strcmp(state, "running") == 0)
        return wrong_state(facts, "prepared", reterr);
    if (strcmp(state, "running") == 0 && settings && json_object_size(settings) > 0)
        return fault_set(reterr, FAULT_STOP_JOB, EPROTO,
                         "this cutover is half done: godwit cutover resume goes on with the "
                         "settings that it has, godwit cutover rollback takes it back");
    (void)json_object_del(facts, "why");
    (void)json_object_del(facts, "left");
    (void)json_object_set_new(facts, "only_look",
                              json_boolean(json_is_true(json_object_get(settings, "only_look"))));
    return take_settings(p, facts, settings, reterr);
}

/* Copying once more would write what the source had over what users wrote at the destination. */
static int admit_copy(const struct pair_view *p, struct fault *reterr)
{
    static const char *const too_late[] = {"running", "going back", "cut over", "committed", NULL};
    const json_t *facts = json_object_get(p->facts, "cutover");
    return is_in(cutover_state_of(facts), too_late) ? wrong_state(facts, "copied to", reterr) : 0;
}

int cutover_admit(const struct pair_view *p, const char *phase, const json_t *settings,
                  struct fault *reterr)
{
    if (!*phase || strcmp(phase, "inventory") == 0 || strcmp(phase, "transfer") == 0)
        return admit_copy(p, reterr);
    json_t *facts = cutover_facts(p);
    const char *state = cutover_state_of(facts);
    if (strcmp(phase, "prepare") == 0 || strcmp(phase, "rehearse") == 0 ||
        strcmp(phase, "cutover") == 0)
        return admit_forth(p, facts, phase, settings, reterr);
    if (strcmp(phase, "rollback") == 0) {
        if (strcmp(state, "committed") == 0)
            return wrong_state(facts, "taken back", reterr);
        int rc = carry_admit(p, facts, settings, reterr);
        if (rc < 0)
            return rc;
        (void)json_object_del(facts, "hold");
        (void)json_object_del(facts, "left");
        if (json_is_true(json_object_get(settings, "destination_off")))
            (void)json_object_set_new(facts, "destination_off", json_true());
        return json_is_true(json_object_get(facts, "noted")) ? 0 : 1;
    }
    if (strcmp(phase, "commit") == 0) {
        static const char *const may[] = {"cut over", "committed", NULL};
        static const char *const under_way[] = {"running", "going back", NULL};
        if (is_in(state, under_way))
            return wrong_state(facts, "committed", reterr);
        if (!is_in(state, may)) {
            (void)wrong_state(facts, "committed", reterr);
            return 2; /* of a wave some may be */
        }
        return strcmp(state, "committed") == 0 ? 1 : 0;
    }
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "there is no phase %.32s", phase);
}
