/* files_checks: what is checked of one pair of files before it starts. Main thread, pure. */
#pragma once
#include "orchestrator/workload/workload.h"

const struct check_info *files_check_info(size_t i); /* NULL beyond the last */
enum check_result files_check(size_t i, const struct check_pair *p, char *text, size_t size);
