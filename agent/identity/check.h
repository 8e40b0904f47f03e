/* check: the stage "check": what would fail later, told beforehand, without a change. Process with
 * rights. */
#pragma once
#include "agent/identity/stage.h"

/* DO and PROBE: all lines into the result; whether they suffice is the orchestrator's to say. */
int stage_check(struct stage_run *r);
/* result: "pass", "warn", "fail". */
__attribute__((format(printf, 5, 6))) void check_add(Godwit__IdentityResult *to, const char *id,
                                                     const char *result, const char *remedy,
                                                     const char *fmt, ...);
/* Seconds from the controller's clock, in what `net ads info` printed; -ENODATA. Pure. */
int check_offset(const char *text, long *ret);

struct smbconf;
/* What needs no directory; conf: Samba's on this host, or NULL. */
void check_host(struct stage_run *r, bool source, const struct smbconf *conf);
/* What `systemctl show` said of the agent's unit: a service that ends it; NULL: none. Pure. */
const char *check_holds_agent(const char *text);
