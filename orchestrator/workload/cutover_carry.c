/* cutover_carry: the same engine with both sides exchanged. The source has been closed all the
 * time: where the two differ, the destination's is what users wrote last. Main thread. */
#include "orchestrator/workload/cutover_carry.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/cutover_priv.h"
#include "orchestrator/workload/files_priv.h"
#include "proto/identity.pb-c.h"

#define PAIR_BACKWARDS 500000U /* a catalogue of its own */
#define BODY_MAX (256U << 10)
#define PATHS_MAX 100

/* ── may it be? ── */

/* "kind,from,to" of each line becomes "kind,to,from". */
static char *turned(const char *map)
{
    char *all = xstrdup("");
    for (const char *at = map; *at;) {
        size_t n = strcspn(at, "\n"), a = strcspn(at, ",\n#"), b = 0;
        if (a < n && at[a] == ',')
            b = a + 1 + strcspn(at + a + 1, ",\n#");
        if (b > a && b < n && at[b] == ',') {
            size_t end = b + 1 + strcspn(at + b + 1, "#\n \t\r");
            char *more = xasprintf("%s%.*s,%.*s,%.*s\n", all, (int)a, at, (int)(end - b - 1),
                                   at + b + 1, (int)(b - a - 1), at + a + 1);
            free(all);
            all = more;
        }
        at += n + (at[n] == '\n');
    }
    return all;
}

char *carry_turn_map(const char *map, struct fault *reterr)
{
    CLEANUP(mem_free) char *all = turned(map);
    CLEANUP(idmap_free) struct idmap *m = NULL;
    struct idmap_error e;
    if (idmap_parse(all, strlen(all), &m, &e) < 0) {
        (void)fault_set(reterr, FAULT_STOP_JOB, ENOTSUP,
                        "what users wrote cannot be carried back: the job's map of ids has no way "
                        "back (%.100s)",
                        e.text);
        return NULL;
    }
    char *ret = all;
    all = NULL;
    return ret;
}

static int may_carry(const struct pair_view *p, struct fault *reterr)
{
    CLEANUP(mem_free) char *map = files_map_text(p);
    CLEANUP(mem_free) char *back = carry_turn_map(map, reterr);
    if (!back)
        return -ENOTSUP;
    if (p->away_ms[SIDE_SOURCE] || p->away_ms[SIDE_DESTINATION])
        return fault_set(reterr, FAULT_STOP_JOB, EHOSTDOWN,
                         "what users wrote cannot be carried back: host %s is away",
                         p->away_ms[SIDE_SOURCE] ? p->source_host : p->destination_host);
    return 0;
}

int carry_admit(const struct pair_view *p, json_t *facts, const json_t *settings,
                struct fault *reterr)
{
    bool asked = json_is_true(json_object_get(settings, "carry_back"));
    bool off = json_is_true(json_object_get(settings, "destination_off"));
    const json_t *started = cutover_kept(facts, cutover_find("destination.start"));
    if (asked && off)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "a destination that is off has nothing to carry back: --carry-back, or "
                         "--destination-is-off");
    int rc = asked && started ? may_carry(p, reterr) : 0;
    if (rc < 0)
        return rc;
    if (!asked)
        (void)json_object_del(facts, "carry");
    else if (started && !json_object_get(facts, "carry"))
        (void)json_object_set_new(
            facts, "carry",
            json_pack("{s:b}", "deletes",
                      json_is_true(json_object_get(settings, "carry_deletes"))));
    bool looks = started && !asked && !off && !p->away_ms[SIDE_DESTINATION] &&
                 strcmp(cutover_state_of(facts), "cut over") == 0;
    if (started)
        (void)json_object_set_new(facts, "served_since", json_integer(number_of(started, "at_ms")));
    (void)json_object_set_new(facts, "look", json_boolean(looks));
    return 0;
}

bool carry_is_due(const json_t *facts)
{
    const json_t *c = json_object_get(facts, "carry");
    return c && !json_is_true(json_object_get(c, "done"));
}

/* ── the pass ── */

/* Both sides exchanged; facts and options are the view's own, freed by the caller. */
static int turn_round(const struct pair_view *p, struct pair_view *ret, struct fault *reterr)
{
    const json_t *facts = json_object_get(p->facts, "cutover");
    bool deletes = json_is_true(json_object_get(json_object_get(facts, "carry"), "deletes"));
    CLEANUP(mem_free) char *map = files_map_text(p);
    CLEANUP(mem_free) char *back = carry_turn_map(map, reterr);
    if (!back)
        return -ENOTSUP;
    json_t *o = json_deep_copy(p->options);
    static const char *const not_here[] = {"pre_existing", "snapshot", "accounts", "verify",
                                           "dry_run",      "checksum", "manifest"};
    for (size_t i = 0; i < ARRAY_SIZE(not_here); i++)
        (void)json_object_del(o, not_here[i]);
    (void)json_object_set_new(o, "delete", json_boolean(deletes));
    (void)json_object_set_new(o, "full_scan", json_true());
    (void)json_object_set_new(o, "map", json_string(back));
    *ret = *p;
    ret->source_host = p->destination_host;
    ret->destination_host = p->source_host;
    ret->source = p->destination;
    ret->destination = p->source;
    ret->from = p->to;
    ret->to = p->from;
    ret->n = p->n + PAIR_BACKWARDS;
    ret->options = o;
    ret->facts = json_object();
    ret->only_failed = false;
    ret->only_cause = NULL;
    return 0;
}

