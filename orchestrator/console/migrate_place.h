/* migrate_place: the two folders of `godwit migrate`, and what is wrong with them, before anything
 * starts. Main thread. */
#pragma once
#include <stdbool.h>

struct fault;

/* Both absolute, without links or dots; malloc'd. An exit code, with a fault when it is not 0. */
int migrate_places(const char *src, const char *dst, char **retsrc, char **retdst,
                   struct fault *reterr);
/* path is the folder of, or lies below it; both absolute. */
bool place_inside(const char *path, const char *of);
