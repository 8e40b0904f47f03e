/* cutover_runbook: the stages of a cutover as commands that a person types on the hosts. Of secrets
 * it knows the files that hold them, never what is in them. Pure. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

/* What is moved, and between whom; all borrowed. */
struct runbook {
    const json_t *facts; /* of the pair's cutover */
    const char *source_host, *destination_host;
    const char *source, *destination; /* folders */
    bool mirror;                      /* what the source has not is deleted at the destination */
};

/* Of one row: [{"on": HOST, "command": TEXT}], empty where there is nothing to type. New reference.
 */
json_t *runbook_commands(const struct runbook *b, unsigned row);
/* A text as one word of a shell; malloc'd. */
char *runbook_word(const char *text);
