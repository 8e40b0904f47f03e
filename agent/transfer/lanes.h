/* lanes: how a session of the source gets its lanes. What goes over them is worker.c. The step's
 * thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct lane;
struct sender;

/* Connects the lane that opens the session. *retcredit: bytes that the destination grants. */
int lanes_first(struct sender *s, struct lane **ret, uint64_t *retcredit, bool *retfresh);
/* Gives the lane a worker, which owns it then. -ESHUTDOWN: the walk is over. */
int lanes_adopt(struct sender *s, struct lane *l, uint64_t credit, uint32_t index);
/* The first is adopted: the others that are wanted may come. */
void lanes_begin(struct sender *s, bool is_long);
void lanes_add(struct sender *s); /* connects one more, without waiting for it */
void lanes_end(struct sender *s); /* none comes any more */
