/* sender: the source's side of one transfer: walks the tree and sends what the destination lacks,
 * over as many sessions as lost links make it. Blocking, with a thread for each lane. */
#pragma once

struct step;
struct step_result;
struct transfer_spec;

void sender_run(struct step *s, const struct transfer_spec *spec, struct step_result *ret);
