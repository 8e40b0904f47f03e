/* apart: a call by a thread that shares no descriptors with the others: it can open some while they
 * have as many as the process may have. Any thread. */
#pragma once

/* Of what is open fn sees keep and the standard ones; that it closes others is seen by nobody.
 * Returns when fn has: 0. -errno: fn was not called. */
int apart_call(int keep, void (*fn)(void *arg), void *arg);
