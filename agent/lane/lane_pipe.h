/* lane_pipe: what carries a lane's records when both its ends are one process: two queues, so that
 * no byte goes through the kernel. Its lane keeps its connection, which tells of an abort. Locks
 * inside; each end belongs to one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIPE_ID_BYTES 16

struct lane_pipe;
enum pipe_end { PIPE_SOURCE = 0, PIPE_DESTINATION = 1 };

struct pipe_item { /* header and body of one record */
    struct pipe_item *next;
    size_t room, len; /* len: of the body */
    uint8_t data[];
};

/* The destination's end; whoever knows its id in this process may take the other, once. */
int lane_pipe_new(struct lane_pipe **ret, uint8_t id[PIPE_ID_BYTES]);
struct lane_pipe *lane_pipe_take(const uint8_t id[PIPE_ID_BYTES]); /* NULL: there is none */
/* Gives an end up; NULL is fine; returns NULL. The other finds what was put before, then the end.
 */
struct lane_pipe *lane_pipe_drop(struct lane_pipe *p, enum pipe_end me);

/* False: the source's end has enough under way; lane_pipe_room_fd() tells when not. What the
 * destination's end says is little, and always finds room: so neither waits for the other. */
bool lane_pipe_put(struct lane_pipe *p, enum pipe_end me, const uint8_t *record, size_t body);
void lane_pipe_say_end(struct lane_pipe *p, enum pipe_end me); /* nothing follows */
/* 1: *ret, until lane_pipe_back(). 0: nothing now. -EPIPE: nothing follows. */
int lane_pipe_get(struct lane_pipe *p, enum pipe_end me, struct pipe_item **ret);
void lane_pipe_back(struct lane_pipe *p, struct pipe_item *i); /* NULL is fine */
/* A descriptor that the destination's end has for the source's, under a number of theirs; taken
 * over. What nobody takes is closed with the pipe. */
void lane_pipe_hand(struct lane_pipe *p, uint64_t number, int fd);
int lane_pipe_handed(struct lane_pipe *p, uint64_t number);    /* the caller's now; -1: none */
int lane_pipe_fd(const struct lane_pipe *p, enum pipe_end me); /* readable: ask get() */
int lane_pipe_room_fd(const struct lane_pipe *p);
void lane_pipe_calm(int fd); /* one of these: readable no more, until the next time */
