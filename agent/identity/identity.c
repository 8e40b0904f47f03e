/* identity: orders become stages, in this process where it has the rights, else in a unit of its
 * own that has them (godwit-identity@.service). Worker threads. */
#include "agent/identity/identity.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/identity/audience.h"
#include "agent/identity/bundle.h"
#include "agent/identity/check.h"
#include "agent/identity/guard.h"
#include "agent/identity/helper.h"
#include "agent/identity/rehearse.h"
#include "agent/identity/rival.h"
#include "agent/identity/service.h"
#include "agent/identity/stage.h"
#include "agent/step.h"
#include "agent/store/pairname.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"
#include "proto/control.pb-c.h"

#define WATCH_MS 1000
#define HELD_MS 2000
#define ORDERED_MS 14400000

static char *home_of(const char *state_dir)
{
    return xasprintf("%s/cutover", state_dir);
}

/* Its own unit keeps the agent from the network's settings for all the time that nothing moves. */
static bool has_rights(void)
{
    return prctl(PR_CAPBSET_READ, CAP_NET_ADMIN, 0, 0, 0) == 1 &&
           prctl(PR_CAPBSET_READ, CAP_NET_RAW, 0, 0, 0) == 1;
}

/* s: NULL for what this host does by itself. */
static int run_stage(const struct step *s, const char *home, const Godwit__IdentityOrder *o,
                     Godwit__IdentityResult **ret, struct fault *reterr)
{
    const struct site v = {.root = "", .cancel_fd = s ? step_cancel_fd(s) : 0};
    if (!has_rights() || rehearse_is(o)) /* that one changes the namespaces of its process */
        return helper_run(home, &v, o, ret, reterr);
    Godwit__IdentityResult *r = xmalloc(sizeof *r);
    godwit__identity_result__init(r);
    *ret = r;
    return stage_do(home, &v, o, r, reterr);
}

/* The lanes are this process's: so this goes on here, within the frame that the stage has. */
static int exchange(struct step *s, const char *home, const Godwit__IdentityOrder *o,
                    Godwit__IdentityResult **ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *folder = stage_folder(home, o->cutover);
    const struct site v = {.root = "", .folder = folder};
    Godwit__IdentityResult *r = xmalloc(sizeof *r);
    godwit__identity_result__init(r);
    *ret = r;
    int rc = stage_do(home, &v, o, r, reterr); /* renews the timer; refuses when it has run out */
    if (rc == 0)
        rc = bundle_exchange(s, &v, o, reterr);
    if (rc == 0)
        r->acted = true;
    return rc;
}

/* What comes behind it in the same order, by whoever has the rights. Where that has begun already
 * the databases are here, and the other host is done with them. */
static int run_bundle(struct step *s, const char *home, const Godwit__IdentityOrder *o,
                      Godwit__IdentityResult **ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *folder = stage_folder(home, o->cutover);
    Godwit__IdentityOrder first = *o, rest = *o;
    Godwit__IdentityResult *done = NULL;
    int rc = 0;
    if (o->action != GODWIT__IDENTITY_ACTION__IDENTITY_DO)
        return run_stage(s, home, o, ret, reterr);
    first.n_then = 0;
    if (!o->n_then)
        return exchange(s, home, &first, ret, reterr);
    if (!stage_has_swapped(folder))
        rc = exchange(s, home, &first, &done, reterr);
    if (rc < 0) {
        *ret = done;
        return rc;
    }
    rest.stage = o->then[0];
    rest.then = o->then + 1;
    rest.n_then = o->n_then - 1;
    rc = run_stage(s, home, &rest, ret, reterr);
    if (*ret && done)
        stage_join_parts(done, "bundle", *ret, rest.stage);
    if (done)
        godwit__identity_result__free_unpacked(done, NULL);
    return rc;
}

/* The source gives a copy of what it is; the destination plays with it. Where no user can be tried
 * the rest is tried all the same. */
static int run_rehearsal(struct step *s, const char *home, const Godwit__IdentityOrder *o,
                         Godwit__IdentityResult **ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *lack = NULL;
    if (o->role == GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE) {
        Godwit__IdentityResult *r = xmalloc(sizeof *r);
        godwit__identity_result__init(r);
        *ret = r;
        return audience_give(s, o, reterr);
    }
    if (*o->ticket_id)
        audience_come(s, o, &lack);
    int rc = run_stage(s, home, o, ret, reterr);
    audience_leave();
    if (lack && *ret)
        check_add(*ret, "rehearsal user", "warn", "put it right, and rehearse again",
                  "no user of the domain was tried: %s", lack);
    return rc;
}

static void pack(const Godwit__IdentityResult *r, struct step_result *ret)
{
    ret->body_len = godwit__identity_result__get_packed_size(r);
    ret->body = xmalloc(ret->body_len + 1);
    (void)godwit__identity_result__pack(r, ret->body);
}

