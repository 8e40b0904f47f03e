/* byhand: a source made by hand: one lane with the right key, whose records a test writes itself.
 */
#pragma once
#include <stdint.h>
#include <time.h>

#include "agent/lane/lane.h"
#include "common/base/buf.h"

struct begun;

/* A thread that receives at port until the source says goodbye; arg: struct step_result. */
void *byhand_receive(void *arg);
struct lane *byhand_lane(void); /* waits for that thread */
/* One small file for a batch; flip spoils its digest. */
void byhand_put_file(struct buf *b, const char *name, const char *text, time_t mtime, uint8_t flip);
/* The next record of that type. */
void byhand_wait(struct lane *l, uint8_t type, struct lane_record *ret);

/* A file "big" of two pieces. The same each time: a run goes on with what one before has left. */
void byhand_begin_large(struct lane *l, uint8_t flags, struct begun *ret);
void byhand_send_chunk(struct lane *l, uint64_t at, uint8_t byte); /* CHUNK_BYTES of it */
/* All zeros, which were sent; waits until they are durable. */
void byhand_send_piece(struct lane *l, uint32_t piece);
void byhand_send_hole(struct lane *l, uint32_t piece); /* all zeros, which are not sent */
void byhand_send_end(struct lane *l); /* it held still, and is all; until the goodbye */
