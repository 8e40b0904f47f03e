/* help: --help at each level and the manual pages, from the table. Main thread. */
#pragma once
#include <stdio.h>

struct command;
struct noun;

void help_all(FILE *out);
void help_noun(const struct noun *n, FILE *out);
void help_command(const struct command *c, FILE *out);
void man_all(FILE *out); /* godwit.1 */
void man_noun(const struct noun *n, FILE *out);
