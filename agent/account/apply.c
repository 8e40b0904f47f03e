/* apply: the step "accounts.apply": makes the users and groups that a plan says, with the shadow
 * suite's own tools, locked: no password goes along. Undone when one of them fails. Worker thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account/accounts.h"
#include "agent/account/list.h"
#include "agent/account/order.h"
#include "agent/account/plan.h"
#include "agent/account/record.h"
#include "agent/step.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "proto/accounts.pb-c.h"

#define ETC "/etc"
#define ROWS_MAP_MAX (64U << 10)

struct undo {
    const char *tool; /* static */
    char *a, *b;      /* its words; b NULL: one */
};

struct apply {
    struct step *step;
    const Godwit__AccountsOrder *order;
    struct account_list *here;
    struct account_order with;
    struct account_records *records;
    struct account_row *rows;
    size_t nrows;
    struct undo *undo;
    size_t nundo;
    struct fault *fault;
};

static int refuse(struct apply *a, const char *what)
{
    return fault_set(a->fault, FAULT_STOP_JOB, EINVAL, "the order of accounts: %s", what);
}

/* ── tools ── */

static int run_tool(struct apply *a, const char *const *argv)
{
    const struct program_call call = {.argv = argv, .max_out = 64U << 10};
    struct program_output out;
    int rc = program_run(&call, &out, a->fault);
    if (rc < 0)
        return rc;
    if (out.code != 0) {
        CLEANUP(mem_free) char *words = program_words(&out);
        rc = fault_set(a->fault, FAULT_STOP_JOB, EIO, "%s ended with %d: %.120s", argv[0], out.code,
                       words ? words : "");
    }
    program_done(&out);
    return rc;
}

static void push_undo(struct apply *a, const char *tool, const char *x, const char *y)
{
    a->undo = xrealloc(a->undo, (a->nundo + 1) * sizeof *a->undo);
    a->undo[a->nundo++] = (struct undo){tool, xstrdup(x), xstrdup(y)};
}

/* Last made, first gone. What cannot be taken back is left, and the record knows it. */
static void undo_all(struct apply *a)
{
    struct fault why = *a->fault;
    while (a->nundo > 0) {
        const struct undo *u = &a->undo[--a->nundo];
        const char *const member[] = {u->tool, "-d", u->a, u->b, NULL};
        const char *const account[] = {u->tool, u->a, NULL};
        (void)run_tool(a, u->b ? member : account);
        free(u->a);
        free(u->b);
    }
    *a->fault = why;
}

/* ── doing it ── */

static int make_group(struct apply *a, const struct account_row *r)
{
    char id[16];
    (void)snprintf(id, sizeof id, "%u", r->to);
    const char *const argv[] = {"groupadd", "-g", id, "--", r->as, NULL};
    int rc = run_tool(a, argv);
    if (rc == 0)
        push_undo(a, "groupdel", r->as, NULL);
    FAULT_POINT("account-made");
    return rc;
}

static int make_user(struct apply *a, const struct account_row *r)
{
    const struct account_want_user *u = r->of;
    char uid[16], gid[16];
    (void)snprintf(uid, sizeof uid, "%u", r->to);
    (void)snprintf(gid, sizeof gid, "%u", r->gid);
    const char *const argv[] = {"useradd",
                                "-M",
                                "-N",
                                "-u",
                                uid,
                                "-g",
                                gid,
                                "-c",
                                u->gecos,
                                "-d",
                                u->home[0] ? u->home : "/",
                                "-s",
                                u->shell,
                                "--",
                                r->as,
                                NULL};
    int rc = run_tool(a, argv);
    if (rc == 0)
        push_undo(a, "userdel", r->as, NULL);
    FAULT_POINT("account-made");
    return rc;
}

static int make_accounts(struct apply *a)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->nrows; i++) {
        const struct account_row *r = &a->rows[i];
        if (step_cancelled(a->step))
            return fault_set(a->fault, FAULT_RETRY, ECANCELED, "the agent stopped the step");
        if (r->fate == FATE_CREATE)
            rc = r->group ? make_group(a, r) : make_user(a, r);
        else if (r->fate == FATE_SAME && account_record_is_of(a->records, r, step_op_id(a->step)))
            push_undo(a, r->group ? "groupdel" : "userdel", r->as, NULL); /* of this same order */
    }
    return rc;
}

static const struct account_row *user_row(const struct apply *a, const char *name)
{
    for (size_t i = 0; i < a->nrows; i++)
        if (!a->rows[i].group && strcmp(a->rows[i].name, name) == 0)
            return a->rows[i].fate == FATE_SKIP ? NULL : &a->rows[i];
    return NULL;
}

static bool is_member(const struct account_list *l, const char *group, const char *user)
{
    const struct account_group *g = account_group_named(l, group);
    for (size_t i = 0; g && i < g->nmembers; i++)
        if (strcmp(g->members[i], user) == 0)
            return true;
    return false;
}

