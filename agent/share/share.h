/* share: the steps of shares, one function each; share.c lists them for the dispatcher. */
#pragma once
#include "agent/share/server.h"

struct agent_env;
struct step;
struct step_result;

void share_inventory(struct step *s, struct step_result *ret); /* inventory.c */
void share_check(struct step *s, struct step_result *ret);     /* apply.c */
void share_apply(struct step *s, struct step_result *ret);     /* apply.c */
/* What an agent that died half way has put on this server goes, in a thread of its own. */
void share_recover(const struct agent_env *env);

/* This host's own places. scratch: a folder of ours below the state folder, made when it is not
 * there; borrowed by *ret. */
int share_server(const struct step *s, const char *scratch, struct server *ret);
char *share_scratch(const struct agent_env *env); /* malloc'd */
