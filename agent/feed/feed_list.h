/* feed_list: the folders of one pair that a pass has to look at, as paths below its root, sorted,
 * without what lies below a folder that is walked whole. Filled, settled, then only read. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FEED_LIST_PATHS 262144U /* more: a full scan costs less */
#define FEED_LIST_BYTES (32U << 20)
#define FEED_LIST_INODES 65536U /* the same */

struct feed_list;
struct feed_list *feed_list_new(void);
struct feed_list *feed_list_free(struct feed_list *l);

/* whole: with all below it, else its own entries only. -E2BIG. */
int feed_list_add(struct feed_list *l, const char *path, size_t len, bool whole);
/* The folder (or file) to was from when it was last looked at; a hint, later ones follow earlier
 * ones. */
void feed_list_moved(struct feed_list *l, const char *from, size_t from_len, const char *to,
                     size_t to_len);
/* A file that changed and has, or had, several names: all of them are to be looked at. -E2BIG. */
int feed_list_add_inode(struct feed_list *l, uint64_t dev, uint64_t ino);
void feed_list_settle(struct feed_list *l);

/* ── settled ── */
size_t feed_list_count(const struct feed_list *l); /* folders to look at */
void feed_list_inodes(const struct feed_list *l, void (*fn)(void *arg, uint64_t dev, uint64_t ino),
                      void *arg);
int feed_list_each(const struct feed_list *l,
                   int (*fn)(void *arg, const char *path, size_t len, bool whole), void *arg);
bool feed_list_is_whole(const struct feed_list *l, const char *path, size_t len); /* this one */
/* Will the walk come to it: itself, or something above it that is walked whole? */
bool feed_list_covers(const struct feed_list *l, const char *path, size_t len);
/* Where path was; NULL: not known to have moved. */
const char *feed_list_origin(const struct feed_list *l, const char *path, size_t len,
                             size_t *retlen);
