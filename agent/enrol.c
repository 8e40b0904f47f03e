/* enrol: redeems a one-time token for a place in the fleet. Blocking. */
#include "agent/enrol.h"

#include <czmq.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/facts.h"
#include "agent/home.h"
#include "agent/link.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/curve.h"
#include "common/wire/envelope.h"
#include "common/wire/token.h"

#define ASK_AGAIN_MS 2000 /* while an operator thinks */
#define WRONG_MAX 3       /* one may be weather */
#define ANSWER_MS 15000   /* a first answer is due in this time, whatever --wait is */

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_DENIED = 4,
    EXIT_CONFLICT = 5,
    EXIT_TIME = 7
};

struct enrolment {
    struct token token;
    struct curve_key key;
    char *home_path;
    char *key_path;   /* where the key is now */
    char *final_path; /* where it belongs once it is let in */
    struct facts *facts;
    struct link *link;
    int64_t end_ms;  /* monotonic */
    int64_t wait_ms; /* for an operator, from the first answer on */
    int64_t ask_ms;  /* when to ask next */
    bool answered;   /* PENDING was heard */
    bool asked;
    unsigned wrong; /* handshakes that failed */
    char why[256];
};

static int fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "godwit-agent: %s\n", text);
    return code;
}

/* Keys that the reply names, else the one that the token pinned, on the usual port. */
static int home_from(const Godwit__EnrolReply *r, const struct token *t, struct home *ret)
{
    struct home h = {0};
    if (!text_is_name(r->host, LIMIT_HOST_NAME) || strlen(r->agent_id) >= sizeof h.agent_id ||
        home_address_of(t->endpoint, h.address, sizeof h.address) < 0)
        return -EINVAL;
    (void)snprintf(h.host, sizeof h.host, "%s", r->host);
    (void)snprintf(h.agent_id, sizeof h.agent_id, "%s", r->agent_id);
    if (r->keys && r->keys->n_keys) {
        if (home_take_keys(&h, r->keys) < 0)
            return -EINVAL;
    } else {
        h.nkeys = 1;
        memcpy(h.keys[0].key, t->server_key, sizeof h.keys[0].key);
        (void)snprintf(h.keys[0].endpoint, sizeof h.keys[0].endpoint, "tcp://*:%d", PORT_AGENTS);
    }
    *ret = h;
    return 0;
}

static enum enrol_verdict judge_reply(const Godwit__EnrolReply *r, const struct token *t,
                                      struct home *ret, char *why, size_t whylen)
{
    switch (r->state) {
    case GODWIT__ENROL_REPLY__STATE__ADMITTED:
        if (home_from(r, t, ret) == 0)
            return ENROL_IN;
        (void)snprintf(why, whylen, "the orchestrator's answer names no valid host or keys");
        return ENROL_BROKEN;
    case GODWIT__ENROL_REPLY__STATE__PENDING:
        (void)snprintf(why, whylen, "%.200s", r->reason);
        return ENROL_ASK;
    case GODWIT__ENROL_REPLY__STATE__DENIED:
        (void)snprintf(why, whylen, "%.200s", *r->reason ? r->reason : "no reason given");
        return ENROL_DENIED;
    case GODWIT__ENROL_REPLY__STATE__STATE_UNSPECIFIED:
    default:
        (void)snprintf(why, whylen, "the orchestrator's answer has an unknown state");
        return ENROL_BROKEN;
    }
}

enum enrol_verdict enrol_judge(const Godwit__Envelope *e, const struct token *t, struct home *ret,
                               char *why, size_t whylen)
{
    why[0] = '\0';
    if (e->body_case == GODWIT__ENVELOPE__BODY_ENROL_REPLY)
        return judge_reply(e->enrol_reply, t, ret, why, whylen);
    if (e->body_case != GODWIT__ENVELOPE__BODY_REFUSAL) {
        (void)snprintf(why, whylen, "the orchestrator answered with %s",
                       wire_type_name(e->body_case));
        return ENROL_BROKEN;
    }
    (void)snprintf(why, whylen, "%.200s", e->refusal->text);
    if (e->refusal->code == GODWIT__REFUSAL__CODE__RATE)
        return ENROL_BUSY;
    return e->refusal->code == GODWIT__REFUSAL__CODE__PENDING ? ENROL_ASK : ENROL_DENIED;
}

static void ask(struct enrolment *n)
{
    Godwit__EnrolRequest body = GODWIT__ENROL_REQUEST__INIT;
    body.version = WIRE_VERSION;
    body.token_id = n->token.id;
    body.secret = (ProtobufCBinaryData){.len = sizeof n->token.secret, .data = n->token.secret};
    body.facts = facts_wire(n->facts);
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = GODWIT__ENVELOPE__BODY_ENROL_REQUEST;
    e.enrol_request = &body;
    bool sent = link_send(n->link, &e) == 0; /* not connected yet: soon again */
    n->asked |= sent;
    n->ask_ms = clock_mono_ms() + (sent ? ASK_AGAIN_MS : 100);
}

/* The key first: from the moment that orchestrator.json is there, the daemon uses both. */
static int keep(struct enrolment *n, const struct home *home)
{
    if (strcmp(n->key_path, n->final_path) != 0 && rename(n->key_path, n->final_path) < 0)
        return fail(EXIT_FAILED, "cannot write '%s': %s", n->final_path, strerror(errno));
    int rc = home_save(home, n->home_path);
    if (rc < 0)
        return fail(EXIT_FAILED, "cannot write '%s': %s", n->home_path, strerror(-rc));
    (void)printf("enrolled as '%s' with %s\n", home->host, n->token.endpoint);
    return EXIT_DONE;
}