static int join_group(struct apply *a, const struct account_row *group)
{
    const struct account_want_group *g = group->of;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->nmembers; i++) {
        const struct account_row *u = user_row(a, g->members[i]);
        if (!u || is_member(a->here, group->as, u->as))
            continue;
        const char *const argv[] = {"gpasswd", "-a", u->as, group->as, NULL};
        rc = run_tool(a, argv);
        if (rc == 0)
            push_undo(a, "gpasswd", u->as, group->as);
    }
    return rc;
}

static int join_groups(struct apply *a)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->nrows; i++)
        if (a->rows[i].group && a->rows[i].fate != FATE_SKIP)
            rc = join_group(a, &a->rows[i]);
    return rc;
}

/* ── what is told ── */

static void tell_map(const struct account_row *r, struct buf *map)
{
    if (r->fate == FATE_SKIP || r->to == r->want)
        return;
    CLEANUP(mem_free)
    char *line = xasprintf("%s,%u,%u\n", r->group ? "gid" : "uid", r->id, r->to);
    buf_put(map, line, strlen(line));
}

static int tell(struct apply *a, struct step_result *ret)
{
    Godwit__AccountsApplied m = GODWIT__ACCOUNTS_APPLIED__INIT;
    Godwit__AccountRow *rows = xcalloc(a->nrows + 1, sizeof *rows);
    struct buf map;
    buf_init(&map, ROWS_MAP_MAX);
    m.rows = xcalloc(a->nrows + 1, sizeof *m.rows);
    for (size_t i = 0; i < a->nrows; i++) {
        struct account_row *r = &a->rows[i];
        Godwit__AccountRow *to = &rows[i];
        godwit__account_row__init(to);
        *to = (Godwit__AccountRow){.base = to->base,
                                   .group = r->group,
                                   .name = (char *)(uintptr_t)r->name,
                                   .as = r->as,
                                   .id = r->id,
                                   .to = r->to,
                                   .fate = (char *)(uintptr_t)account_fate_name(r->fate),
                                   .reason = r->reason};
        m.rows[m.n_rows++] = to;
        tell_map(r, &map);
    }
    m.map = (ProtobufCBinaryData){.data = map.data, .len = map.len};
    ret->body_len = godwit__accounts_applied__get_packed_size(&m);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__accounts_applied__pack(&m, ret->body);
    int rc = map.overflow ? refuse(a, "too many ids would become others") : 0;
    buf_done(&map);
    free(m.rows);
    free(rows);
    return rc;
}

/* ── the step ── */

static int look_and_plan(struct apply *a)
{
    int rc = account_list_read(ETC, &a->here, a->fault);
    if (rc < 0)
        return rc;
    a->with.ask.here = a->here;
    a->with.ask.record = account_records_get(a->records, &a->with.ask.nrecord);
    a->nrows = account_plan(&a->with.ask, &a->rows);
    return 0;
}

static int apply(struct apply *a)
{
    const struct agent_env *env = step_env(a->step);
    if (!env->privileged)
        return fault_set(a->fault, FAULT_STOP_JOB, EPERM,
                         "accounts can be made by an agent that is root only");
    if (accounts_is_controller())
        return fault_set(a->fault, FAULT_STOP_JOB, EPERM,
                         "this host is a domain controller: local accounts are not moved to it");
    int rc = account_records_open(env->state_dir, a->order->source_host, &a->records);
    if (rc < 0)
        return fault_set(a->fault, FAULT_STOP_JOB, -rc, "cannot keep a record of accounts: %s",
                         strerror(-rc));
    rc = look_and_plan(a);
    if (rc < 0 || a->order->dry_run)
        return rc;
    rc = account_records_save(a->records, a->rows, a->nrows, step_op_id(a->step));
    if (rc < 0)
        return fault_set(a->fault, FAULT_STOP_JOB, -rc, "cannot keep a record of accounts: %s",
                         strerror(-rc));
    FAULT_POINT("accounts-planned");
    rc = make_accounts(a);
    if (rc == 0)
        rc = join_groups(a);
    if (rc < 0)
        undo_all(a);
    return rc;
}

static void done(struct apply *a)
{
    for (size_t i = 0; i < a->nundo; i++) {
        free(a->undo[i].a);
        free(a->undo[i].b);
    }
    free(a->undo);
    free(a->rows);
    account_order_done(&a->with);
    (void)account_list_free(a->here);
    (void)account_records_free(a->records);
}

void accounts_apply(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    struct apply a = {.step = s, .fault = &ret->fault};
    Godwit__AccountsOrder *o = godwit__accounts_order__unpack(NULL, len, args);
    ret->status = STEP_FAILED;
    if (!o) {
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
        return;
    }
    a.order = o;
    const struct account_order_text text = {o->source_host, o->conflict, o->map};
    if (account_order_read(&text, o->users, o->n_users, o->groups, o->n_groups, &a.with, a.fault) ==
            0 &&
        apply(&a) == 0 && tell(&a, ret) == 0)
        ret->status = STEP_DONE;
    done(&a);
    godwit__accounts_order__free_unpacked(o, NULL);
}
