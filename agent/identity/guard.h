/* guard: the dead-man timer of this host: how long the orchestrator may be silent before the host
 * takes everything back by itself. A file; it survives a restart. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct guard {
    int64_t until_wall_ms; /* by this host's clock */
    int64_t until_boot_ms; /* since it started; only for the same boot id */
    int64_t silence_ms;
    char boot[40];
};

/* Pure. Is it time? boot: the present id; since: ms of the kernel's
 * clock when the id is the same, else since this start. */
bool guard_due(const struct guard *g, const char *boot, int64_t wall_ms, int64_t since_ms);
int guard_parse(const char *text, struct guard *ret); /* -EBADMSG */
/* When a process began, in ms of the kernel's time, by what /proc says of it; 0: it cannot be told.
 */
int64_t guard_began_ms(const char *stat, long ticks);

int guard_set(const char *folder, uint32_t silence_s);
/* The same only where it is set already. */
int guard_renew(const char *folder, uint32_t silence_s);
/* Begins anew, when it is set and not over and a part of it is gone already, or the host restarted.
 */
int guard_hold(const char *folder);
int guard_clear(const char *folder);
bool guard_is_set(const char *folder);
bool guard_is_due(const char *folder);
/* Set, and not since this start of the host. */
bool guard_restarted(const char *folder);
uint32_t guard_left_s(const char *folder); /* 0: not set */
/* Has it run out? Then nothing more is done for that cutover. */
bool guard_sprung(const char *folder);
int guard_spring(const char *folder);
