/* inventory_host: what hosts are and have, for people. Main thread. */
#pragma once
#include <jansson.h>
#include <stdio.h>

void inventory_hosts(FILE *out, const json_t *hosts); /* as `inventory show -o json` has them */
/* What is kept of each pair and what is lost, and what to put in order. */
void inventory_contracts(FILE *out, const json_t *pairs);
