/* complete: what may follow on a command line, from the table; names of jobs and hosts when the
 * orchestrator answers. Main thread. */
#pragma once
#include <jansson.h>

/* words: what stands before, without the program's name; part: the word begun, may be "". An array
 * of texts; a word ":files" among them asks for file names. */
json_t *complete_words(int n, char **words, const char *part);
