/* cutover_report: what made the server's identity before and makes it after, side by side, judged.
 * Pure. */
#pragma once
#include <jansson.h>

/* facts: of the pair's cutover. [{"on": "server" or "source", "what", "before", "after", "judged":
 * "same", "expected" or "changed", "why"}]; empty before both have been asked. New reference. */
json_t *cutover_compare(const json_t *facts);
/* How many of these lines are changed as nobody planned. */
unsigned cutover_changed(const json_t *lines);
