/* ask: the console's side of a daemon under test. Test thread. */
#include <stdarg.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/wire/limits.h"
#include "tests/scenario/daemon.h"
#include "tests/unit/test.h"

#define ASK_MS 30000
#define ARGS_MAX 8
#define DOCUMENT_MAX (64 << 20)

static void say_request(struct daemon *d, const char *command, va_list ap)
{
    Godwit__ConsoleArg args[ARGS_MAX], *list[ARGS_MAX];
    Godwit__ConsoleRequest req = GODWIT__CONSOLE_REQUEST__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    for (char *name; (name = va_arg(ap, char *)) != NULL && req.n_args < ARGS_MAX; req.n_args++) {
        args[req.n_args] = (Godwit__ConsoleArg)GODWIT__CONSOLE_ARG__INIT;
        args[req.n_args].name = name;
        args[req.n_args].value = va_arg(ap, char *);
        list[req.n_args] = &args[req.n_args];
    }
    req.command = (char *)(uintptr_t)command;
    req.args = list;
    e.body_case = GODWIT__ENVELOPE__BODY_CONSOLE_REQUEST;
    e.console_request = &req;
    peer_say(&d->console, &e);
}

/* 1: more follows. */
static bool take_piece(struct daemon *d, struct buf *json, uint32_t *retcode)
{
    CLEANUP(wire_free)
    Godwit__Envelope *e = peer_hear_type(&d->console, GODWIT__ENVELOPE__BODY_CONSOLE_REPLY, ASK_MS);
    if (!e) {
        daemon_show_log(d);
        fail_msg("the console got no answer (daemon %s)", daemon_alive(d) ? "alive" : "dead");
        return false;
    }
    *retcode = e->console_reply->code;
    if (*retcode)
        print_message("console: %u %s\n", *retcode, e->console_reply->error);
    buf_put(json, e->console_reply->json.data, e->console_reply->json.len);
    return e->console_reply->more;
}

json_t *daemon_ask(struct daemon *d, uint32_t *retcode, const char *command, ...)
{
    struct buf json;
    va_list ap;
    buf_init(&json, DOCUMENT_MAX);
    va_start(ap, command);
    say_request(d, command, ap);
    va_end(ap);
    while (take_piece(d, &json, retcode))
        ;
    json_t *doc = json.len ? json_loadb((const char *)json.data, json.len, 0, NULL) : NULL;
    buf_done(&json);
    return doc;
}

void daemon_token(struct daemon *d, const char *host, const char *ttl_ms, struct token *ret)
{
    uint32_t code = 1;
    json_t *doc = daemon_ask(d, &code, "token create", "host", host, "ttl", ttl_ms, NULL);
    if (code != 0 || token_parse(json_string_value(json_object_get(doc, "token")), ret) < 0)
        fail_msg("no token for %s", host);
    json_decref(doc);
}
