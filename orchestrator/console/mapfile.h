/* mapfile: reads an id map from a file, CSV or YAML, for the job's options. Main thread. */
#pragma once
#include <stddef.h>

#include "common/base/fault.h"

/* YAML by its name's end, .yaml or .yml; else CSV. *ret: the text of common/base/idmap.h, malloc'd.
 * A fault names file, line and column. */
int mapfile_read(const char *path, char **ret, struct fault *reterr);
/* The same of text that is there already; path for its name and kind only. */
int mapfile_parse(const char *path, const char *text, size_t len, char **ret, struct fault *reterr);
