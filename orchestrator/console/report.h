/* report: a run's report as text or CSV, from the JSON document of `job report`. Main thread. */
#pragma once
#include <jansson.h>
#include <stdio.h>

void report_text(FILE *out, const json_t *doc);
void report_csv(FILE *out, const json_t *doc);
/* One cell: quoted, and no formula for a spreadsheet that opens it. */
void report_csv_text(FILE *out, const char *text);
/* Says, as one sentence, what could not be kept; nothing when all was. malloc'd or NULL. */
char *report_not_kept(const json_t *counters);
/* The exit code that a job or pair state stands for; EXIT_DONE while it runs. */
int report_exit(const char *state);
