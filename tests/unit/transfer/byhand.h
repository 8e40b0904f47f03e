/* byhand: a source made by hand: one lane with the right key, whose records a test writes itself.
 */
#pragma once
#include <stdint.h>
#include <time.h>

#include "agent/lane/lane.h"
#include "common/base/buf.h"

/* A thread that receives at port until the source says goodbye; arg: struct step_result. */
void *byhand_receive(void *arg);
struct lane *byhand_lane(void); /* waits for that thread */
/* One small file for a batch; flip spoils its digest. */
void byhand_put_file(struct buf *b, const char *name, const char *text, time_t mtime, uint8_t flip);
/* The next record of that type. */
void byhand_wait(struct lane *l, uint8_t type, struct lane_record *ret);
