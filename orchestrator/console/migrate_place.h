/* migrate_place: the two folders of `godwit migrate`, and what is wrong with them, before anything
 * starts. Main thread. */
#pragma once

struct fault;

/* Both absolute, without links or dots; malloc'd. An exit code, with a fault when it is not 0. */
int migrate_places(const char *src, const char *dst, char **retsrc, char **retdst,
                   struct fault *reterr);
