/* cmd_install: `godwit agent install`: agents onto hosts over SSH, a few hosts at once, each
 * through the same steps. No shell on this side; secrets go through standard input. Main thread. */
#include "orchestrator/console/cmd_install.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/console/child.h"
#include "orchestrator/console/interrupt.h"
#include "orchestrator/console/run.h"
#include "orchestrator/console/show.h"

#define PACKAGES "/usr/share/godwit/packages/godwit-agent_*.deb"
#define AS_ROOT "S=; [ \"$(id -u)\" = 0 ] || S='sudo -n'; "
/* A new host's lists of packages may be old or missing; its own first upgrade may hold the lock. */
#define INSTALL                                                                                    \
    "A=\"$S env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120\"; "          \
    "I=\"$A install -y --no-install-recommends %s\"; "                                             \
    "{ $A install -y -s %s || $A update; } >/dev/null 2>&1; $I; rc=$?; rm -f %s; exit $rc"

#define POLL_MS 500

enum step { STEP_COPY, STEP_INSTALL, STEP_ENROL, STEP_ENABLE, STEP_ONLINE, STEP_END };

struct target {
    char *name;
    char *address; /* for ssh, with the user */
    char *token;   /* NULL: it is enrolled already */
    char *remote;  /* the package over there */
    enum step step;
    struct child *child; /* runs now */
    int64_t deadline;
    int64_t look_ms; /* when to ask the orchestrator about it again */
    bool told;       /* that it waits for approval */
    bool over;
    char *error; /* NULL: none */
};

struct install {
    struct run *run;
    const struct install_opts *opts;
    const char *package;
    struct target *targets;
    size_t n;
};

static const char *const step_names[] = {"copying the package", "installing it", "enrolling",
                                         "starting the service", "coming online"};

static bool address_good(const char *s)
{
    if (!*s || *s == '-')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("._-:%[]@", *s))
            return false;
    return true;
}

/* NAME or NAME=ADDRESS. */
static int target_init(const struct install *in, const char *word, struct target *t)
{
    const char *eq = strchr(word, '='), *user = in->opts->ssh ? in->opts->ssh : "";
    size_t n = eq ? (size_t)(eq - word) : strlen(word);
    char id[TEXT_ID_LEN + 1];
    bool at = *user == '\0' || user[strlen(user) - 1] == '@';
    t->name = xmemdup(word, n);
    t->address = xasprintf("%s%s%s", user, at ? "" : "@", eq ? eq + 1 : t->name);
    text_new_id(id);
    t->remote = xasprintf("/tmp/godwit-agent-%s.deb", id);
    if (!text_is_name(t->name, 63) || !address_good(t->address))
        return run_fail(EXIT_USAGE, "\"%s\" is no host: NAME, or NAME=ADDRESS for SSH", word);
    for (const struct target *other = in->targets; other < t; other++)
        if (strcmp(other->name, t->name) == 0)
            return run_fail(EXIT_USAGE, "host \"%s\" is named twice", t->name);
    return EXIT_DONE;
}

static void target_done(struct target *t)
{
    t->child = child_free(t->child);
    free(t->name);
    free(t->address);
    free(t->token);
    free(t->remote);
    free(t->error);
}

static void target_fail(struct target *t, const char *what, const char *why)
{
    free(t->error);
    t->error = xasprintf("%s: %s", what, why);
    t->over = true;
}

/* A host that is enrolled keeps its key: then this is an upgrade. */
static void make_token(struct install *in, struct target *t)
{
    CLEANUP(mem_free) char *ttl = xasprintf("%" PRIu64, in->opts->timeout_ms * STEP_END);
    const struct arg args[] = {
        {"host", t->name},
        {"ttl",  ttl    },
        ARGS_END
    };
    json_t *doc = NULL;
    struct fault f = {0};
    int rc = run_try(in->run, "token create", args, &doc, &f);
    if (rc == EXIT_DONE)
        t->token = xasprintf("%s\n", show_str(doc, "token"));
    else if (rc != EXIT_CONFLICT)
        target_fail(t, "making a token", f.text);
    json_decref(doc);
}

