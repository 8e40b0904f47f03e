/* touched: folders that a session has entered, with those above them: they are not renamed any more
 * in it. To enter one and to rename one exclude each other. Lane threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct touched;

struct touched *touched_new(void);
struct touched *touched_free(struct touched *t);

/* Between the two a folder is opened by its path, and no folder is renamed. path NULL: it was not
 * there, or nothing is renamed in this session. */
void touched_enter(struct touched *t);
void touched_entered(struct touched *t, const char *path, size_t len);

/* Between these two folders are renamed, and none is entered: what was not touched stays so. */
void touched_hold(struct touched *t);
void touched_release(struct touched *t);

bool touched_has(struct touched *t, const char *path, size_t len);