static void let_go(struct pair_view *back)
{
    json_decref((json_t *)(uintptr_t)back->options);
    json_decref(back->facts);
}

int carry_plan(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    struct pair_view back;
    int rc = turn_round(p, &back, reterr);
    if (rc < 0)
        return rc;
    rc = files_plan_transfer(&back, ret, reterr);
    for (int i = 0; i < rc; i++) /* of the engine's pair, which is as it was */
        ret[i].side = ret[i].side == SIDE_SOURCE ? SIDE_DESTINATION : SIDE_SOURCE;
    let_go(&back);
    return rc;
}

static void keep_counts(json_t *carry, const Godwit__Result *r)
{
    const Godwit__Counters *c = r ? r->counters : NULL;
    (void)json_object_set_new(carry, "files", json_integer(c ? (json_int_t)c->files : 0));
    (void)json_object_set_new(carry, "bytes", json_integer(c ? (json_int_t)c->bytes : 0));
    (void)json_object_set_new(carry, "deleted", json_integer(c ? (json_int_t)c->deleted : 0));
    (void)json_object_set_new(carry, "failed", json_integer(c ? (json_int_t)c->failed : 0));
}

/* Nobody is served meanwhile: a file that does not go stays where it is and is told; a pass that
 * does not go at all is tried again until somebody says to go back without it. */
enum verdict carry_judge(const struct pair_view *p, const Godwit__Result *const results[2],
                         struct fault *reterr)
{
    json_t *carry = json_object_get(json_object_get(p->facts, "cutover"), "carry");
    struct pair_view back;
    if (turn_round(p, &back, reterr) < 0)
        return VERDICT_FAIL;
    enum verdict v = files_judge_transfer(&back, results, reterr);
    let_go(&back);
    if (v == VERDICT_FAIL) {
        reterr->what_next = FAULT_RETRY;
        return VERDICT_AGAIN;
    }
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    keep_counts(carry, results[0]);
    (void)json_object_set_new(carry, "done", json_true());
    return VERDICT_NEXT;
}

bool carry_leaves(const json_t *facts)
{
    const json_t *c = json_object_get(facts, "carry");
    return c && !json_is_true(json_object_get(c, "clean"));
}

int carry_plan_clean(const struct pair_view *p, struct planned_step ret[2])
{
    char pair[32];
    struct pair_view back = *p;
    back.n = p->n + PAIR_BACKWARDS;
    files_pair_name(&back, pair);
    Godwit__CleanOrder o = GODWIT__CLEAN_ORDER__INIT;
    o.pair = pair;
    files_plan_step(&ret[0], SIDE_DESTINATION, "files.clean", &o.base);
    o.path = files_bytes(p->source, strlen(p->source));
    files_plan_step(&ret[1], SIDE_SOURCE, "files.clean", &o.base);
    (void)json_object_set_new(json_object_get(json_object_get(p->facts, "cutover"), "carry"),
                              "clean", json_true());
    return 2;
}

/* ── what would be left behind ── */

bool carry_looks(const json_t *facts)
{
    return json_is_true(json_object_get(facts, "look"));
}

enum verdict carry_judge_look(const struct pair_view *p, const Godwit__Result *r)
{
    json_t *facts = json_object_get(p->facts, "cutover"), *paths = json_array();
    Godwit__IdentityResult *b =
        r && r->status == GODWIT__RESULT__STATUS__DONE && r->body.len <= BODY_MAX
            ? godwit__identity_result__unpack(NULL, r->body.len, r->body.data)
            : NULL;
    (void)json_object_set_new(facts, "look", json_false());
    for (size_t i = 0; b && i < b->n_written_paths && i < PATHS_MAX; i++) {
        CLEANUP(mem_free)
        char *path = text_printable(b->written_paths[i], strnlen(b->written_paths[i], 1024));
        (void)json_array_append_new(paths, json_pack("{s:s}", "path", path));
    }
    (void)json_object_set_new(facts, "written",
                              json_pack("{s:b,s:I,s:I,s:b,s:o}", "known", b != NULL, "files",
                                        b ? (json_int_t)b->written : 0, "bytes",
                                        b ? (json_int_t)b->written_bytes : 0, "more",
                                        b && b->written_more, "paths", paths));
    if (b)
        godwit__identity_result__free_unpacked(b, NULL);
    return VERDICT_NEXT;
}