/* "-o" "BatchMode=yes" … into argv; returns the next free slot. */
static size_t ssh_options(const struct install *in, const char **argv, char *extra)
{
    size_t n = 0;
    static const char *const fixed[] = {"-o", "BatchMode=yes", "-o", "ConnectTimeout=15"};
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        argv[n++] = fixed[i];
    (void)in;
    char *save = NULL;
    for (char *one = extra ? strtok_r(extra, "\n", &save) : NULL; one && n < 24;
         one = strtok_r(NULL, "\n", &save)) {
        argv[n++] = "-o";
        argv[n++] = one;
    }
    return n;
}

static char *remote_command(const struct install *in, const struct target *t)
{
    switch (t->step) {
    case STEP_INSTALL:
        return xasprintf(AS_ROOT INSTALL, t->remote, t->remote, t->remote);
    case STEP_ENROL:
        return xasprintf(AS_ROOT "$S godwit-agent enrol --wait %" PRIu64 "ms%s",
                         in->opts->timeout_ms, in->opts->again ? " --again" : "");
    case STEP_ENABLE: /* an agent that is enrolled and runs is left in peace */
        return xasprintf(AS_ROOT "$S systemctl enable -q godwit-agent && $S systemctl %s "
                                 "godwit-agent",
                         t->token ? "restart" : "start");
    case STEP_COPY:
    case STEP_ONLINE:
    case STEP_END:
    default:
        return NULL;
    }
}

static void step_start(struct install *in, struct target *t)
{
    const char *argv[32] = {t->step == STEP_COPY ? "scp" : "ssh"};
    CLEANUP(mem_free) char *extra = xstrdup(in->opts->ssh_option);
    CLEANUP(mem_free) char *remote = remote_command(in, t);
    CLEANUP(mem_free) char *to = xasprintf("%s:%s", t->address, t->remote);
    size_t n = 1 + ssh_options(in, argv + 1, extra);
    if (t->step == STEP_COPY) {
        argv[n++] = "--";
        argv[n++] = in->package;
        argv[n++] = to;
    } else {
        argv[n++] = "--";
        argv[n++] = t->address;
        argv[n++] = remote;
    }
    int rc = child_start(argv, t->step == STEP_ENROL ? t->token : "", &t->child);
    t->deadline = clock_mono_ms() + (int64_t)in->opts->timeout_ms;
    if (rc < 0)
        target_fail(t, step_names[t->step], strerror(-rc));
}

static void step_next(const struct install *in, struct target *t)
{
    t->step++;
    if (t->step == STEP_ENROL && !t->token)
        t->step++;
    if (t->step == STEP_ONLINE && in->opts->wait_ms == 0)
        t->step++;
    t->deadline = clock_mono_ms() + (int64_t)in->opts->wait_ms; /* a child has its own */
    t->over = t->step == STEP_END;
}

static void step_end(const struct install *in, struct target *t, int status)
{
    if (status == 0) {
        step_next(in, t);
    } else {
        CLEANUP(mem_free) char *tail = child_tail(t->child);
        target_fail(t, step_names[t->step], *tail ? tail : "it ended without a word");
    }
    t->child = child_free(t->child);
}

/* Where enrolled hosts wait for an operator: one is here. */
static void approve(struct install *in, struct target *t)
{
    const struct arg args[] = {
        {"host", t->name},
        ARGS_END
    };
    json_t *doc = NULL;
    struct fault f = {0};
    if (in->opts->approve)
        (void)run_try(in->run, "agent approve", args, &doc, &f); /* asked for again if it failed */
    else if (!t->told)
        run_say("%s: waits for approval: godwit agent approve %s", t->name, t->name);
    t->told = true;
    json_decref(doc);
}

