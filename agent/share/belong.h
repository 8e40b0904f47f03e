/* belong: which of a server's paths lie in a pair's folder, and what they become at the
 * destination. Looks at this host's file system to see through links. Worker threads. */
#pragma once
#include <stdbool.h>

/* The part of path that no macro (%U, %S) changes, as a folder: "/srv/home/%S" is "/srv/home".
 * malloc'd; "" when it begins with one. */
char *belong_fixed(const char *path);
/* path lies in root or is it: *retbelow is what follows ("", "sub/%S"), malloc'd. Names alone, then
 * with links resolved. *retreal: where its fixed part is without links, malloc'd, NULL when it is
 * not there. */
bool belong_inside(const char *root, const char *path, char **retbelow, char **retreal);
/* destination and below as one path; malloc'd. */
char *belong_map(const char *destination, const char *below);
