/* floor_sides: two processes over TCP on loopback, each with as many threads as there are
 * connections, and what they took: for the floors. */
#pragma once
#include <stdint.h>

#define FLOOR_THREADS_MAX 16U

void floor_must(long rc, const char *what); /* rc >= 0, or this process ends with errno's text */
/* SOURCE DESTINATION [THREADS]: how many; 0: the usage was said. */
unsigned floor_threads(int argc, char **argv, const char *program);
/* Each side's function gets a pointer to its socket, in a thread of its own; the source is this
 * process. began: clock_mono_us(). The exit code of the child comes back, too. */
int floor_run(unsigned n, void *(*source)(void *), void *(*destination)(void *), int64_t began);