/* What the orchestrator says of a host. */
static void look(struct install *in, struct target *t)
{
    int64_t now = clock_mono_ms();
    const struct arg args[] = {
        {"host", t->name},
        ARGS_END
    };
    json_t *doc = NULL;
    struct fault f = {0};
    if (now < t->look_ms)
        return;
    t->look_ms = now + POLL_MS;
    if (run_try(in->run, "agent show", args, &doc, &f) == EXIT_DONE) {
        if (t->step == STEP_ENROL && strcmp(show_str(doc, "state"), "pending") == 0)
            approve(in, t);
        if (t->step == STEP_ONLINE && strcmp(show_str(doc, "presence"), "online") == 0)
            step_next(in, t);
    }
    json_decref(doc);
}

static void target_poll(struct install *in, struct target *t)
{
    int status = 0;
    if (t->step == STEP_ENROL || t->step == STEP_ONLINE)
        look(in, t);
    if (t->child && child_ended(t->child, &status)) {
        step_end(in, t, status);
    } else if (!t->over && clock_mono_ms() > t->deadline) {
        t->child = child_free(t->child);
        target_fail(t, step_names[t->step],
                    t->step != STEP_ONLINE ? "took too long"
                    : t->token             ? "not in time: see journalctl -u godwit-agent there"
                               : "not in time: see journalctl -u godwit-agent there; a new machine "
                                 "with an old name needs godwit agent revoke first");
    }
}

static bool is_busy(const struct target *t)
{
    return t->child || (t->step == STEP_ONLINE && !t->over);
}

/* Each host that runs goes on; others start while there is room. False: all are over. */
static bool advance(struct install *in)
{
    size_t running = 0, over = 0;
    for (size_t i = 0; i < in->n; i++) {
        struct target *t = &in->targets[i];
        if (is_busy(t))
            target_poll(in, t);
        running += is_busy(t) ? 1 : 0;
    }
    for (size_t i = 0; i < in->n; i++) {
        struct target *t = &in->targets[i];
        bool begun = t->step > STEP_COPY;
        if (!t->over && !is_busy(t) && (begun || running < in->opts->parallel)) {
            if (t->step == STEP_COPY)
                run_say("%s: %s", t->name, step_names[STEP_COPY]);
            step_start(in, t);
            running++;
        }
        over += t->over ? 1 : 0;
    }
    return over < in->n;
}

static void loop(struct install *in)
{
    interrupt_catch();
    while (advance(in) && !interrupt_seen()) {
        struct timespec ts = {.tv_nsec = 50000000};
        (void)nanosleep(&ts, NULL);
    }
    interrupt_release();
    for (size_t i = 0; i < in->n; i++)
        if (!in->targets[i].over)
            target_fail(&in->targets[i], step_names[in->targets[i].step], "interrupted");
}

static const char *result_of(const struct install *in, const struct target *t)
{
    bool online = in->opts->wait_ms != 0;
    if (t->error)
        return "failed";
    if (t->token)
        return online ? "enrolled, online" : "enrolled";
    return online ? "was enrolled, online" : "was enrolled";
}

static int results(const struct install *in)
{
    static const struct column columns[] = {
        {"HOST",   "host",   CELL_TEXT},
        {"RESULT", "result", CELL_TEXT},
        {"DETAIL", "detail", CELL_TEXT},
        {NULL,     NULL,     CELL_TEXT},
    };
    json_t *list = json_array();
    size_t bad = 0;
    for (size_t i = 0; i < in->n; i++) {
        const struct target *t = &in->targets[i];
        CLEANUP(mem_free)
        char *detail = text_printable(t->error ? t->error : "", t->error ? strlen(t->error) : 0);
        bad += t->error ? 1 : 0;
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "host", t->name, "result",
                                                    result_of(in, t), "detail", detail));
    }
    if (run_json(in->run)) {
        json_t *doc = json_pack("{s:i, s:O}", "schema", 1, "hosts", list);
        run_print_json(doc);
        json_decref(doc);
    } else {
        show_table(stdout, columns, list);
    }
    json_decref(list);
    return bad == 0 ? EXIT_DONE : bad == in->n ? EXIT_FAILED : EXIT_PARTLY;
}

