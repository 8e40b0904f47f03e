/* endpoint: checks what an order says about a server without an agent, before anything is dialled.
 */
#pragma once
#include "agent/pull/pull.h"
#include "proto/files.pb-c.h"

struct step;

struct endpoint_source { /* borrows from the order and the step */
    struct pull_source pull;
    char *destination;
};

/* Who the order's credential says we are; borrowed from the step. */
int endpoint_login(const struct step *s, const char *endpoint, struct smb_login *ret,
                   struct fault *reterr);
bool endpoint_address_good(const char *address);
int endpoint_of_order(const struct step *s, const Godwit__SmbSource *o, struct endpoint_source *ret,
                      struct fault *reterr);
void endpoint_source_done(struct endpoint_source *e);
