/* rehearse_priv: what the rehearsal's files share. Its own process. */
#pragma once
#include "agent/identity/check.h"
#include "agent/identity/rehearse.h"

struct rehearsal {
    struct stage_run run;
    const Godwit__IdentityPlan *p;
    char *scratch; /* in memory, seen by this process and its children */
    unsigned copies;
    int64_t start_ms;
};

#define ADD(g_, ...) check_add((g_)->run.result, __VA_ARGS__)

/* What is written there from now on is written to memory. 0 or -errno. */
int rehearse_copy_over(struct rehearsal *g, const char *folder);
/* Is there a copy of the machine's identity, and a user of the domain with tickets? */
bool rehearse_has_user(void);
/* Opens, writes, reads and deletes on copies of the shares' folders, as whom PROBE_CREDENTIALS
 * says; at: an address without prefix. */
void rehearse_user(struct rehearsal *g, const char *at);