/* The last by name of the packages that came with the console; malloc'd, NULL when there is none.
 */
static char *find_package(const char *given)
{
    if (given)
        return xstrdup(given);
    glob_t found = {0};
    char *path = NULL;
    if (glob(PACKAGES, 0, NULL, &found) == 0 && found.gl_pathc)
        path = xstrdup(found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return path;
}

static int install_all(struct install *in)
{
    for (size_t i = 0; i < in->n; i++) {
        int rc = target_init(in, in->run->words[i], &in->targets[i]);
        if (rc)
            return rc;
    }
    json_t *doc = NULL;
    int rc = run_ask(in->run, "status", NULL, &doc); /* before anything is copied */
    json_decref(doc);
    if (rc)
        return rc;
    for (size_t i = 0; i < in->n; i++)
        make_token(in, &in->targets[i]);
    loop(in);
    return results(in);
}

int install_run(struct run *r)
{
    const struct install_opts *o = r->opts;
    CLEANUP(mem_free) char *package = find_package(o->package);
    if (!package || access(package, R_OK) < 0)
        return run_fail(EXIT_USAGE, "cannot read the agent's package %s: name it with --package",
                        package ? package : PACKAGES);
    struct install in = {.run = r, .opts = o, .package = package, .n = (size_t)r->nwords};
    in.targets = xcalloc(in.n, sizeof *in.targets);
    int rc = install_all(&in);
    for (size_t i = 0; i < in.n; i++)
        target_done(&in.targets[i]);
    free(in.targets);
    return rc;
}

const struct option_row install_options[] = {
    {.name = "ssh",
     .kind = OPT_STRING,
     .off = offsetof(struct install_opts, ssh),
     .value = "USER@",
     .help = "The user to log in as; one who is not root needs sudo without a password."},
    {.name = "ssh-option",
     .kind = OPT_STRING,
     .off = offsetof(struct install_opts, ssh_option),
     .value = "KEY=VALUE",
     .repeat = true,
     .help = "Passed to ssh and scp with -o, such as Port=2222."},
    {.name = "package",
     .kind = OPT_STRING,
     .off = offsetof(struct install_opts, package),
     .value = "FILE",
     .help = "The agent's Debian package. Default: the one that came with godwit-console, in "
             "/usr/share/godwit/packages."},
    {.name = "parallel",
     .kind = OPT_UINT,
     .off = offsetof(struct install_opts, parallel),
     .def = "8",
     .min = 1,
     .max = 256,
     .help = "Hosts at once."},
    {.name = "step-timeout",
     .kind = OPT_DURATION,
     .off = offsetof(struct install_opts, timeout_ms),
     .def = "5m",
     .min = 1000,
     .help = "How long one step on one host may take, with an operator's approval."},
    {.name = "wait",
     .kind = OPT_DURATION,
     .off = offsetof(struct install_opts, wait_ms),
     .def = "30s",
     .help = "How long a host may take to come online at the end; 0 does not look."},
    {.name = "approve",
     .kind = OPT_BOOL,
     .off = offsetof(struct install_opts, approve),
     .def = "no",
     .help = "Approves the hosts too, where the orchestrator lets nobody in without."},
    {.name = "again",
     .kind = OPT_BOOL,
     .off = offsetof(struct install_opts, again),
     .def = "no",
     .help = "Also hosts that have a key already, as after godwit agent revoke: they get a new "
             "one."},
    {.name = NULL                 },
};

const char *const install_examples[] = {
    "godwit agent install fs1 fs2 new1 new2 --ssh root@",
    "godwit agent install fs1=192.0.2.7 --ssh admin@ --ssh-option Port=2222",
    "godwit agent install fs1 --ssh root@ --package ./godwit-agent_0.1.0-1_arm64.deb",
    NULL,
};
