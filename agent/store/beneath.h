/* beneath: opens and changes entries below one root by folder handles only; no symbolic link on the
 * way is ever followed, paths may be longer than PATH_MAX, names are bytes. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens the root itself: an absolute path, may pass links (the administrator named it). */
int beneath_root(const char *path, size_t len, bool create);
/* rel: bytes without leading, trailing or double '/', no "." or ".."; len 0 is the root. Flags as
 * open(2); O_NOFOLLOW and O_CLOEXEC are added. Returns the descriptor or -errno; -ELOOP: a link
 * stands on the way (-ENOTDIR when a folder was asked for and the last name is one). */
int beneath_open(int root, const char *rel, size_t len, int flags, mode_t mode);
/* The folder rel, made with its missing parents (mode 0700 until metadata is set). *retmade: set
 * when the last one was made by this call. Something else in its place is removed only with
 * replace. Inherits no default ACL. Returns its descriptor (O_RDONLY) or -errno. */
int beneath_mkdirs(int root, const char *rel, size_t len, bool replace, bool *retmade);
/* Is rel in the allowed shape? Every path that a peer sends passes here first. */
bool beneath_valid(const char *rel, size_t len);
bool beneath_valid_name(const char *name, size_t len); /* one component: 1..255, no '/', no NUL */
/* 1: the folder name below dir has no entries; 0: it has; -errno. */
int beneath_is_empty(int dir, const char *name);
/* Removes name below dir whatever it is, folders with all they hold. Counts what went. */
int beneath_remove(int dir, const char *name, uint64_t *retremoved);
/* The same; -ECANCELED as soon as stop says so, which is asked before each entry. */
int beneath_remove_unless(int dir, const char *name, bool (*stop)(const void *arg), const void *arg,
                          uint64_t *retremoved);
