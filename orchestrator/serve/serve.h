/* serve: answers console requests with JSON. One table of commands, one file per noun. Runs on the
 * main thread; every command is short. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/console.pb-c.h"

struct engine;
struct fault;
struct fleet;
struct store;

struct serve {
    struct store *store;
    struct fleet *fleet;
    struct engine *engine;
    const uint8_t *sign_key; /* the orchestrator's public one */
    int64_t started_mono_ms;
    int64_t waited_ms; /* of the request in hand: since it came; -1: it must be answered now */
};

/* Exit codes of the console; design: "Failures and bad input". */
enum serve_code {
    SERVE_DONE = 0,
    SERVE_FAILED = 1,
    SERVE_USAGE = 2,
    SERVE_PARTLY = 3,
    SERVE_NOT_PERMITTED = 4,
    SERVE_CONFLICT = 5,
    SERVE_NOT_FOUND = 6,
    SERVE_TIMED_OUT = 7,
    SERVE_PREFLIGHT = 8,
};

struct serve_reply {
    enum serve_code code;
    char error[512];
    json_t *json; /* owned; NULL when there is none */
    bool later;   /* nothing to say yet: the request is put again */
};

struct serve_command {
    const char *name; /* "job create" */
    void (*run)(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret);
};

/* Each ends with name NULL. */
extern const struct serve_command serve_agent_commands[]; /* agent *, token * */
extern const struct serve_command serve_cutover_commands[];
extern const struct serve_command serve_endpoint_commands[]; /* endpoint *, credential * */
extern const struct serve_command serve_key_commands[];
extern const struct serve_command serve_job_commands[];   /* job *, inventory * */
extern const struct serve_command serve_limit_commands[]; /* limit *, site * */
extern const struct serve_command serve_report_commands[];
extern const struct serve_command serve_status_commands[];
extern const struct serve_command serve_vm_commands[];

void serve_request(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret);
const char *serve_arg(const Godwit__ConsoleRequest *req, const char *name); /* NULL: not given */
/* Sets code and error. */
void serve_refuse(struct serve_reply *r, enum serve_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Arguments of a command are few and known: false (and refused) when one is not in names
 * ("host ttl uses"), is given twice, or one of the first required is missing. */
bool serve_args(const Godwit__ConsoleRequest *req, const char *names, unsigned required,
                struct serve_reply *ret);
/* Milliseconds; fallback when it is not given. False: refused as usage. */
bool serve_arg_ms(const Godwit__ConsoleRequest *req, const char *name, int64_t fallback,
                  int64_t *retms, struct serve_reply *ret);
/* Refuses with the code that fits rc and the fault's sentence. */
void serve_fault(struct serve_reply *r, int rc, const struct fault *f);
/* The engine's answer, json owned from here on, or its fault. */
void serve_answer(struct serve_reply *r, int rc, json_t *json, const struct fault *why);
