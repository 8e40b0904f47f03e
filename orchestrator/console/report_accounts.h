/* report_accounts: the part of a report that tells what became of users and groups. Main thread. */
#pragma once
#include <jansson.h>
#include <stdio.h>

/* pairs: of the report; those without accounts say nothing. */
void report_accounts(FILE *out, const json_t *pairs);
