/* embed: an orchestrator and two agents as child processes of `godwit migrate`: the same code, keys
 * and messages as a fleet; only the lifetimes differ. They end when we do, whatever ends us. Main
 * thread. */
#pragma once
#include <stdbool.h>

struct embed;
struct fault;

#define EMBED_SOURCE "source"
#define EMBED_DESTINATION "destination"

/* dir: 0700, ours alone; keeps keys, the journal and the catalogues. Call before anything of
 * ZeroMQ. -errno with a fault. */
int embed_start(const char *dir, struct embed **ret, struct fault *reterr);
const char *embed_state(const struct embed *e); /* for a client */
/* True when an agent is there for the first time, or its orchestrator has moved: it waits for a
 * token. */
bool embed_wants_tokens(const struct embed *e);
/* Hands an agent its token; text NULL: none, go on as enrolled. */
int embed_token(struct embed *e, const char *host, const char *text);
/* False when one of them has ended, with the end of its log in reterr. */
bool embed_alive(struct embed *e, struct fault *reterr);
/* Asks them to end, waits, and in the end kills. */
struct embed *embed_stop(struct embed *e);
