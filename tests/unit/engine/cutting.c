/* cutting: what the tests of whole cutovers share. */
#include "tests/unit/engine/cutting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "proto/identity.pb-c.h"
#include "tests/unit/test.h"

#define UNDO GODWIT__IDENTITY_ACTION__IDENTITY_UNDO

struct cutting_bad cutting_bad;
unsigned cutting_failed;

/* "stop", or one of several: "names+join". */
bool cutting_has_stage(const struct fake_op *op, const char *stage)
{
    size_t n = strlen(stage);
    for (const char *at = op->stage; at; at = strchr(at, '+') ? strchr(at, '+') + 1 : NULL)
        if (strncmp(at, stage, n) == 0 && (!at[n] || at[n] == '+'))
            return true;
    return false;
}

struct fake_answer cutting_agents(const struct fake_op *op, unsigned nth)
{
    struct fake_answer a = {.silent = false};
    (void)nth;
    if (!cutting_bad.stage || (cutting_bad.host && strcmp(cutting_bad.host, op->host) != 0) ||
        !cutting_has_stage(op, cutting_bad.stage) || op->source != cutting_bad.source ||
        op->action != cutting_bad.action ||
        (cutting_bad.times && cutting_failed >= cutting_bad.times))
        return a;
    cutting_failed++;
    if (cutting_bad.silent)
        return (struct fake_answer){.silent = true};
    a.status = GODWIT__RESULT__STATUS__FAILED;
    a.next = cutting_bad.next;
    a.err = cutting_bad.err ? cutting_bad.err : EIO;
    a.text = "it will not";
    return a;
}

void cutting_fail_at(const char *stage, bool source, enum fault_class next)
{
    memset(&cutting_bad, 0, sizeof cutting_bad);
    cutting_bad.stage = stage;
    cutting_bad.source = source;
    cutting_bad.next = next;
    cutting_bad.action = GODWIT__IDENTITY_ACTION__IDENTITY_DO;
    cutting_failed = 0;
}

int cutting_enter(struct bench *b, const char *phase, const char *settings)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = engine_job_enter(b->engine, "wave", phase, settings, &json, &why);
    json_decref(json);
    return rc;
}

int cutting_back(struct bench *b)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = engine_job_back(b->engine, "wave", "rollback", NULL, &json, &why);
    json_decref(json);
    return rc;
}

/* "cut over", … */
const char *cutting_state(struct bench *b)
{
    static char ret[32];
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_job_outline(b->engine, "wave", &json, &why), 0);
    const json_t *pair = json_array_get(json_object_get(json, "pairs"), 0);
    (void)snprintf(ret, sizeof ret, "%s", json_string_value(json_object_get(pair, "cutover")));
    json_decref(json);
    return ret;
}

void cutting_copied(struct bench *b)
{
    cutting_fail_at(NULL, false, FAULT_NONE);
    bench_job(b, "wave", 1);
    bench_run(b, cutting_agents, 60);
    assert_string_equal(bench_state(b, "wave"), "done");
}

/* "stop/D do" … in the order in which they were sent; repeats are one. */
char *cutting_story(const struct bench *b)
{
    char *all = xstrdup("");
    for (size_t i = 0; i < b->fleet->nops; i++) {
        const struct fake_op *op = &b->fleet->ops[i];
        if (!op->stage[0])
            continue;
        char *more = xasprintf("%s%s%s.%c ", all, op->action == UNDO ? "-" : "", op->stage,
                               op->source ? 'S' : 'D');
        free(all);
        all = more;
    }
    return all;
}
