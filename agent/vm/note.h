/* note: what one stage of a move is about to change on this host, on disk before it is changed, and
 * the way back by that alone. Lines of text; no secret is in one. Worker threads, one a move. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

#define NOTE_MAX (256U << 10)
#define NOTE_PATH_MAX 4000 /* of a path that may be noted */

struct note;
struct virt;

/* What a line says was done, or was about to be. Undone in the order from the last to the first. */
enum note_what {
    NOTE_FOLDER,    /* a is a folder of ours, with all that it holds */
    NOTE_PLACED,    /* a is a file that we put there; b: its "device:inode" */
    NOTE_MOVED,     /* a was renamed to b; c: its mode, octal */
    NOTE_DEFINED,   /* a: the machine's UUID */
    NOTE_STARTED,   /* a: likewise, it was off */
    NOTE_RAN,       /* a: likewise, it ran and is to run again */
    NOTE_PAUSED,    /* a: likewise, it ran and was paused */
    NOTE_SAVED,     /* a: likewise, it ran and its memory went to the file b */
    NOTE_AUTOSTART, /* a: likewise, it started with its host */
    NOTE_BLANK,  /* a: a device that was blank; b: device_now(): of another one nothing is wiped */
    NOTE_LOCKED, /* a: a device that was made read-only; b: likewise */
    NOTE_FACT,   /* a=b: nothing to undo */
};

/* May such a path stand in a note? Absolute, without control characters, "." and "..". */
bool note_path_ok(const char *path);

/* Of a stage of a move below state_dir; empty when nothing was noted. -EBADMSG: it is damaged. */
int note_open(const char *state_dir, const char *move, const char *stage, struct note **ret);
struct note *note_free(struct note *n); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(note_free, struct note *)

/* Durable when it returns. What stands there already is not noted twice. b and c may be NULL. */
int note_add(struct note *n, enum note_what what, const char *a, const char *b, const char *c);
bool note_has(const struct note *n, enum note_what what, const char *a);
const char *note_fact(const struct note *n, const char *name); /* borrowed; NULL: none */
bool note_is_empty(const struct note *n);

/* "device:inode" of what path is; malloc'd, NULL: nothing there. */
char *note_identity(const char *path);

/* All undone, and the note gone. 1: there was something; 0; -errno with what stands in the way. v:
 * for machines; NULL only where none is noted. */
int note_undo(struct note *n, struct virt *v, struct fault *reterr);
/* The note goes, what it tells stays. */
int note_drop(struct note *n);
/* All that is known of a move here is gone. */
int note_forget(const char *state_dir, const char *move);
/* STATE_DIR/vm/MOVE; malloc'd. */
char *note_folder(const char *state_dir, const char *move);
/* A file, or a folder with all that it holds; one that is not there is no error. */
int note_remove_tree(const char *path);
