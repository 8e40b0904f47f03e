/* flight: one write to a file that the kernel works on while its thread goes on. Where the kernel
 * gives no such thing, it is over when flight_begin() returns. One thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flight { /* zeros: none was begun yet */
    unsigned long context;
    bool refused;   /* there is no context to be had */
    bool submitted; /* or it is over, with this: */
    int64_t result;
};

/* The one before has ended. data stays until flight_end(). */
void flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at);
bool flight_is_over(struct flight *f); /* flight_end() has nothing to wait for */
int64_t flight_end(struct flight *f);  /* bytes that were written, or -errno */
void flight_done(struct flight *f);    /* it has ended */
