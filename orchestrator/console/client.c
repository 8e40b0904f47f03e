/* client: one request to the orchestrator and its reply, over CURVE on the console socket. Main
 * thread. */
#include "orchestrator/console/client.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/wire/curve.h"
#include "common/wire/envelope.h"
#include "common/wire/limits.h"
#include "common/wire/packed.h"
#include "orchestrator/console/run.h"

struct client {
    zsock_t *sock;
    char *endpoint;
};

struct address {
    json_t *doc;
    const char *endpoint, *server_key, *key_file; /* in doc */
};

static int exit_of(int err)
{
    return err == EACCES || err == EPERM ? EXIT_NOT_PERMITTED : EXIT_FAILED;
}

static int fail(struct fault *reterr, int code, int err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int fail(struct fault *reterr, int code, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    (void)fault_set(reterr, FAULT_STOP_JOB, err, "%s", text);
    return code;
}

static int address_missing(const char *state_dir, int err, struct fault *reterr)
{
    if (exit_of(err) == EXIT_NOT_PERMITTED)
        return fail(reterr, EXIT_NOT_PERMITTED, err,
                    "you may not read %s/console.json (%s): run godwit with sudo", state_dir,
                    strerror(err));
    if (err == ENOENT)
        return fail(reterr, EXIT_FAILED, err,
                    "no orchestrator has run with %s/console.json: start it (systemctl start "
                    "godwitd), or name its folder with --state",
                    state_dir);
    return fail(reterr, EXIT_FAILED, err, "cannot read %s/console.json: %s", state_dir,
                strerror(err));
}

static int address_load(const char *state_dir, struct address *ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/console.json", state_dir);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = file_read(path, 64 << 10, &text, &len);
    if (rc < 0)
        return address_missing(state_dir, -rc, reterr);
    ret->doc = json_loadb(text, len, 0, NULL);
    if (json_unpack(ret->doc, "{s:s, s:s, s:s}", "endpoint", &ret->endpoint, "server_key",
                    &ret->server_key, "key_file", &ret->key_file) < 0)
        return fail(reterr, EXIT_FAILED, EBADMSG,
                    "%s is damaged: restart the orchestrator, which writes it anew", path);
    return EXIT_DONE;
}

/* libzmq connects again and again, silently: ask the kernel whether anybody listens. */
static int check_listening(const char *endpoint, struct fault *reterr)
{
    static const char scheme[] = "ipc://";
    if (strncmp(endpoint, scheme, sizeof scheme - 1) != 0)
        return EXIT_DONE;
    const char *path = endpoint + sizeof scheme - 1;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path)
        return fail(reterr, EXIT_FAILED, ENAMETOOLONG, "the socket's path is too long: %s", path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return EXIT_DONE;
    int err = errno;
    if (exit_of(err) == EXIT_NOT_PERMITTED)
        return fail(reterr, EXIT_NOT_PERMITTED, err,
                    "you may not use %s (%s): run godwit with sudo", path, strerror(err));
    return fail(reterr, EXIT_FAILED, err,
                "the orchestrator does not run (%s: %s): systemctl status godwitd tells why, "
                "systemctl start godwitd starts it",
                path, strerror(err));
}

static int keys_load(const struct address *a, struct curve_key *key, uint8_t server[32],
                     struct fault *reterr)
{
    int rc = curve_from_z85(a->server_key, server);
    if (rc == 0)
        rc = curve_key_load(a->key_file, key);
    if (rc == 0)
        return EXIT_DONE;
    if (exit_of(-rc) == EXIT_NOT_PERMITTED)
        return fail(reterr, EXIT_NOT_PERMITTED, -rc,
                    "you may not read the console's key %s (%s): run godwit with sudo", a->key_file,
                    strerror(-rc));
    return fail(reterr, EXIT_FAILED, -rc, "the console's key %s is of no use (%s)", a->key_file,
                strerror(-rc));
}

static int client_connect(const struct address *a, struct client **ret, struct fault *reterr)
{
    struct curve_key key;
    uint8_t server[32];
    int rc = keys_load(a, &key, server, reterr);
    if (rc)
        return rc;
    rc = check_listening(a->endpoint, reterr);
    struct client *c = NULL;
    if (rc == EXIT_DONE) {
        (void)zsys_init();
        zsys_handler_set(NULL); /* Ctrl-C is ours */
        c = xcalloc(1, sizeof *c);
        c->endpoint = xstrdup(a->endpoint);
        c->sock = zsock_new(ZMQ_DEALER);
        if (!c->sock || curve_secure_client(c->sock, &key, server) < 0 ||
            zsock_connect(c->sock, "%s", c->endpoint) < 0) {
            rc = fail(reterr, EXIT_FAILED, EIO, "cannot connect to %s", c->endpoint);
            c = client_close(c);
        }
    }
    curve_key_wipe(&key);
    if (c)
        *ret = c;
    return rc;
}

int client_open(const char *state_dir, struct client **ret, struct fault *reterr)
{
    struct address a = {0};
    int rc = address_load(state_dir, &a, reterr);
    if (rc == EXIT_DONE)
        rc = client_connect(&a, ret, reterr);
    json_decref(a.doc);
    return rc;
}

struct client *client_close(struct client *c)
{
    if (!c)
        return NULL;
    zsock_destroy(&c->sock);
    free(c->endpoint);
    free(c);
    return NULL;
}

static int client_send(struct client *c, const char *command, const struct arg *args,
                       struct fault *reterr)
{
    Godwit__ConsoleArg list[LIMIT_CONSOLE_ARGS], *refs[LIMIT_CONSOLE_ARGS];
    Godwit__ConsoleRequest req = GODWIT__CONSOLE_REQUEST__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    CLEANUP(mem_free) uint8_t *packed = NULL;
    req.command = (char *)(uintptr_t)command; /* only read */
    req.args = refs;
    for (; args && args->name && req.n_args < LIMIT_CONSOLE_ARGS; args++) {
        if (!args->value)
            continue;
        Godwit__ConsoleArg *one = &list[req.n_args];
        godwit__console_arg__init(one);
        one->name = (char *)(uintptr_t)args->name;
        if (strlen(args->value) <= LIMIT_CONSOLE_ARG)
            one->value = (char *)(uintptr_t)args->value;
        else if (packed || packed_put(one, args->value) < 0)
            return fail(reterr, EXIT_USAGE, E2BIG, "%s is too large: split it", args->name);
        else
            packed = one->packed.data;
        refs[req.n_args++] = one;
    }
    e.body_case = GODWIT__ENVELOPE__BODY_CONSOLE_REQUEST;
    e.console_request = &req;
    zframe_t *frame = wire_pack(&e);
    if (zframe_send(&frame, c->sock, 0) < 0) {
        zframe_destroy(&frame);
        return fail(reterr, EXIT_FAILED, EIO, "cannot send to %s", c->endpoint);
    }
    return EXIT_DONE;
}

/* Milliseconds until deadline for poll(), never negative. */
static int left_until(int64_t deadline)
{
    int64_t left = deadline - clock_mono_ms();
    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* 1: *ret holds a message. 0: time is up. -EINTR: a signal came. */
static int client_wait(struct client *c, int64_t deadline, zmsg_t **ret)
{
    zmq_pollitem_t item = {.socket = zsock_resolve(c->sock), .events = ZMQ_POLLIN};
    int rc = zmq_poll(&item, 1, left_until(deadline));
    if (rc < 0)
        return -errno;
    if (rc == 0)
        return 0;
    *ret = zmsg_recv(c->sock);
    return *ret ? 1 : -EINTR;
}

/* One piece. *retmore: others follow. EXIT_DONE or the reply's code. */
static int take_reply(const Godwit__Envelope *e, struct buf *doc, bool *retmore,
                      struct fault *reterr)
{
    if (e->body_case == GODWIT__ENVELOPE__BODY_REFUSAL)
        return fail(reterr, EXIT_NOT_PERMITTED, EPERM, "the orchestrator refused: %s",
                    e->refusal->text);
    if (e->body_case != GODWIT__ENVELOPE__BODY_CONSOLE_REPLY)
        return fail(reterr, EXIT_FAILED, EPROTO, "the orchestrator sent a %s instead of an answer",
                    wire_type_name(e->body_case));
    const Godwit__ConsoleReply *reply = e->console_reply;
    buf_put(doc, reply->json.data, reply->json.len);
    *retmore = reply->more;
    if (doc->overflow)
        return fail(reterr, EXIT_FAILED, EFBIG, "the answer is larger than this console takes");
    if (reply->code == 0)
        return EXIT_DONE;
    return fail(reterr, reply->code <= EXIT_PREFLIGHT ? (int)reply->code : EXIT_FAILED, EREMOTEIO,
                "%s", reply->error && *reply->error ? reply->error : "the orchestrator refused");
}

static int take_message(zmsg_t *msg, struct buf *doc, bool *retmore, struct fault *reterr)
{
    zframe_t *frame = zmsg_first(msg);
    if (frame && zframe_size(frame) == 0)
        frame = zmsg_next(msg);
    Godwit__Envelope *e = NULL;
    int rc = frame ? wire_unpack(zframe_data(frame), zframe_size(frame), WIRE_ORCHESTRATOR, &e)
                   : -EBADMSG;
    if (rc < 0)
        return fail(reterr, EXIT_FAILED, -rc, "the answer cannot be read: %s", strerror(-rc));
    rc = take_reply(e, doc, retmore, reterr);
    wire_free(e);
    return rc;
}

static int client_receive(struct client *c, uint64_t timeout_ms, struct buf *doc,
                          struct fault *reterr)
{
    int64_t deadline = clock_mono_ms() + (int64_t)timeout_ms;
    bool more = true;
    int rc = EXIT_DONE;
    while (more && rc == EXIT_DONE) {
        zmsg_t *msg = NULL;
        int got = client_wait(c, deadline, &msg);
        if (got == 0)
            return fail(reterr, EXIT_TIMED_OUT, ETIMEDOUT,
                        "the orchestrator does not answer on %s: journalctl -u godwitd tells what "
                        "it does",
                        c->endpoint);
        if (got < 0)
            return fail(reterr, EXIT_FAILED, EINTR, "interrupted");
        rc = take_message(msg, doc, &more, reterr);
        zmsg_destroy(&msg);
    }
    return rc;
}

int client_ask(struct client *c, const char *command, const struct arg *args, uint64_t timeout_ms,
               json_t **retdoc, struct fault *reterr)
{
    struct buf doc;
    buf_init(&doc, CLIENT_REPLY_MAX);
    *retdoc = NULL;
    int rc = client_send(c, command, args, reterr);
    if (rc == EXIT_DONE)
        rc = client_receive(c, timeout_ms, &doc, reterr);
    if (doc.len) {
        *retdoc = json_loadb((const char *)doc.data, doc.len, 0, NULL);
        if (!*retdoc && rc == EXIT_DONE)
            rc = fail(reterr, EXIT_FAILED, EBADMSG, "the answer is not JSON");
    }
    buf_done(&doc);
    return rc;
}
