/* staged: the account that the source will have under its new name, made when a cutover is
 * prepared: disabled, and nobody's. In the night the source takes it over; where the night never
 * comes it is removed. Process with rights. */
#pragma once
#include "agent/identity/stage.h"

/* The stage "staged". That it cannot be made is told, and no reason not to go on: the source makes
 * it when it joins. */
int staged_act(struct stage_run *r);
int staged_probe(struct stage_run *r);
/* The account goes, also one that the source has taken since. */
int staged_undone(struct stage_run *r);
/* Has this cutover made the account of that name? */
bool staged_is(const struct stage_run *r, const char *netbios);
/* At the end: one that the source has not taken goes. */
void staged_end(struct stage_run *r);
