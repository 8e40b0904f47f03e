/* all_shares: asks which shares an endpoint has, and makes a pair "ENDPOINT:*" one of each. Main
 * thread. */
#pragma once
#include <jansson.h>

struct jobspec;
struct run;

/* Waits for the proxy's answer. proxy NULL: the endpoint's own. An exit code; errors have been
 * said.
 */
int all_shares_ask(struct run *r, const char *endpoint, const char *proxy, json_t **ret);
/* Each folder that is shared, without the server's own (C$): ENDPOINT:SHARE=HOST:PATH/SHARE. An
 * exit code; errors have been said. */
int all_shares_expand(struct run *r, struct jobspec *s);
