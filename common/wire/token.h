/* token: the one-time line that lets one host enrol: endpoint, orchestrator key, id, secret.
 * Printed once, read from standard input or a file, never an argument. Any thread. */
#pragma once
#include <stdint.h>

struct token {
    char endpoint[256]; /* of the enrolment socket: "tcp://host:7402" */
    char host[64];      /* the name it is for */
    uint8_t server_key[32];
    char id[17];
    uint8_t secret[32];
};

/* "godwit1." and base64url; malloc'd. */
char *token_format(const struct token *t);
int token_parse(const char *text, struct token *ret); /* -EINVAL */
