/* receiver: the destination's side of one transfer: waits for lanes, places what comes, ends when
 * the source has finished or on cancel. Blocking, with a thread for each lane. */
#pragma once

struct step;
struct step_result;
struct transfer_spec;

void receiver_run(struct step *s, const struct transfer_spec *spec, struct step_result *ret);