static void wait_for_approval(struct enrolment *n)
{
    n->answered = true;
    n->end_ms = clock_mono_ms() + n->wait_ms;
    (void)fprintf(stderr,
                  "godwit-agent: waiting for approval; on the orchestrator run: "
                  "godwit agent approve %s\n",
                  n->token.host);
}

/* -1: go on. Else an exit code. */
static int on_answer(struct enrolment *n)
{
    Godwit__Envelope *e = NULL;
    struct home home = {0};
    int rc = link_recv(n->link, &e);
    if (rc == -EAGAIN)
        return -1;
    if (rc < 0)
        return fail(EXIT_FAILED, "the orchestrator's answer is malformed: %s", strerror(-rc));
    enum enrol_verdict v = enrol_judge(e, &n->token, &home, n->why, sizeof n->why);
    wire_free(e);
    switch (v) {
    case ENROL_IN:
        return keep(n, &home);
    case ENROL_DENIED:
        (void)unlink(n->key_path); /* it may be listed as denied: the next token gets a fresh one */
        return fail(EXIT_DENIED, "denied: %s", n->why);
    case ENROL_BROKEN:
        return fail(EXIT_FAILED, "%s", n->why);
    case ENROL_BUSY:
        return -1;
    case ENROL_ASK:
    default:
        if (!n->answered)
            wait_for_approval(n);
        return -1;
    }
}

static int out_of_time(const struct enrolment *n)
{
    if (n->answered)
        return fail(EXIT_TIME,
                    "not approved yet; run the same command again later, or with --wait");
    if (n->asked)
        return fail(EXIT_TIME, "%s does not answer", n->token.endpoint);
    return fail(EXIT_TIME,
                "cannot reach %s: check the address, the firewall, and that godwitd runs there",
                n->token.endpoint);
}

/* -1: go on. Else an exit code. */
static int on_monitor(struct enrolment *n)
{
    enum link_event ev = link_event(n->link);
    if (ev == LINK_UP)
        n->ask_ms = 0;
    if ((ev != LINK_WRONG && ev != LINK_DENIED) || ++n->wrong < WRONG_MAX)
        return -1;
    return fail(EXIT_FAILED, "what answers at %s is not the orchestrator that made this token",
                n->token.endpoint);
}

static int converse(struct enrolment *n)
{
    zpoller_t *poller = zpoller_new(link_sock(n->link), link_monitor(n->link), NULL);
    int code = -1;
    while (code < 0) {
        int64_t now = clock_mono_ms();
        if (now >= n->end_ms) {
            code = out_of_time(n);
            break;
        }
        if (now >= n->ask_ms)
            ask(n);
        const void *ready = zpoller_wait(poller, 100);
        if (ready == link_sock(n->link))
            code = on_answer(n);
        else if (ready)
            code = on_monitor(n);
        else if (zpoller_terminated(poller))
            code = fail(EXIT_FAILED, "interrupted");
    }
    zpoller_destroy(&poller);
    return code;
}

static int load_key(struct enrolment *n, const char *state_dir, bool again)
{
    n->home_path = xasprintf("%s/%s", state_dir, HOME_FILE);
    n->final_path = xasprintf("%s/agent.key", state_dir);
    bool enrolled = access(n->home_path, F_OK) == 0;
    if (enrolled && !again)
        return fail(EXIT_CONFLICT, "this host is enrolled already ('%s'); --again enrols it anew",
                    n->home_path);
    /* The old key stays in use until the new one is let in; asking again later goes on with it. */
    n->key_path = xasprintf("%s/agent.key%s", state_dir, enrolled ? ".enrol" : "");
    int rc = file_mkdirs(state_dir, 0700);
    if (rc == 0)
        rc = curve_key_load_or_new(n->key_path, &n->key);
    if (rc == -EACCES)
        return fail(EXIT_DENIED, "cannot use '%s': %s; run it with sudo", n->key_path,
                    strerror(-rc));
    return rc < 0 ? fail(EXIT_FAILED, "cannot use '%s': %s", n->key_path, strerror(-rc)) : 0;
}

static int enrol(struct enrolment *n, const char *state_dir, int64_t wait_ms, bool again)
{
    int code = load_key(n, state_dir, again);
    if (code != 0)
        return code;
    struct link_target t = {.key = &n->key,
                            .server = n->token.server_key,
                            .endpoint = n->token.endpoint,
                            .reconnect_ms = 500,
                            .reconnect_max_ms = 5000};
    int rc = link_open(&t, &n->link);
    if (rc < 0)
        return fail(EXIT_FAILED, "cannot connect to %s: %s", n->token.endpoint, strerror(-rc));
    n->wait_ms = wait_ms;
    n->end_ms = clock_mono_ms() + ANSWER_MS;
    n->facts = facts_new();
    return converse(n);
}

int enrol_run(const char *state_dir, const char *token, int64_t wait_ms, bool again)
{
    struct enrolment n = {0};
    if (token_parse(token, &n.token) < 0)
        return fail(EXIT_USAGE, "this is no enrolment token (they begin with 'godwit1.')");
    int code = enrol(&n, state_dir, wait_ms, again);
    n.link = link_close(n.link);
    n.facts = facts_free(n.facts);
    curve_key_wipe(&n.key);
    explicit_bzero(&n.token, sizeof n.token);
    free(n.home_path);
    free(n.key_path);
    free(n.final_path);
    return code;
}

int agent_enrol(const struct agent_conf *conf, const char *token, int64_t wait_ms)
{
    return enrol_run(conf->state_dir, token, wait_ms, false);
}

int agent_enrol_again(const struct agent_conf *conf, const char *token, int64_t wait_ms)
{
    return enrol_run(conf->state_dir, token, wait_ms, true);
}
