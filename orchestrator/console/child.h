/* child: a program that runs beside us, with text for its standard input; its output is kept for an
 * error message. No shell. Main thread. */
#pragma once
#include <stdbool.h>

struct child;

/* argv ends with NULL; found in PATH. -errno. */
int child_start(const char **argv, const char *input, struct child **ret);
bool child_ended(struct child *c, int *retstatus); /* 0, an exit code, or 128 + a signal */
char *child_tail(const struct child *c);           /* last lines of its output; malloc'd */
struct child *child_free(struct child *c);         /* ends it if it runs */
