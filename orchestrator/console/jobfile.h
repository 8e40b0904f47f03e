/* jobfile: reads job files. Every error names file:line:column, and then nothing was changed. Main
 * thread. */
#pragma once
#include <stddef.h>

struct fault;
struct jobspec;

#define JOBFILE_MAX (4 << 20)

/* By the end of its name: .csv, else YAML. "-" is standard input. -errno with a fault. */
int jobfile_read(struct jobspec *s, const char *path, struct fault *reterr);
/* file stands in errors. -EINVAL. */
int jobfile_yaml(struct jobspec *s, const char *file, const char *text, size_t len,
                 struct fault *reterr);
int jobfile_csv(struct jobspec *s, const char *file, const char *text, size_t len,
                struct fault *reterr);
/* Whether YAML text is fit to be loaded. -EINVAL. */
int jobfile_shape(const char *file, const char *text, size_t len, struct fault *reterr);