static void run(struct step *s, bool capture, struct step_result *ret)
{
    CLEANUP(mem_free) char *home = home_of(step_env(s)->state_dir);
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__IdentityOrder *o = godwit__identity_order__unpack(NULL, len, args);
    Godwit__IdentityResult *r = NULL;
    int rc = -EBADMSG;
    if (!o || (!capture && !pair_valid(o->cutover)))
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    else if (capture) {
        struct stage_run look = {
            .site = {.root = ""}, .home = home, .order = o, .reterr = &ret->fault};
        r = xmalloc(sizeof *r);
        godwit__identity_result__init(r);
        look.result = r;
        rc = stage_capture(&look);
    } else if (strcmp(o->stage, "bundle") == 0)
        rc = run_bundle(s, home, o, &r, &ret->fault);
    else if (rehearse_is(o))
        rc = run_rehearsal(s, home, o, &r, &ret->fault);
    else
        rc = run_stage(s, home, o, &r, &ret->fault);
    if (r) {
        pack(r, ret);
        godwit__identity_result__free_unpacked(r, NULL);
    }
    ret->status = rc >= 0 ? STEP_DONE : STEP_FAILED;
    if (o)
        godwit__identity_order__free_unpacked(o, NULL);
}

static void run_capture(struct step *s, struct step_result *ret)
{
    run(s, true, ret);
}

static _Atomic int64_t ordered_ms; /* when a stage ended last, or this agent started */

static void run_one(struct step *s, struct step_result *ret)
{
    run(s, false, ret);
    ordered_ms = clock_mono_ms();
}

const struct step_kind identity_steps[] = {
    {"identity.capture", run_capture},
    {"identity.stage",   run_one    },
    {NULL,               NULL       },
};

/* ── the timer ── */

static _Atomic int64_t held_ms; /* by the clock of clock_mono_ms() */

void identity_heard(bool busy)
{
    int64_t now = clock_mono_ms();
    /* A source waits while its destination verifies; who forgets it for hours lets it go. */
    if (busy || now - ordered_ms < ORDERED_MS)
        held_ms = now;
}

/* The mark first: whatever orders come from now on change nothing. */
static void go_back(const char *home, const char *cutover)
{
    CLEANUP(mem_free) char *folder = stage_folder(home, cutover);
    CLEANUP(mem_free) char *name = xstrdup(cutover);
    Godwit__IdentityOrder o = GODWIT__IDENTITY_ORDER__INIT;
    Godwit__IdentityResult *r = NULL;
    struct fault why = {.err = 0};
    CLEANUP(mem_free) char *rival = guard_sprung(folder) ? NULL : rival_serves(folder);
    if (rival) { /* asked again in a moment: the destination's own timer is the shorter one */
        log_debug("cutover %s: the destination serves at %s, this host stays back", cutover, rival);
        return;
    }
    if (!guard_sprung(folder))
        log_warning("cutover %s: the orchestrator is silent, this host goes back", cutover);
    int rc = guard_spring(folder);
    o.cutover = name;
    o.action = GODWIT__IDENTITY_ACTION__IDENTITY_UNDO;
    if (rc == 0)
        rc = run_stage(NULL, home, &o, &r, &why);
    if (r)
        godwit__identity_result__free_unpacked(r, NULL);
    if (rc >= 0)
        rc = guard_clear(folder);
    if (rc >= 0)
        log_warning("cutover %s: this host is as it was before", cutover);
    else
        log_error("cutover %s: cannot go back yet: %s", cutover,
                  why.err ? why.text : strerror(-rc));
}

static void look_once(const char *home)
{
    bool held = held_ms && clock_mono_ms() - held_ms < HELD_MS;
    DIR *d = opendir(home);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        CLEANUP(mem_free) char *folder = stage_folder(home, e->d_name);
        if (e->d_name[0] == '.' || !pair_valid(e->d_name))
            continue;
        if (stage_must_go_back(folder))
            go_back(home, e->d_name);
        else if (held)
            stage_hold(home, e->d_name);
    }
    if (d)
        (void)closedir(d);
}

/* Marked before the first order can come in. */
static void mark(const char *home)
{
    DIR *d = opendir(home);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        CLEANUP(mem_free) char *folder = stage_folder(home, e->d_name);
        if (e->d_name[0] != '.' && pair_valid(e->d_name) && stage_must_go_back(folder) &&
            guard_spring(folder) < 0)
            log_error("cutover %s: cannot mark that this host goes back", e->d_name);
    }
    if (d)
        (void)closedir(d);
}

static void *watch(void *arg)
{
    CLEANUP(mem_free) char *home = arg;
    for (;;) {
        look_once(home);
        (void)poll(NULL, 0, WATCH_MS);
    }
    return NULL;
}

void identity_watch(const struct agent_env *env)
{
    pthread_t thread;
    char *home = home_of(env->state_dir);
    mark(home);
    helper_sweep(home);
    audience_leave();
    ordered_ms = clock_mono_ms();
    if (pthread_create(&thread, NULL, watch, home) == 0)
        (void)pthread_detach(thread);
    else
        free(home);
}
