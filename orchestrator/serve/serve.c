/* serve: finds the command that a console asks for. Knows no sockets. Main thread. */
#include "orchestrator/serve/serve.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/mem.h"

static const struct serve_command *const tables[] = {
    serve_status_commands,   serve_agent_commands,  serve_key_commands,
    serve_job_commands,      serve_report_commands, serve_limit_commands,
    serve_endpoint_commands, serve_vm_commands,     serve_cutover_commands,
};

void serve_request(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret)
{
    *ret = (struct serve_reply){.code = SERVE_DONE};
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct serve_command *c = tables[i]; c->name; c++) {
            if (strcmp(c->name, req->command) != 0)
                continue;
            c->run(s, req, ret);
            return;
        }
    }
    serve_refuse(ret, SERVE_USAGE, "this orchestrator does not know the command '%.64s'",
                 req->command);
}

const char *serve_arg(const Godwit__ConsoleRequest *req, const char *name)
{
    for (size_t i = 0; i < req->n_args; i++) {
        if (strcmp(req->args[i]->name, name) == 0)
            return req->args[i]->value;
    }
    return NULL;
}

void serve_refuse(struct serve_reply *r, enum serve_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->code = code;
    (void)vsnprintf(r->error, sizeof r->error, fmt, ap);
    va_end(ap);
}

void serve_fault(struct serve_reply *r, int rc, const struct fault *f)
{
    static const struct {
        int err;
        enum serve_code code;
    } codes[] = {
        {ENOENT,    SERVE_NOT_FOUND    },
        {EEXIST,    SERVE_CONFLICT     },
        {EALREADY,  SERVE_CONFLICT     },
        {EPROTO,    SERVE_CONFLICT     },
        {EINVAL,    SERVE_USAGE        },
        {EPERM,     SERVE_NOT_PERMITTED},
        {EREMOTEIO, SERVE_PREFLIGHT    },
        {ETIMEDOUT, SERVE_TIMED_OUT    },
    };
    enum serve_code code = SERVE_FAILED;
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (codes[i].err == -rc)
            code = codes[i].code;
    }
    serve_refuse(r, code, "%s", *f->text ? f->text : strerror(-rc));
}

void serve_answer(struct serve_reply *r, int rc, json_t *json, const struct fault *why)
{
    if (json)
        (void)json_object_set_new(json, "schema", json_integer(1));
    r->json = json;
    if (rc < 0)
        serve_fault(r, rc, why);
}

/* Place of name in the blank-separated names, from 1; 0: not there. */
static unsigned place_of(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (unsigned n = 1; *names; n++) {
        size_t word = strcspn(names, " ");
        if (word == len && memcmp(names, name, len) == 0)
            return n;
        names += word + strspn(names + word, " ");
    }
    return 0;
}

bool serve_args(const Godwit__ConsoleRequest *req, const char *names, unsigned required,
                struct serve_reply *ret)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < req->n_args; i++) {
        unsigned n = place_of(names, req->args[i]->name);
        if (n == 0 || n > 63 || (seen & 1ULL << n)) {
            serve_refuse(ret, SERVE_USAGE, "'%s' does not take '%.64s'%s", req->command,
                         req->args[i]->name, n ? " twice" : "");
            return false;
        }
        seen |= 1ULL << n;
    }
    for (unsigned n = 1; n <= required; n++) {
        if (seen & 1ULL << n)
            continue;
        serve_refuse(ret, SERVE_USAGE, "'%s' wants: %s", req->command, names);
        return false;
    }
    return true;
}

bool serve_arg_ms(const Godwit__ConsoleRequest *req, const char *name, int64_t fallback,
                  int64_t *retms, struct serve_reply *ret)
{
    const char *text = serve_arg(req, name);
    char *end = NULL;
    if (!text) {
        *retms = fallback;
        return true;
    }
    errno = 0;
    long long ms = strtoll(text, &end, 10);
    if (errno || end == text || *end || ms < 0) {
        serve_refuse(ret, SERVE_USAGE, "'%.64s' is not a number of milliseconds", text);
        return false;
    }
    *retms = ms;
    return true;
}
